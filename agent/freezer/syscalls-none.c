/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Instead of syscalls.c where the compiler's own code makes calls that nobody here knows of. */
#include <errno.h>

#include "agent/freezer/syscalls.h"

int sf_syscalls_confine(bool may_freeze)
{
	return -ENOTSUP;
}
