/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the files that hosts have open. Invariant: the agent itself never waits for a file: to open,
 * read, write, seek and close is done in children, which hand over or share the descriptor. Called
 * by the file commands.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/freezer/messages.h"
#include "agent/passed-fd.h"
#include "protocol/error.h"

#define MAX_FILES 64
#define FIRST_HANDLE 1000
#define TIMEOUT_MS 30000
#define NEW_FILE_MODE 0644

struct SfFiles {
	SfErrands *errands;
	GHashTable *fds; /* gint64* -> fd */
	int64_t next;
};

/* What stands at the end of what each child writes. */
typedef struct {
	int64_t number; /* how much was written, or the position */
	int error;      /* the errno, or 0 */
	bool is_at_end;
} Trailer;

typedef struct {
	SfFiles *files;
	SfFileDone done;
	gpointer user_data;
	char *what; /* for the error */
	int socket; /* of an opening: where the descriptor comes; else -1 */
	int closed; /* of a closing: our own descriptor; else -1 */
} Operation;

/* What a child needs to know. */
typedef struct {
	int fd;
	const char *path;
	int flags, whence;
	const uint8_t *data;
	size_t count;
	int64_t offset;
} Task;

SfFiles *sf_files_new(SfErrands *errands)
{
	SfFiles *files = g_new0(SfFiles, 1);

	files->errands = errands;
	files->fds = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	files->next = FIRST_HANDLE;
	return files;
}

void sf_files_free(SfFiles *files)
{
	GHashTableIter iter;
	gpointer fd;

	if (!files)
		return;
	g_hash_table_iter_init(&iter, files->fds);
	while (g_hash_table_iter_next(&iter, NULL, &fd))
		close(GPOINTER_TO_INT(fd));
	g_hash_table_unref(files->fds);
	g_free(files);
}

static int find(const SfFiles *files, int64_t handle, GError **error)
{
	gpointer fd;

	if (g_hash_table_lookup_extended(files->fds, &handle, NULL, &fd))
		return GPOINTER_TO_INT(fd);
	sf_throw(error, "handle '%" G_GINT64_FORMAT "' has not been found", handle);
	return -1;
}

bool sf_files_has(const SfFiles *files, int64_t handle, GError **error)
{
	return find(files, handle, error) >= 0;
}

static int64_t add_file(SfFiles *files, int fd)
{
	gint64 *handle = g_new(gint64, 1);

	*handle = files->next++;
	g_hash_table_insert(files->fds, handle, GINT_TO_POINTER(fd));
	return *handle;
}

/* ---- in the child */

static void write_trailer(int fd, int64_t number, int error, bool is_at_end)
{
	Trailer trailer;

	memset(&trailer, 0, sizeof(trailer));
	trailer.number = number;
	trailer.error = error;
	trailer.is_at_end = is_at_end;
	sf_errand_write(fd, &trailer, sizeof(trailer));
}

static bool send_fd(int socket_fd, int fd)
{
	char byte = 0;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr envelope = {.msg_iov = &data, .msg_iovlen = 1};
	union sf_fd_control control;

	sf_fd_control_attach(&control, &envelope, &fd, 1);
	return sendmsg(socket_fd, &envelope, MSG_NOSIGNAL) == 1;
}

/* Not to wait for a writer of a FIFO, and never to get a terminal. */
static void child_open(int fd, gpointer work_data)
{
	const Task *task = work_data;
	int file = open(task->path, task->flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, NEW_FILE_MODE);
	int error = file < 0 || !send_fd(task->fd, file) ? errno : 0;

	write_trailer(fd, 0, error, false);
}

static void child_read(int fd, gpointer work_data)
{
	const Task *task = work_data;
	uint8_t buffer[65536];
	size_t done = 0;
	ssize_t n = 1;
	int error = 0;

	while (done < task->count && error == 0) {
		n = read(task->fd, buffer, MIN(sizeof(buffer), task->count - done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			error = errno;
		if (n <= 0 || !sf_errand_write(fd, buffer, n))
			break;
		done += n;
	}
	/* What was read before is of more use than why there is no more. */
	write_trailer(fd, 0, done > 0 ? 0 : error, n == 0);
}

static void child_write(int fd, gpointer work_data)
{
	const Task *task = work_data;
	size_t done = 0;
	int error = 0;

	while (done < task->count) {
		ssize_t n = write(task->fd, task->data + done, task->count - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			error = errno;
			break;
		}
		done += n;
	}
	write_trailer(fd, (int64_t)done, done > 0 ? 0 : error, false);
}

static void child_seek(int fd, gpointer work_data)
{
	const Task *task = work_data;
	off_t position = lseek(task->fd, task->offset, task->whence);

	write_trailer(fd, position, position < 0 ? errno : 0, false);
}

/* Closing may mean to write to another machine what is not written yet. */
static void child_close(int fd, gpointer work_data)
{
	const Task *task = work_data;
	int error = close(task->fd) < 0 ? errno : 0;

	write_trailer(fd, 0, error, false);
}

/* ---- in the agent */

static Operation *operation_new(SfFiles *files, SfFileDone done, gpointer user_data, char *what)
{
	Operation *operation = g_new0(Operation, 1);

	operation->files = files;
	operation->done = done;
	operation->user_data = user_data;
	operation->what = what;
	operation->socket = -1;
	operation->closed = -1;
	return operation;
}

static void operation_free(Operation *operation)
{
	if (operation->socket >= 0)
		close(operation->socket);
	g_free(operation->what);
	g_free(operation);
}

static bool read_trailer(const Operation *operation, const GByteArray *output, bool is_whole,
			 Trailer *out_trailer, GError **error)
{
	if (!is_whole || output->len < sizeof(*out_trailer))
		return sf_throw(error, "%s: no answer from the file", operation->what);
	memcpy(out_trailer, output->data + output->len - sizeof(*out_trailer),
	       sizeof(*out_trailer));
	errno = out_trailer->error;
	return errno == 0 || sf_throw_errno(error, "%s", operation->what);
}

static bool take_file(const Operation *operation, SfFileResult *result, GError **error)
{
	char byte;
	int fd;

	if (sf_passed_fd_receive(operation->socket, &byte, 1, &fd) != 1 || fd < 0)
		return sf_throw(error, "%s: no descriptor is left for it", operation->what);
	result->handle = add_file(operation->files, fd);
	return true;
}

static void on_done(const GByteArray *output, bool is_whole, gpointer user_data)
{
	Operation *operation = user_data;
	g_autoptr(GError) error = NULL;
	SfFileResult result = {0};
	Trailer trailer;

	if (read_trailer(operation, output, is_whole, &trailer, &error)) {
		result.data = output->data;
		result.count = output->len - sizeof(trailer);
		if (result.count == 0)
			result.count = (size_t)trailer.number;
		result.position = trailer.number;
		result.is_at_end = trailer.is_at_end;
		if (operation->socket >= 0)
			(void)!take_file(operation, &result, &error);
	}
	/* Once a child has closed it nothing is left to write. If it hangs, so would we. */
	if (operation->closed >= 0 && is_whole)
		close(operation->closed);
	operation->done(error ? NULL : &result, error, operation->user_data);
	operation_free(operation);
}

static void start(Operation *operation, SfErrandWork work, Task *task)
{
	sf_errand_start_with(operation->files->errands, task->fd, work, task, TIMEOUT_MS, on_done,
			     operation);
}

static void fail(Operation *operation, const GError *error)
{
	operation->done(NULL, error, operation->user_data);
	operation_free(operation);
}

static bool find_flags(const char *mode, int *out_flags, GError **error)
{
	static const struct {
		const char *modes;
		int flags;
	} known[] = {
		{"|r|rb|", O_RDONLY},
		{"|w|wb|", O_WRONLY | O_CREAT | O_TRUNC},
		{"|a|ab|", O_WRONLY | O_CREAT | O_APPEND},
		{"|r+|rb+|r+b|", O_RDWR},
		{"|w+|wb+|w+b|", O_RDWR | O_CREAT | O_TRUNC},
		{"|a+|ab+|a+b|", O_RDWR | O_CREAT | O_APPEND},
	};
	g_autofree char *sought = g_strconcat("|", mode, "|", NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(known) && !strchr(mode, '|'); i++) {
		if (!strstr(known[i].modes, sought))
			continue;
		*out_flags = known[i].flags;
		return true;
	}
	return sf_throw(error, "invalid file open mode '%s'", mode);
}

void sf_files_open(SfFiles *files, const char *path, const char *mode, SfFileDone done,
		   gpointer user_data)
{
	Operation *operation =
		operation_new(files, done, user_data,
			      g_strdup_printf("failed to open file '%s' (mode: '%s')", path, mode));
	g_autoptr(GError) error = NULL;
	Task task = {.path = path};
	int pair[2] = {-1, -1};

	if (g_hash_table_size(files->fds) >= MAX_FILES)
		sf_throw(&error, "%d files are open already", MAX_FILES);
	else if (find_flags(mode, &task.flags, &error) &&
		 socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		sf_throw_errno(&error, "make a socket pair");
	if (error) {
		fail(operation, error);
		return;
	}
	operation->socket = pair[0];
	task.fd = pair[1];
	start(operation, child_open, &task);
	close(pair[1]);
}

/* Starts what is done with an open file; @what: for the error. */
static void start_on_file(SfFiles *files, int64_t handle, const char *what, SfErrandWork work,
			  Task *task, SfFileDone done, gpointer user_data)
{
	Operation *operation = operation_new(files, done, user_data, g_strdup(what));
	g_autoptr(GError) error = NULL;

	task->fd = find(files, handle, &error);
	if (error) {
		fail(operation, error);
		return;
	}
	if (work == child_close) {
		operation->closed = task->fd;
		g_hash_table_remove(files->fds, &handle);
	}
	start(operation, work, task);
}

void sf_files_close(SfFiles *files, int64_t handle, SfFileDone done, gpointer user_data)
{
	Task task = {0};

	start_on_file(files, handle, "failed to close handle", child_close, &task, done, user_data);
}

void sf_files_read(SfFiles *files, int64_t handle, size_t count, SfFileDone done,
		   gpointer user_data)
{
	Task task = {.count = count};

	start_on_file(files, handle, "failed to read file", child_read, &task, done, user_data);
}

void sf_files_write(SfFiles *files, int64_t handle, const void *data, size_t count, SfFileDone done,
		    gpointer user_data)
{
	Task task = {.data = data, .count = count};

	start_on_file(files, handle, "failed to write to file", child_write, &task, done,
		      user_data);
}

void sf_files_seek(SfFiles *files, int64_t handle, int64_t offset, int whence, SfFileDone done,
		   gpointer user_data)
{
	Task task = {.offset = offset, .whence = whence};

	start_on_file(files, handle, "failed to seek file", child_seek, &task, done, user_data);
}
