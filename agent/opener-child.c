/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns opening, in a process where it may hang. Nothing here allocates, prints or takes a lock: the
 * fork may have caught another thread holding it. Called by opener, once per child.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/freezer/capabilities.h"
#include "agent/freezer/messages.h"
#include "agent/namespaces.h"
#include "agent/opener-child.h"

/* The same number on every architecture that has it; glibc's headers before 2.34 do not name it. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC)
#define MAX_FDS (1 << 20)

/* Before Linux 5.9 there is only closing them one by one. */
static void close_between(unsigned first, unsigned last)
{
	struct rlimit limit;

	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > MAX_FDS)
		limit.rlim_cur = MAX_FDS;
	for (unsigned fd = first; fd <= last && fd < limit.rlim_cur; fd++)
		close(fd);
}

static void write_number(char *text, uint64_t number)
{
	char digits[24];
	int n = 0;

	do {
		digits[n++] = '0' + number % 10;
		number /= 10;
	} while (number > 0);
	while (n > 0)
		*text++ = digits[--n];
	*text = '\0';
}

static void close_keeping_errno(int fd)
{
	int reason = errno;

	close(fd);
	errno = reason;
}

static int read_fdinfo(int fd, char *buffer, size_t size)
{
	char path[64] = "/proc/self/fdinfo/";
	ssize_t length;
	int info;

	write_number(path + strlen(path), fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -1;
	length = read(info, buffer, size - 1);
	close(info);
	buffer[length < 0 ? 0 : length] = '\0';
	return length < 0 ? -1 : 0;
}

/* /proc tells it on every kernel that can freeze; statx only since 5.8. */
static int find_mount_id(int fd)
{
	char buffer[1024];
	const char *digit;
	int id = 0;

	if (read_fdinfo(fd, buffer, sizeof(buffer)) < 0)
		return -1;
	digit = strstr(buffer, "mnt_id:");
	if (!digit)
		return -1;
	for (digit += strlen("mnt_id:"); *digit == ' ' || *digit == '\t'; digit++)
		;
	if (*digit < '0' || *digit > '9')
		return -1;
	for (; *digit >= '0' && *digit <= '9'; digit++)
		id = id * 10 + (*digit - '0');
	return id;
}

/* The table may have changed since it was read: after an unmount the path leads to the parent
 * filesystem, and freezing that could be freezing '/'. Anonymous numbers (major 0) are not
 * compared: btrfs gives each subvolume another. */
static bool is_planned(int fd, const SfTarget *target, int mount_id)
{
	struct stat info;

	if (find_mount_id(fd) != mount_id || fstat(fd, &info) < 0)
		return false;
	return SF_DEVICE_MAJOR(target->device) == 0 ||
	       SF_DEVICE(major(info.st_dev), minor(info.st_dev)) == target->device;
}

static SfOpenerResult check(int fd, const SfTarget *target, const SfRoute *route, int *out_fd)
{
	if (!is_planned(fd, target, route->mount_id)) {
		close(fd);
		return SF_OPENER_OTHER_FILESYSTEM;
	}
	*out_fd = fd;
	return SF_OPENER_OPENED;
}

static bool space_is(int folder, const SfNamespace *space)
{
	char expected[64] = "mnt:[";
	char text[64];
	ssize_t length = readlinkat(folder, "ns/mnt", text, sizeof(text) - 1);

	if (length < 0)
		return false;
	text[length] = '\0';
	write_number(expected + strlen(expected), space->inode);
	strcat(expected, "]");
	return strcmp(text, expected) == 0;
}

/* -1 with errno. The folder is that of one process, and is nobody's once that has ended, whoever
 * gets its pid next. */
static int open_root(const SfNamespace *space)
{
	int folder = open(space->process, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int root = -1;

	if (folder < 0)
		return -1;
	if (space_is(folder, space))
		root = openat(folder, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	else
		errno = ESRCH;
	close_keeping_errno(folder);
	return root;
}

/* The next component of @path into @name, which holds NAME_MAX + 1; what is left of @path.
 * (nullable): it is too long, or leads up. */
static const char *take_component(const char *path, char *name)
{
	size_t length = strcspn(path, "/");

	if (length > NAME_MAX)
		return NULL;
	memcpy(name, path, length);
	name[length] = '\0';
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return NULL;
	return path + length + strspn(path + length, "/");
}

/* -1 with errno. What lies there is another's to arrange: each component is opened by itself, none
 * leads up, and a symbolic link is never followed, so the way cannot leave @root but by a mount;
 * which mount it ends on is checked by whoever calls. (openat2(2) says the same in one call, but
 * only since Linux 5.6.) Closes @root. */
static int open_below(int root, const char *path, int flags)
{
	char name[NAME_MAX + 1] = ".";
	int at = root;

	path += strspn(path, "/");
	while (at >= 0 && *path) {
		int folder = at;

		path = take_component(path, name);
		if (!path) {
			close(folder);
			errno = EINVAL;
			return -1;
		}
		if (!*path)
			break;
		at = openat(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close_keeping_errno(folder);
	}
	if (at < 0)
		return -1;
	root = openat(at, name, flags | O_NOFOLLOW);
	close_keeping_errno(at);
	return root;
}

static int open_route(const SfRoute *route, int flags)
{
	if (!route->space)
		return open(route->path, flags);
	return open_below(open_root(route->space), route->path, flags);
}

/* To open a device node, a FIFO or a socket would reach a driver or a process: what it is is looked
 * at first, and the very same is opened then. */
static SfOpenerResult open_file(const SfTarget *target, const SfRoute *route, int *out_fd)
{
	char self[64] = "/proc/self/fd/";
	struct stat info;
	int fd = -1;
	int node = open_route(route, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (node < 0)
		return SF_OPENER_FAILED;
	if (fstat(node, &info) < 0 || !S_ISREG(info.st_mode)) {
		close(node);
		return SF_OPENER_NO_FILE;
	}
	write_number(self + strlen(self), node);
	fd = open(self, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return SF_OPENER_FAILED;
	close(node);
	return check(fd, target, route, out_fd);
}

static SfOpenerResult open_folder(const SfTarget *target, const SfRoute *route, int *out_fd)
{
	int fd = open_route(route, FOLDER_FLAGS);

	if (fd >= 0)
		return check(fd, target, route, out_fd);
	return errno == ENOTDIR ? SF_OPENER_NO_FILE : SF_OPENER_FAILED;
}

/* A folder where there is one, else a single file that is bound somewhere. */
static SfOpenerResult open_target(const SfTarget *target, int *out_fd)
{
	SfOpenerResult result = SF_OPENER_NO_FILE;

	for (guint i = 0; i < target->routes->len && result == SF_OPENER_NO_FILE; i++)
		result = open_folder(target, &g_array_index(target->routes, SfRoute, i), out_fd);
	for (guint i = 0; i < target->routes->len && result == SF_OPENER_NO_FILE; i++)
		result = open_file(target, &g_array_index(target->routes, SfRoute, i), out_fd);
	return result;
}

static bool send_message(int socket_fd, SfOpenerMessage *message, int fd)
{
	struct iovec data = {.iov_base = message, .iov_len = sizeof(*message)};
	struct msghdr envelope = {.msg_iov = &data, .msg_iovlen = 1};
	union sf_fd_control control;

	if (fd >= 0)
		sf_fd_control_attach(&control, &envelope, &fd, 1);
	return sendmsg(socket_fd, &envelope, MSG_NOSIGNAL) == sizeof(*message);
}

_Noreturn void sf_opener_child_run(const SfPlan *plan, int socket_fd)
{
	/* Not to outlive the agent: it would pin filesystems that nobody knows of. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (socket_fd > 0)
		close_between(0, socket_fd - 1);
	close_between(socket_fd + 1, ~0U);
	/* Folders of others, and roots of processes of others. */
	sf_capabilities_keep(SF_CAPABILITY(CAP_DAC_READ_SEARCH) | SF_CAPABILITY(CAP_SYS_PTRACE));

	for (guint i = 0; i < plan->targets->len; i++) {
		SfOpenerMessage message = {.number = i};
		int fd = -1;

		message.result = open_target(g_ptr_array_index(plan->targets, i), &fd);
		message.error = errno;
		if (!send_message(socket_fd, &message, fd) || fd < 0)
			_exit(1);
		close(fd);
	}
	_exit(0);
}
