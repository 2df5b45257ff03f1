/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps the freezer in memory: a page that is missing would be read from a disk, or made room for
 * by writing to one. Holds no state. Called by main.c. Only libc.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/freezer/memory.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

/* It must not be the one that the kernel kills when memory runs out. Without the right to it: as
 * others. */
static void refuse_oom_kill(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, "-1000", 5);
	close(fd);
}

bool sf_memory_lock(void)
{
	refuse_oom_kill();
	/* Memory that the kernel gets for us never waits for a filesystem (prctl(2)); older kernels
	 * do without. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	return mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
}

/* The whole pages of @begin to @end, which hold nothing between two freezes. */
static int lock_pages(void *begin, void *end, bool needed)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)begin + page - 1) / page * page,
		  to = (uintptr_t)end / page * page;

	if (to <= from)
		return 0;
	if (needed)
		return mlock((void *)from, to - from);
	munlock((void *)from, to - from);
	return madvise((void *)from, to - from, MADV_DONTNEED);
}

int sf_memory_lock_tables(struct sf_core *core, struct sf_workers *workers, bool needed)
{
	if (lock_pages(core->targets, core + 1, needed) < 0)
		return -errno;
	return lock_pages(workers->workers, workers + 1, needed) < 0 ? -errno : 0;
}
