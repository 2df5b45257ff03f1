/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent/opener: on mounts that this machine has. Nothing but opening is done with them.
 */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/mounts.h"
#include "agent/opener.h"

#define LONG_MS 60000

typedef struct {
	GMainLoop *loop;
	GError *error;
	int calls;
} Outcome;

static void on_done(const GError *error, gpointer user_data)
{
	Outcome *outcome = user_data;

	outcome->calls++;
	outcome->error = error ? g_error_copy(error) : NULL;
	g_main_loop_quit(outcome->loop);
}

static void outcome_clear(Outcome *outcome)
{
	g_clear_error(&outcome->error);
	g_clear_pointer(&outcome->loop, g_main_loop_unref);
}

static Outcome run(SfPlan *plan, unsigned timeout_ms)
{
	Outcome outcome = {.loop = g_main_loop_new(NULL, FALSE)};

	sf_opener_start(plan, timeout_ms, on_done, &outcome);
	g_assert_cmpint(outcome.calls, ==, 0);
	g_main_loop_run(outcome.loop);
	g_assert_cmpint(outcome.calls, ==, 1);
	return outcome;
}

static void route_clear(gpointer data)
{
	g_free(((SfRoute *)data)->path);
}

static void target_free(gpointer data)
{
	SfTarget *target = data;

	if (target->fd >= 0)
		close(target->fd);
	g_free(target->name);
	g_free(target->mountpoint);
	g_clear_pointer(&target->mountpoints, g_ptr_array_unref);
	g_array_unref(target->routes);
	g_free(target);
}

/* Only as much of a plan as opening reads. */
static SfPlan *plan_new(void)
{
	SfPlan *plan = g_new0(SfPlan, 1);

	plan->targets = g_ptr_array_new_with_free_func(target_free);
	plan->edges = g_array_new(FALSE, FALSE, sizeof(SfPlanEdge));
	plan->left_out = g_ptr_array_new();
	return plan;
}

static void add_route(SfTarget *target, const char *path, int mount_id)
{
	SfRoute route = {.path = g_strdup(path), .mount_id = mount_id};

	g_array_append_val(target->routes, route);
}

static SfTarget *add_target(SfPlan *plan, const char *path, int mount_id, SfDevice device)
{
	SfTarget *target = g_new0(SfTarget, 1);

	target->device = device;
	target->name = g_strdup(path);
	target->mountpoint = g_strdup(path);
	target->mount_id = mount_id;
	target->mountpoints = g_ptr_array_new();
	target->fd = -1;
	target->routes = g_array_new(FALSE, FALSE, sizeof(SfRoute));
	g_array_set_clear_func(target->routes, route_clear);
	add_route(target, path, mount_id);
	g_ptr_array_add(plan->targets, target);
	return target;
}

static SfMounts *read_mounts(void)
{
	g_autoptr(GError) error = NULL;
	SfMounts *mounts = sf_mounts_read("/proc/self/mountinfo", &error);

	g_assert_no_error(error);
	return mounts;
}

/* /proc is a mount everywhere, also in a chroot, where "/" is none. */
static const SfMount *find_proc(const SfMounts *mounts)
{
	const SfMount *proc = sf_mounts_find_holder(mounts, "/proc");

	g_assert_nonnull(proc);
	g_assert_cmpstr(proc->path, ==, "/proc");
	g_assert_true(proc->visible);
	return proc;
}

static int count_fds(void)
{
	g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
	int n = 0;

	while (g_dir_read_name(dir))
		n++;
	return n;
}

/* All visible mounts of this machine that nothing may hang on, whatever their type. */
static void test_all_mounts(void)
{
	g_autoptr(SfMounts) mounts = read_mounts();
	g_autoptr(SfPlan) plan = plan_new();
	Outcome outcome;

	for (guint i = 0; i < mounts->mounts->len; i++) {
		const SfMount *mount = g_ptr_array_index(mounts->mounts, i);

		if (mount->visible && !mount->is_behind_remote && !mount->is_behind_autofs &&
		    !sf_fskind_is_remote(mount->kind) && mount->kind != SF_FSKIND_AUTOFS &&
		    access(mount->path, R_OK) == 0)
			add_target(plan, mount->path, mount->id, mount->device);
	}
	g_assert_cmpuint(plan->targets->len, >, 0);
	outcome = run(plan, LONG_MS);
	g_assert_no_error(outcome.error);
	for (guint i = 0; i < plan->targets->len; i++) {
		const SfTarget *target = g_ptr_array_index(plan->targets, i);
		struct stat by_fd, by_path;

		g_assert_cmpint(fstat(target->fd, &by_fd), ==, 0);
		g_assert_cmpint(stat(target->mountpoint, &by_path), ==, 0);
		g_assert_cmpuint(by_fd.st_dev, ==, by_path.st_dev);
		g_assert_cmpuint(by_fd.st_ino, ==, by_path.st_ino);
		g_assert_cmpint(fcntl(target->fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
		g_assert_cmpint(fcntl(target->fd, F_GETFL) & O_ACCMODE, ==, O_RDONLY);
	}
	outcome_clear(&outcome);
}

/* @prepare makes the second of two targets fail with @message. */
static void assert_failure(void (*prepare)(SfPlan *plan, const SfMount *proc), const char *message)
{
	g_autoptr(SfMounts) mounts = read_mounts();
	const SfMount *proc = find_proc(mounts);
	g_autoptr(SfPlan) plan = plan_new();
	int fds = count_fds();
	Outcome outcome;

	add_target(plan, "/proc", proc->id, proc->device);
	prepare(plan, proc);
	outcome = run(plan, LONG_MS);
	g_assert_nonnull(outcome.error);
	g_assert_cmpstr(outcome.error->message, ==, message);
	for (guint i = 0; i < plan->targets->len; i++)
		g_assert_cmpint(((SfTarget *)g_ptr_array_index(plan->targets, i))->fd, ==, -1);
	outcome_clear(&outcome);
	g_assert_cmpint(count_fds(), <=, fds + 1); /* GLib's own, for the child */
}

static void other_mount(SfPlan *plan, const SfMount *proc)
{
	add_target(plan, "/proc", proc->id + 100000, proc->device);
}

static void other_device(SfPlan *plan, const SfMount *proc)
{
	add_target(plan, "/proc", proc->id, SF_DEVICE(4000, 1));
}

static void missing(SfPlan *plan, const SfMount *proc)
{
	add_target(plan, "/nonexistent", proc->id, proc->device);
}

static void device_node(SfPlan *plan, const SfMount *proc)
{
	add_target(plan, "/dev/null", proc->id, proc->device);
}

static void test_failures(void)
{
	assert_failure(other_mount, "'/proc' is another filesystem by now");
	assert_failure(other_device, "'/proc' is another filesystem by now");
	assert_failure(missing, "open '/nonexistent': No such file or directory");
	assert_failure(device_node, "'/dev/null' is neither a folder nor a file");
}

/* A folder of ours with things in it that stand for what may be bound somewhere. */
typedef struct {
	char *folder, *file, *fifo, *socket;
	SfMounts *mounts;
	const SfMount *holder;
	SfPlan *plan;
} Fixture;

static void make_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpuint(strlen(path), <, sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path));
	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	close(fd);
}

/* 0: none; -1: this kernel does not tell. */
static pid_t find_child(void)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%d/children", (int)getpid());
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return -1;
	return strtol(text, NULL, 10);
}

static gboolean on_child_gone(gpointer user_data)
{
	if (find_child() != 0)
		return G_SOURCE_CONTINUE;
	g_main_loop_quit(user_data);
	return G_SOURCE_REMOVE;
}

static void wait_for_reaping(void)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);

	g_timeout_add(5, on_child_gone, loop);
	g_main_loop_run(loop);
}

static void set_up(Fixture *fixture, gconstpointer data)
{
	fixture->folder = g_dir_make_tmp("snapfreeze-XXXXXX", NULL);
	g_assert_nonnull(fixture->folder);
	fixture->file = g_build_filename(fixture->folder, "file", NULL);
	fixture->fifo = g_build_filename(fixture->folder, "fifo", NULL);
	fixture->socket = g_build_filename(fixture->folder, "socket", NULL);
	g_assert_true(g_file_set_contents(fixture->file, "x", 1, NULL));
	g_assert_cmpint(mkfifo(fixture->fifo, 0600), ==, 0);
	make_socket(fixture->socket);
	fixture->mounts = read_mounts();
	fixture->holder = sf_mounts_find_holder(fixture->mounts, fixture->folder);
	fixture->plan = plan_new();
	/* The children of earlier tests end whenever they like. */
	if (find_child() >= 0)
		wait_for_reaping();
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	g_unlink(fixture->file);
	g_unlink(fixture->fifo);
	g_unlink(fixture->socket);
	g_rmdir(fixture->folder);
	g_free(fixture->folder);
	g_free(fixture->file);
	g_free(fixture->fifo);
	g_free(fixture->socket);
	sf_mounts_free(fixture->mounts);
	sf_plan_free(fixture->plan);
}

static SfTarget *add(Fixture *fixture, const char *path)
{
	return add_target(fixture->plan, path, fixture->holder->id, fixture->holder->device);
}

static void test_single_file(Fixture *fixture, gconstpointer data)
{
	SfTarget *target = add(fixture, fixture->file);
	Outcome outcome = run(fixture->plan, LONG_MS);
	char buffer[4];

	g_assert_no_error(outcome.error);
	g_assert_cmpint(read(target->fd, buffer, sizeof(buffer)), ==, 1);
	outcome_clear(&outcome);
}

/* What is no folder and no file is passed over, and a folder is preferred wherever it stands. */
static void test_routes(Fixture *fixture, gconstpointer data)
{
	SfTarget *with_folder = add(fixture, fixture->socket);
	SfTarget *with_file = add(fixture, fixture->fifo);
	struct stat info;
	Outcome outcome;

	add_route(with_folder, fixture->file, fixture->holder->id);
	add_route(with_folder, fixture->folder, fixture->holder->id);
	add_route(with_file, fixture->file, fixture->holder->id);
	outcome = run(fixture->plan, LONG_MS);
	g_assert_no_error(outcome.error);
	g_assert_cmpint(fstat(with_folder->fd, &info), ==, 0);
	g_assert_true(S_ISDIR(info.st_mode));
	g_assert_cmpint(fstat(with_file->fd, &info), ==, 0);
	g_assert_true(S_ISREG(info.st_mode));
	outcome_clear(&outcome);
}

static void test_neither(Fixture *fixture, gconstpointer data)
{
	SfTarget *target = add(fixture, fixture->fifo);
	Outcome outcome;

	add_route(target, fixture->socket, fixture->holder->id);
	outcome = run(fixture->plan, LONG_MS);
	g_assert_nonnull(outcome.error);
	g_assert_nonnull(strstr(outcome.error->message, "is neither a folder nor a file"));
	outcome_clear(&outcome);
}

static void test_empty(Fixture *fixture, gconstpointer data)
{
	Outcome outcome = run(fixture->plan, LONG_MS);

	g_assert_no_error(outcome.error);
	outcome_clear(&outcome);
}

/* More targets than the socket holds while nobody reads, so that the child is not done yet. */
static bool add_many(Fixture *fixture)
{
	struct rlimit limit;

	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < SF_PLAN_MAX_TARGETS + 100) {
		g_test_skip("not enough descriptors");
		return false;
	}
	for (int i = 0; i < SF_PLAN_MAX_TARGETS; i++)
		add(fixture, fixture->folder);
	return true;
}

static void test_many(Fixture *fixture, gconstpointer data)
{
	Outcome outcome;

	if (!add_many(fixture))
		return;
	outcome = run(fixture->plan, LONG_MS);
	g_assert_no_error(outcome.error);
	for (guint i = 0; i < fixture->plan->targets->len; i++)
		g_assert_cmpint(((SfTarget *)g_ptr_array_index(fixture->plan->targets, i))->fd, >,
				-1);
	outcome_clear(&outcome);
}

/* A stopped child is as good as one that hangs: the caller hears of it at the deadline, and the
 * child is gone at last. */
static void test_hanging(Fixture *fixture, gconstpointer data)
{
	Outcome outcome = {.loop = g_main_loop_new(NULL, FALSE)};
	int fds = count_fds();
	pid_t child;

	if (!add_many(fixture))
		return;
	sf_opener_start(fixture->plan, 200, on_done, &outcome);
	child = find_child();
	if (child > 0)
		g_assert_cmpint(kill(child, SIGSTOP), ==, 0);
	g_main_loop_run(outcome.loop);
	if (child < 0) {
		g_test_skip("this kernel does not list the children of a process");
	} else {
		g_assert_nonnull(outcome.error);
		g_assert_nonnull(strstr(outcome.error->message, fixture->folder));
		g_assert_nonnull(strstr(outcome.error->message, "not done within 200 ms"));
		wait_for_reaping();
		g_assert_cmpint(count_fds(), <=, fds + 1);
	}
	outcome_clear(&outcome);
}

static void test_cancel(Fixture *fixture, gconstpointer data)
{
	Outcome outcome = {.loop = g_main_loop_new(NULL, FALSE)};
	int fds = count_fds();
	SfOpener *opener;

	if (!add_many(fixture))
		return;
	opener = sf_opener_start(fixture->plan, LONG_MS, on_done, &outcome);
	while (((SfTarget *)g_ptr_array_index(fixture->plan->targets, 0))->fd < 0)
		g_main_context_iteration(NULL, TRUE);
	sf_opener_cancel(opener);
	g_assert_cmpint(((SfTarget *)g_ptr_array_index(fixture->plan->targets, 0))->fd, ==, -1);
	if (find_child() >= 0)
		wait_for_reaping();
	g_assert_cmpint(outcome.calls, ==, 0);
	g_assert_cmpint(count_fds(), <=, fds + 1);
	outcome_clear(&outcome);
}

/* This process may have no more descriptors: an error, and none of them left open. */
static void test_no_descriptors(Fixture *fixture, gconstpointer data)
{
	struct rlimit before, few;
	Outcome outcome;
	int fds;

	if (!add_many(fixture))
		return;
	/* GLib makes its own the first time it waits. */
	g_main_context_iteration(NULL, FALSE);
	fds = count_fds();
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
	few = before;
	few.rlim_cur = fds + 50;
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
	outcome = run(fixture->plan, LONG_MS);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	g_assert_nonnull(outcome.error);
	g_assert_nonnull(strstr(outcome.error->message, "no descriptor is left"));
	g_assert_cmpint(count_fds(), <=, fds + 1);
	outcome_clear(&outcome);
}

#define ADD(name, test) g_test_add("/opener/" name, Fixture, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/opener/all-mounts", test_all_mounts);
	g_test_add_func("/opener/failures", test_failures);
	ADD("single-file", test_single_file);
	ADD("routes", test_routes);
	ADD("neither", test_neither);
	ADD("empty", test_empty);
	ADD("many", test_many);
	ADD("hanging", test_hanging);
	ADD("cancel", test_cancel);
	ADD("no-descriptors", test_no_descriptors);
	return g_test_run();
}
