/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns what one stream of a program has said. Invariant: all programs' streams together keep no
 * more than MAX_OUTPUT_OF_ALL. Called by execs.
 */
#include "config.h"

#include <errno.h>
#include <glib-unix.h>
#include <unistd.h>

#include "agent/exec-output.h"

#define MAX_OUTPUT (16 << 20)
#define MAX_OUTPUT_OF_ALL (64 << 20)

static void keep(SfExecOutput *output, const guint8 *data, gsize size)
{
	gsize room = MIN(MAX_OUTPUT - output->data->len, MAX_OUTPUT_OF_ALL - *output->kept);

	if (size > room)
		output->is_truncated = true;
	size = MIN(size, room);
	if (size > 0)
		g_byte_array_append(output->data, data, size);
	*output->kept += size;
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer user_data)
{
	SfExecOutput *output = user_data;
	guint8 buffer[16384];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	if (n > 0) {
		keep(output, buffer, n);
		return G_SOURCE_CONTINUE;
	}
	output->source = 0;
	sf_exec_output_close(output);
	output->closed(output->user_data);
	return G_SOURCE_REMOVE;
}

void sf_exec_output_init(SfExecOutput *output, int fd, gsize *kept, void (*closed)(gpointer),
			 gpointer user_data)
{
	*output = (SfExecOutput){.fd = fd,
				 .data = g_byte_array_new(),
				 .kept = kept,
				 .closed = closed,
				 .user_data = user_data};
	if (fd >= 0)
		output->source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, on_readable, output);
}

void sf_exec_output_close(SfExecOutput *output)
{
	g_clear_handle_id(&output->source, g_source_remove);
	if (output->fd >= 0)
		close(output->fd);
	output->fd = -1;
}

void sf_exec_output_clear(SfExecOutput *output)
{
	sf_exec_output_close(output);
	*output->kept -= output->data->len;
	g_byte_array_unref(output->data);
}
