/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/*
 * What the freezer gives up once it has opened what it needs: every capability but the one that
 * both ioctls demand, the way back to more (no_new_privs, the bounding set), and all system calls
 * that it does not make.
 *
 * sf_confine:
 * @may_freeze: false: a rehearsal, which gives up CAP_SYS_ADMIN and the two ioctls too
 *
 * For a process that has no threads yet. Returns: 0, or -errno: there is no filter of system calls;
 * all else holds
 */
int sf_confine(bool may_freeze);
