/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum { SF_SUSPEND_RAM, SF_SUSPEND_DISK, SF_SUSPEND_HYBRID } SfSuspend;

/* Whether the kernel can do it, by /sys/power. @sys: such as "/sys". */
bool sf_suspend_is_possible(const char *sys, SfSuspend mode);

/* Has the kernel do it, without anybody's help; returns after the guest was woken. */
bool sf_suspend_by_kernel(const char *sys, SfSuspend mode,
			  GError **error) G_GNUC_WARN_UNUSED_RESULT;
