/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns reading small files that the kernel makes up; what is missing is an ordinary answer. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/sysfs.h"

#define MAX_SIZE 8192

/* As many bytes as there are up to @size; negative where it cannot be read. */
static ssize_t read_some(int fd, char *buffer, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, buffer + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += n;
	}
	return done;
}

char *sf_sysfs_read(const char *folder, const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	char buffer[MAX_SIZE];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	n = read_some(fd, buffer, sizeof(buffer));
	close(fd);
	if (n < 0)
		return NULL;
	if (n > 0 && buffer[n - 1] == '\n')
		n--;
	return g_strndup(buffer, n);
}

bool sf_sysfs_read_device(const char *folder, const char *name, SfDevice *out_device)
{
	g_autofree char *text = sf_sysfs_read(folder, name);
	unsigned major, minor;

	if (!text || sscanf(text, "%u:%u", &major, &minor) != 2)
		return false;
	*out_device = SF_DEVICE(major, minor);
	return true;
}

GPtrArray *sf_sysfs_list(const char *folder)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		g_ptr_array_add(names, g_strdup(name));
	return names;
}

static gint compare_numbers(gconstpointer a, gconstpointer b)
{
	guint64 first = *(const guint64 *)a, second = *(const guint64 *)b;

	return first < second ? -1 : first > second;
}

GArray *sf_sysfs_list_numbered(const char *folder, const char *prefix)
{
	g_autoptr(GPtrArray) names = sf_sysfs_list(folder);
	GArray *numbers = g_array_new(FALSE, FALSE, sizeof(guint64));

	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		guint64 number;

		if (g_str_has_prefix(name, prefix) &&
		    g_ascii_string_to_unsigned(name + strlen(prefix), 10, 0, G_MAXINT64, &number,
					       NULL))
			g_array_append_val(numbers, number);
	}
	g_array_sort(numbers, compare_numbers);
	return numbers;
}

bool sf_sysfs_write(const char *folder, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	ssize_t n;
	int reason;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	n = write(fd, text, strlen(text));
	reason = n < 0 ? errno : EIO;
	close(fd);
	errno = reason;
	return n == (ssize_t)strlen(text);
}
