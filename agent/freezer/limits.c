/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lowers and restores the limits of dirty memory. Its invariant: the record says what to restore
 * before the first limit is lowered, and which values are ours before each is written, so that a
 * death between any two steps leaves what another can undo. Called by the agent's throttle and by
 * the freezer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/freezer/limits.h"

static int open_one(const char *proc, const char *name)
{
	char path[128];

	if (snprintf(path, sizeof(path), "%s/sys/vm/%s", proc, name) >= (int)sizeof(path))
		return -1;
	return open(path, O_RDWR | O_CLOEXEC);
}

int sf_limits_open(struct sf_limits *limits, const char *proc, struct sf_record_limits *record)
{
	int reason;

	limits->record = record;
	limits->bytes[SF_LIMIT_DIRTY] = open_one(proc, "dirty_bytes");
	limits->ratio[SF_LIMIT_DIRTY] = open_one(proc, "dirty_ratio");
	limits->bytes[SF_LIMIT_BACKGROUND] = open_one(proc, "dirty_background_bytes");
	limits->ratio[SF_LIMIT_BACKGROUND] = open_one(proc, "dirty_background_ratio");
	reason = errno;
	for (int i = 0; i < SF_LIMIT_COUNT; i++) {
		if (limits->bytes[i] < 0 || limits->ratio[i] < 0) {
			sf_limits_close(limits);
			return -reason;
		}
	}
	return 0;
}

void sf_limits_close(struct sf_limits *limits)
{
	for (int i = 0; i < SF_LIMIT_COUNT; i++) {
		if (limits->bytes[i] >= 0)
			close(limits->bytes[i]);
		if (limits->ratio[i] >= 0)
			close(limits->ratio[i]);
		limits->bytes[i] = limits->ratio[i] = -1;
	}
}

static int read_number(int fd, uint64_t *out_value)
{
	char text[32];
	ssize_t length = pread(fd, text, sizeof(text) - 1, 0);

	if (length <= 0)
		return length < 0 ? -errno : -EIO;
	text[length] = '\0';
	*out_value = strtoull(text, NULL, 10);
	return 0;
}

/* No stdio here: what runs while filesystems are frozen must not allocate. */
static int write_number(int fd, uint64_t value)
{
	char text[24];
	size_t at = sizeof(text);

	do
		text[--at] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	return pwrite(fd, text + at, sizeof(text) - at, 0) < 0 ? -errno : 0;
}

int sf_limits_save(struct sf_limits *limits)
{
	for (int i = 0; i < SF_LIMIT_COUNT; i++) {
		struct sf_record_limit *limit = &limits->record->limits[i];
		uint64_t bytes, ratio;
		int result = read_number(limits->bytes[i], &bytes);
		if (result == 0)
			result = read_number(limits->ratio[i], &ratio);
		if (result < 0)
			return result;
		atomic_store(&limit->old_bytes, bytes);
		atomic_store(&limit->old_ratio, ratio);
		atomic_store(&limit->ours, 0);
		atomic_store(&limit->next, 0);
	}
	atomic_store(&limits->record->are_saved, 1);
	return 0;
}

/* Of our own values the last two count: whoever looks may find us dead between the note and the
 * write. */
static bool is_ours(const struct sf_record_limit *limit, uint64_t bytes)
{
	return bytes != 0 &&
	       (bytes == atomic_load(&limit->ours) || bytes == atomic_load(&limit->next));
}

int sf_limits_lower(struct sf_limits *limits, enum sf_limit which, uint64_t bytes)
{
	struct sf_record_limit *limit = &limits->record->limits[which];
	uint64_t now;
	int result = read_number(limits->bytes[which], &now);

	if (result < 0)
		return result;
	bool is_first = atomic_load(&limit->ours) == 0;
	if (is_first ? now != atomic_load(&limit->old_bytes) : !is_ours(limit, now))
		return -EBUSY;
	atomic_store(&limit->next, bytes);
	result = write_number(limits->bytes[which], bytes);
	if (result == 0)
		atomic_store(&limit->ours, bytes);
	return result;
}

static int restore_one(struct sf_limits *limits, int which)
{
	const struct sf_record_limit *limit = &limits->record->limits[which];
	uint64_t now, old_bytes = atomic_load(&limit->old_bytes),
		      old_ratio = atomic_load(&limit->old_ratio);
	int result = read_number(limits->bytes[which], &now);

	if (result < 0 || !is_ours(limit, now))
		return result;
	if (old_bytes > 0)
		return write_number(limits->bytes[which], old_bytes);
	/* The kernel takes a ratio that does not change for no order to drop the bytes, and ours
	 * have made it 0. */
	if (old_ratio == 0)
		write_number(limits->ratio[which], 1);
	return write_number(limits->ratio[which], old_ratio);
}

int sf_limits_restore(struct sf_limits *limits)
{
	int worst = 0;

	if (!atomic_load(&limits->record->are_saved))
		return 0;
	for (int i = 0; i < SF_LIMIT_COUNT; i++) {
		int result = limits->bytes[i] < 0 ? -EBADF : restore_one(limits, i);
		if (result < 0)
			worst = result;
	}
	return worst;
}

void sf_limits_forget(struct sf_limits *limits)
{
	atomic_store(&limits->record->are_saved, 0);
}
