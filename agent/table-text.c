/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the reading of a table's text, and the first look at another namespace's: a machine with
 * hundreds of containers and services has as many tables, each as long as the own one. Called by
 * mounts and namespaces.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/table-text.h"

#define MAX_TEXT (64 << 20)
#define MAX_OWN_TEXT (512 << 20)
/* How often a table is read that changes meanwhile. */
#define MAX_READINGS 5
#define STEP (64 * 1024)

static GByteArray *read_text(int fd, guint max)
{
	g_autoptr(GByteArray) text = g_byte_array_new();

	while (text->len < max) {
		guint length = text->len;
		ssize_t n;

		g_byte_array_set_size(text, length + STEP);
		n = read(fd, text->data + length, STEP);
		g_byte_array_set_size(text, length + (n > 0 ? n : 0));
		if (n == 0)
			return g_steal_pointer(&text);
		if (n < 0 && errno != EINTR)
			return NULL;
	}
	errno = EFBIG;
	return NULL;
}

GByteArray *sf_table_text_read(int fd)
{
	return read_text(fd, MAX_TEXT);
}

bool sf_table_text_has_changed(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLPRI};

	return poll(&polled, 1, 0) != 0;
}

GByteArray *sf_table_text_read_own(int fd)
{
	GByteArray *text = read_text(fd, MAX_OWN_TEXT);

	for (int i = 1; text && i < MAX_READINGS && sf_table_text_has_changed(fd); i++) {
		if (lseek(fd, 0, SEEK_SET) != 0)
			break;
		g_byte_array_unref(text);
		text = read_text(fd, MAX_OWN_TEXT);
	}
	return text;
}

bool sf_table_text_is_kind_of_interest(SfFsKind kind)
{
	switch (kind) {
	case SF_FSKIND_LOCAL:
	case SF_FSKIND_NETWORK:
	case SF_FSKIND_FUSE:
	case SF_FSKIND_UNSUPPORTED:
		return true;
	case SF_FSKIND_MEMORY:
	case SF_FSKIND_PSEUDO:
	case SF_FSKIND_AUTOFS:
	case SF_FSKIND_OVERLAY:
		return false;
	}
	return false;
}

/* "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw": spaces in names are escaped. */
static bool read_line(char *line, SfDevice *out_device, const char **out_fstype)
{
	unsigned major, minor;
	char *fstype = strstr(line, " - ");

	if (!fstype || sscanf(line, "%*d %*d %u:%u ", &major, &minor) != 2)
		return false;
	fstype += strlen(" - ");
	fstype[strcspn(fstype, " ")] = '\0';
	*out_device = SF_DEVICE(major, minor);
	*out_fstype = fstype;
	return true;
}

static bool is_shown_by_own(const SfMounts *mounts, SfDevice device)
{
	const GPtrArray *superblock = sf_mounts_of_device(mounts, device);

	return superblock && !((const SfMount *)g_ptr_array_index(superblock, 0))->space;
}

static void glance_at_line(char *line, const SfMounts *mounts, SfTableGlance *glance)
{
	SfDevice device;
	const char *fstype;
	SfFsKind kind;

	/* The parser says what is wrong with it. */
	if (!read_line(line, &device, &fstype)) {
		glance->is_of_interest = true;
		return;
	}
	kind = sf_fskind(fstype, SF_DEVICE_MAJOR(device) != 0);
	if (kind == SF_FSKIND_OVERLAY || (kind == SF_FSKIND_LOCAL && SF_DEVICE_MAJOR(device) == 0))
		glance->holds_anonymous = true;
	if (sf_fskind_is_remote(kind))
		glance->is_of_interest = true;
	else if (sf_table_text_is_kind_of_interest(kind) && !is_shown_by_own(mounts, device))
		glance->is_of_interest = true;
}

SfTableGlance sf_table_text_glance(const GByteArray *text, const SfMounts *mounts)
{
	SfTableGlance glance = {0};
	g_autoptr(GString) line = g_string_new(NULL);
	const char *at = (const char *)text->data;
	const char *end = at + text->len;

	while (at < end) {
		const char *newline = memchr(at, '\n', end - at);

		if (!newline)
			newline = end;
		g_string_truncate(line, 0);
		g_string_append_len(line, at, newline - at);
		if (line->len > 0)
			glance_at_line(line->str, mounts, &glance);
		at = newline + 1;
	}
	return glance;
}
