/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/*
 * A filter of this process's system calls (seccomp(2)): what the freezer does not call fails with
 * EPERM, for the calling thread and those that it starts from now on. It never kills: a freezer
 * that meets something unforeseen must live on to thaw.
 *
 * @may_freeze: false: FIFREEZE and FITHAW fail too
 *
 * Needs no_new_privs or CAP_SYS_ADMIN. Returns: 0, or -errno: nothing is filtered (-EINVAL: the
 * kernel has no filters; -ENOSYS: the machine's kind is not known here)
 */
int sf_syscalls_confine(bool may_freeze);
