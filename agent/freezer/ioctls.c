/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The only place in the project that has FIFREEZE and FITHAW (linux/fs.h; the kernel answers in
 * fs/ioctl.c). Linked by the freezer, by the agent's rescue and by the client's "thaw --foreign".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "agent/freezer/ioctls.h"

/* DANGER: blocks every writer of the filesystem that @fd leads to, for ever, unless somebody thaws
 * it. */
static int freeze(int fd)
{
	return ioctl(fd, FIFREEZE, 0) < 0 ? -errno : 0;
}

/* DANGER: undoes a freeze, whoever made it: only for what the record calls ours. */
int sf_ioctl_thaw(int fd)
{
	return ioctl(fd, FITHAW, 0) < 0 ? -errno : 0;
}

static int flush(int fd)
{
	return syncfs(fd) < 0 ? -errno : 0;
}

static int rehearse(int fd)
{
	return 0;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void pause_ms(unsigned int ms)
{
	struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&left, NULL);
}

const struct sf_operations sf_operations_real = {freeze, sf_ioctl_thaw, flush, now_us, pause_ms};
const struct sf_operations sf_operations_rehearsal = {rehearse, rehearse, flush, now_us, pause_ms};
