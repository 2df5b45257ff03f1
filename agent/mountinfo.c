/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the format of /proc/PID/mountinfo. libmount reads it too, but makes some twenty blocks of
 * each line, which a table of ten thousand feels. Called by mounts.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/mountinfo.h"

/* The more the kernel may print at once, the less the table can change meanwhile. */
#define CHUNK_SIZE (256 * 1024)
#define MAX_SIZE (256 << 20)
#define SEPARATOR " - "

static bool read_all(int fd, GString *text)
{
	for (;;) {
		gsize old = text->len;
		ssize_t n;

		g_string_set_size(text, old + CHUNK_SIZE);
		n = read(fd, text->str + old, CHUNK_SIZE);
		g_string_set_size(text, old + (n > 0 ? (gsize)n : 0));
		if (n == 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
		if (text->len > MAX_SIZE) {
			errno = EFBIG;
			return false;
		}
	}
}

char *sf_mountinfo_read(const char *path)
{
	g_autoptr(GString) text = NULL;
	bool done;
	int reason;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	text = g_string_new(NULL);
	done = read_all(fd, text);
	reason = errno;
	close(fd);
	errno = reason;
	return done ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

guint sf_mountinfo_count(const char *text)
{
	guint count = 1;

	while ((text = strchr(text, '\n'))) {
		count++;
		text++;
	}
	return count;
}

static bool is_octal(const char *digits)
{
	return digits[0] >= '0' && digits[0] <= '3' && digits[1] >= '0' && digits[1] <= '7' &&
	       digits[2] >= '0' && digits[2] <= '7';
}

/* In place: the kernel writes blanks, newlines and backslashes as "\\040". */
static char *unescape(char *text)
{
	char *from = strchr(text, '\\');
	char *to = from;

	if (!from)
		return text;
	while (*from) {
		if (*from == '\\' && is_octal(from + 1)) {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 |
				       (from[3] - '0'));
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
	return text;
}

/* Cuts the next field off; NULL where there is none left. */
static char *next_field(char **at)
{
	char *field = *at;
	char *end;

	if (!field)
		return NULL;
	end = strchr(field, ' ');
	*at = end ? end + 1 : NULL;
	if (end)
		*end = '\0';
	return field;
}

/* A number and the letter behind it, which is skipped. */
static bool read_number(char **at, char end, unsigned int *out_number)
{
	char *from = *at;
	unsigned int number = 0;

	while (g_ascii_isdigit(**at) && *at - from < 10)
		number = number * 10 + (unsigned int)(*(*at)++ - '0');
	if (*at == from || **at != end)
		return false;
	(*at)++;
	*out_number = number;
	return true;
}

static bool read_head(char *head, SfMountLine *line)
{
	unsigned int id, parent;

	if (!read_number(&head, ' ', &id) || !read_number(&head, ' ', &parent) ||
	    !read_number(&head, ':', &line->major) || !read_number(&head, ' ', &line->minor))
		return false;
	line->id = (int)id;
	line->parent = (int)parent;
	line->root = next_field(&head);
	line->target = next_field(&head);
	/* The options of the mount follow, and others that may be missing. */
	return line->root && line->target && head && *line->root && *line->target;
}

static bool read_tail(char *tail, SfMountLine *line)
{
	line->fstype = next_field(&tail);
	line->source = next_field(&tail);
	line->super_options = tail;
	return line->fstype && *line->fstype && line->source && tail;
}

bool sf_mountinfo_next(char **at, SfMountLine *out_line)
{
	char *line = *at;
	char *end = strchr(line, '\n');
	char *separator;

	if (end)
		*end = '\0';
	*at = end ? end + 1 : line + strlen(line);
	separator = strstr(line, SEPARATOR);
	if (!separator)
		return false;
	*separator = '\0';
	if (!read_head(line, out_line) || !read_tail(separator + strlen(SEPARATOR), out_line))
		return false;
	unescape(out_line->root);
	unescape(out_line->target);
	unescape(out_line->fstype);
	unescape(out_line->source);
	unescape(out_line->super_options);
	return true;
}

bool sf_mountinfo_has_option(const char *options, const char *name)
{
	size_t length = strlen(name);

	for (;;) {
		const char *end = strchrnul(options, ',');

		if ((size_t)(end - options) == length && strncmp(options, name, length) == 0)
			return true;
		if (*end == '\0')
			return false;
		options = end + 1;
	}
}
