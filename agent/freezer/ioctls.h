/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/*
 * What the freezer does to a filesystem, and the time: five functions behind a table, so that a
 * test can let the n-th freeze fail with any errno, and a rehearsal touch nothing. All return 0 or
 * -errno.
 */
struct sf_operations {
	int (*freeze)(int fd);
	int (*thaw)(int fd);
	int (*flush)(int fd);
	uint64_t (*now_us)(void); /* CLOCK_MONOTONIC */
	void (*pause_ms)(unsigned int ms);
};

extern const struct sf_operations sf_operations_real;
/* Everything but FIFREEZE and FITHAW, which succeed without being issued. */
extern const struct sf_operations sf_operations_rehearsal;

/* FITHAW alone, for those who thaw when no freezer is left: rescue, recovery, an operator's thaw
 * --foreign. */
int sf_ioctl_thaw(int fd);
