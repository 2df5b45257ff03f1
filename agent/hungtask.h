/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * sf_hung_task_cap:
 * @proc: "/proc"
 * @most_s: the longest that a freeze may last otherwise
 *
 * Where kernel.hung_task_panic is set the kernel panics on a task that is blocked for
 * kernel.hung_task_timeout_secs (its Documentation/admin-guide/sysctl/kernel.rst), which a writer
 * to a frozen filesystem is.
 *
 * Returns: @most_s, or what is left of it under that limit
 */
unsigned int sf_hung_task_cap(const char *proc, unsigned int most_s);
