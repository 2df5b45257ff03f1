/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns reading and changing a user's authorized_keys. Invariant: the file is replaced as a whole,
 * so that nobody ever sees half of it, and comments and options in it stay. Called by ssh, in
 * children.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/ssh-keys.h"
#include "protocol/error.h"

#define FOLDER ".ssh"
#define FILE_NAME "authorized_keys"
#define NEW_NAME "authorized_keys.new"
#define MAX_SIZE (1 << 20)

static bool is_key(const char *line)
{
	return *line != '\0' && *line != '#';
}

bool sf_ssh_keys_check(const char *const *keys, GError **error)
{
	for (; *keys; keys++) {
		/* libvirt splits a file at its newlines: behind the last one is nothing. */
		bool is_good = **keys == '\0' ||
			       (is_key(*keys) && !g_ascii_isspace(**keys) && strchr(*keys, ' '));

		for (const char *at = *keys; *at && is_good; at++)
			is_good = !g_ascii_iscntrl(*at) || *at == '\t';
		if (!is_good)
			return sf_throw(error, "invalid OpenSSH public key: '%s'", *keys);
	}
	return true;
}

static int open_folder(int home_fd, bool may_make, GError **error)
{
	int fd;

	if (may_make && mkdirat(home_fd, FOLDER, 0700) < 0 && errno != EEXIST) {
		sf_throw_errno(error, "make '%s'", FOLDER);
		return -1;
	}
	fd = openat(home_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		sf_throw_errno(error, "open '%s'", FOLDER);
	return fd;
}

static bool read_all(int fd, GString *text)
{
	char buffer[16384];
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		g_string_append_len(text, buffer, n);
		if (text->len > MAX_SIZE) {
			errno = EFBIG;
			return false;
		}
	}
	return true;
}

/* (transfer full) (nullable): NULL with errno; a FIFO or a device that a user put there is none. */
static char *read_file(int folder)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct stat info;
	bool done;
	int reason;
	int fd = openat(folder, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	errno = EINVAL;
	done = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && read_all(fd, text);
	reason = errno;
	close(fd);
	errno = reason;
	return done ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

static bool write_all(int fd, const char *text)
{
	size_t size = strlen(text);

	while (size > 0) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		size -= n;
	}
	return fsync(fd) == 0;
}

/* @text goes to a new file, which then takes the place of the old one. */
static bool write_file(int folder, const char *text, GError **error)
{
	bool done;
	int fd;

	unlinkat(folder, NEW_NAME, 0);
	fd = openat(folder, NEW_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return sf_throw_errno(error, "make '%s/%s'", FOLDER, NEW_NAME);
	done = write_all(fd, text) && renameat(folder, NEW_NAME, folder, FILE_NAME) == 0;
	if (!done) {
		sf_throw_errno(error, "write '%s/%s'", FOLDER, FILE_NAME);
		unlinkat(folder, NEW_NAME, 0);
	}
	close(fd);
	return done;
}

char **sf_ssh_keys_read(int home_fd, GError **error)
{
	int folder = open_folder(home_fd, false, error);
	g_autofree char *text = folder >= 0 ? read_file(folder) : NULL;
	g_auto(GStrv) lines = NULL;
	GPtrArray *keys;

	if (folder >= 0 && !text)
		sf_throw_errno(error, "read '%s/%s'", FOLDER, FILE_NAME);
	if (folder >= 0)
		close(folder);
	if (!text)
		return NULL;
	keys = g_ptr_array_new();
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++)
		if (is_key(g_strstrip(*line)))
			g_ptr_array_add(keys, g_strdup(*line));
	g_ptr_array_add(keys, NULL);
	return (char **)g_ptr_array_free(keys, FALSE);
}

/* The lines of @text that are none of @keys. */
static char *without(const char *text, const char *const *keys)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	GString *rest = g_string_new(NULL);

	for (char **line = lines; *line; line++) {
		g_autofree char *stripped = g_strstrip(g_strdup(*line));

		if ((is_key(stripped) && g_strv_contains(keys, stripped)) ||
		    (!line[1] && **line == '\0'))
			continue;
		g_string_append_printf(rest, "%s\n", *line);
	}
	return g_string_free(rest, FALSE);
}

/* @text and each of @keys that is not in it yet, once. */
static char *with(const char *text, const char *const *keys)
{
	g_autoptr(GHashTable) present = g_hash_table_new(g_str_hash, g_str_equal);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	GString *all = g_string_new(text);

	if (all->len > 0 && all->str[all->len - 1] != '\n')
		g_string_append_c(all, '\n');
	for (char **line = lines; *line; line++)
		g_hash_table_add(present, g_strstrip(*line));
	for (const char *const *key = keys; *key; key++)
		if (is_key(*key) && g_hash_table_add(present, (gpointer)*key))
			g_string_append_printf(all, "%s\n", *key);
	return g_string_free(all, FALSE);
}

static bool add(int folder, const char *const *keys, bool reset, GError **error)
{
	g_autofree char *old = reset ? NULL : read_file(folder);
	g_autofree char *new = NULL;

	/* Not to lose what cannot be read. */
	if (!reset && !old && errno != ENOENT)
		return sf_throw_errno(error, "read '%s/%s'", FOLDER, FILE_NAME);
	new = with(old ? old : "", keys);
	return write_file(folder, new, error);
}

bool sf_ssh_keys_add(int home_fd, const char *const *keys, bool reset, GError **error)
{
	int folder = open_folder(home_fd, true, error);
	bool done = folder >= 0 && add(folder, keys, reset, error);

	if (folder >= 0)
		close(folder);
	return done;
}

static bool remove_from(int folder, const char *const *keys, GError **error)
{
	g_autofree char *old = read_file(folder);
	g_autofree char *new = NULL;

	if (!old && errno == ENOENT)
		return true;
	if (!old)
		return sf_throw_errno(error, "read '%s/%s'", FOLDER, FILE_NAME);
	new = without(old, keys);
	return write_file(folder, new, error);
}

bool sf_ssh_keys_remove(int home_fd, const char *const *keys, GError **error)
{
	int folder;
	bool done;

	if (faccessat(home_fd, FOLDER, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return true;
	folder = open_folder(home_fd, false, error);
	done = folder >= 0 && remove_from(folder, keys, error);
	if (folder >= 0)
		close(folder);
	return done;
}
