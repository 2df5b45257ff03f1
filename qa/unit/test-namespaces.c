/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/namespaces and what plans make of them: tables of other mount namespaces, by processes that
 * are files here. */
#include "config.h"

#include <glib/gstdio.h>
#include <string.h>

#include "agent/namespaces.h"
#include "agent/plan.h"
#include "qa/unit/fake-machine.h"

#define ROOT "20 1 253:1 / / rw - ext4 /dev/vda1 rw\n"
#define DATA "71 70 253:2 / /data rw - ext4 /dev/vda2 rw\n"

static FakeMachine *machine_new(void)
{
	FakeMachine *machine = fake_machine_new(ROOT);

	fake_machine_add_vda(machine, 3);
	return machine;
}

/* @root: of the process, within its namespace; @table: (nullable): it has ended by then */
static void add_process(FakeMachine *machine, int pid, const char *space, const char *root,
			const char *table)
{
	g_autofree char *link = g_strdup_printf("proc/%d/ns/mnt", pid);
	g_autofree char *root_link = g_strdup_printf("proc/%d/root", pid);
	g_autofree char *file = g_strdup_printf("proc/%d/mountinfo", pid);
	g_autofree char *comm = g_strdup_printf("proc/%d/comm", pid);

	fake_machine_link(machine, link, space);
	fake_machine_link(machine, root_link, root);
	fake_machine_write(machine, comm, "box\n");
	if (table)
		fake_machine_write(machine, file, table);
}

static SfPlan *plan_new(FakeMachine *machine, const char *const *mountpoints)
{
	g_autoptr(GError) error = NULL;
	SfPlan *plan = sf_plan_new(&machine->source, mountpoints, &error);

	g_assert_no_error(error);
	return plan;
}

/* "/proc/7/root/data /", in freezing order */
static void assert_names(FakeMachine *machine, const SfPlan *plan, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (guint i = 0; i < plan->targets->len; i++) {
		const SfTarget *target = g_ptr_array_index(plan->targets, i);
		const char *name = target->name;

		if (target->space)
			name += strlen(machine->folder);
		g_string_append_printf(text, "%s%s", i > 0 ? " " : "", name);
	}
	g_assert_cmpstr(text->str, ==, expected);
}

static void assert_plan(FakeMachine *machine, const char *expected)
{
	g_autoptr(SfPlan) plan = plan_new(machine, NULL);

	assert_names(machine, plan, expected);
}

static void assert_error(FakeMachine *machine, const char *path, const char *part)
{
	const char *const paths[] = {path, NULL};
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_plan_new(&machine->source, paths, &error));
	g_test_message("%s", error->message);
	g_assert_nonnull(strstr(error->message, part));
}

static void test_found(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(SfPlan) plan = NULL;
	const SfTarget *target;

	/* The own namespace's other processes, and kernel threads. */
	add_process(machine, 2, "mnt:[1]", "/", NULL);
	/* What the own namespace has stays with it, wherever else it is; what holds no data counts
	 * for nothing. */
	add_process(machine, 7, "mnt:[2]", "/",
		    "70 1 253:1 /box / rw - ext4 /dev/vda1 rw\n" DATA
		    "72 70 0:60 / /tmp rw - tmpfs tmpfs rw\n"
		    "73 70 0:61 / /merged rw - overlay overlay rw\n"
		    "74 70 0:62 / /nfs rw - nfs4 host:/x rw\n");
	add_process(machine, 8, "mnt:[2]", "/", NULL);
	plan = plan_new(machine, NULL);
	assert_names(machine, plan, "/proc/7/root/data /");
	target = g_ptr_array_index(plan->targets, 0);
	g_assert_cmpstr(target->mountpoint, ==, "/data");
	g_assert_cmpint(target->mount_id, ==, 71);
	g_assert_cmpint(target->space->pid, ==, 7);
	g_assert_cmpuint(target->space->inode, ==, 2);
	g_assert_cmpstr(target->space->command, ==, "box");
	g_assert_cmpuint(plan->left_out->len, ==, 1);
	g_assert_cmpstr(((const SfLeftOut *)plan->left_out->pdata[0])->mountpoint, ==, "/nfs");
	g_assert_cmpuint(sf_namespaces_count_unread(plan->mounts), ==, 0);
}

static void test_routes_of_several(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(SfPlan) plan = NULL;
	const SfTarget *target;

	/* Covered in one, open in the other: that is the way. */
	add_process(machine, 7, "mnt:[2]", "/", DATA "72 71 0:60 / /data rw - tmpfs t rw\n");
	add_process(machine, 9, "mnt:[3]", "/", "81 80 253:2 / /store rw - ext4 /dev/vda2 rw\n");
	plan = plan_new(machine, NULL);
	assert_names(machine, plan, "/proc/9/root/store /");
	target = g_ptr_array_index(plan->targets, 0);
	g_assert_cmpuint(target->mountpoints->len, ==, 2);

	fake_machine_write(machine, "proc/9/mountinfo", ROOT);
	assert_error(machine, "/data", "'/data' is not a mount point");
}

/* Of several processes the one that sees most, whichever pid it has. */
static void test_jails(void)
{
	g_autoptr(FakeMachine) machine = machine_new();

	add_process(machine, 7, "mnt:[2]", "/jail/deep", ROOT);
	add_process(machine, 8, "mnt:[2]", "/jail", "71 70 253:3 / /in rw - xfs /dev/vda3 rw\n");
	assert_plan(machine, "/proc/8/root/in /");
	add_process(machine, 9, "mnt:[2]", "/", DATA);
	add_process(machine, 10, "mnt:[2]", "/", NULL);
	assert_plan(machine, "/proc/9/root/data /");
}

static void test_ended_process(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(SfPlan) plan = NULL;

	add_process(machine, 7, "mnt:[2]", "/", NULL);
	add_process(machine, 8, "mnt:[3]", "/", DATA);
	fake_machine_write(machine, "proc/9/comm", "zombie\n");
	plan = plan_new(machine, NULL);
	assert_names(machine, plan, "/proc/8/root/data /");
	g_assert_cmpuint(sf_namespaces_count_unread(plan->mounts), ==, 0);
}

/* No plan without it would be told from a whole one. */
static void test_unreadable_table(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(SfPlan) plan = NULL;

	add_process(machine, 7, "mnt:[2]", "/", "71 70 what / is - this\n");
	plan = plan_new(machine, NULL);
	g_assert_cmpuint(sf_namespaces_count_unread(plan->mounts), ==, 1);
	sf_plan_find_warnings(plan, &machine->source);
	g_assert_cmpuint(plan->warnings->len, ==, 1);
	g_assert_nonnull(strstr(plan->warnings->pdata[0], "cannot be read"));
}

static void test_changes(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(SfPlan) plan = NULL;
	g_autofree char *first = g_build_filename(machine->folder, "proc/7/ns/mnt", NULL);

	add_process(machine, 7, "mnt:[2]", "/", DATA);
	plan = plan_new(machine, NULL);
	g_assert_false(sf_namespaces_have_changed(plan->mounts, SF_PROCESSES_ALL));
	add_process(machine, 8, "mnt:[1]", "/", NULL);
	g_assert_false(sf_namespaces_have_changed(plan->mounts, SF_PROCESSES_ALL));
	add_process(machine, 9, "mnt:[3]", "/", ROOT);
	g_assert_true(sf_namespaces_have_changed(plan->mounts, SF_PROCESSES_ALL));
	g_assert_false(sf_namespaces_have_changed(plan->mounts, SF_PROCESSES_ALL));
	/* Its pid is another's by now. */
	g_unlink(first);
	fake_machine_link(machine, "proc/7/ns/mnt", "mnt:[3]");
	g_assert_true(sf_namespaces_have_changed(plan->mounts, SF_PROCESSES_ALL));
}

/* While writers wait, processes that were there before are not asked again. */
static void test_new_processes(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(SfPlan) plan = NULL;

	fake_machine_write(machine, "proc/loadavg", "0.00 0.01 0.05 1/200 50\n");
	add_process(machine, 7, "mnt:[2]", "/", DATA);
	plan = plan_new(machine, NULL);
	add_process(machine, 40, "mnt:[3]", "/", ROOT);
	g_assert_false(sf_namespaces_have_changed(plan->mounts, SF_PROCESSES_NEW));
	add_process(machine, 52, "mnt:[4]", "/", ROOT);
	g_assert_false(sf_namespaces_have_changed(plan->mounts, SF_PROCESSES_NEW));
	fake_machine_write(machine, "proc/loadavg", "0.00 0.01 0.05 1/200 52\n");
	g_assert_true(sf_namespaces_have_changed(plan->mounts, SF_PROCESSES_NEW));
	/* Pids have begun anew: all are asked. */
	fake_machine_write(machine, "proc/loadavg", "0.00 0.01 0.05 1/200 6\n");
	g_assert_true(sf_namespaces_have_changed(plan->mounts, SF_PROCESSES_NEW));
	add_process(machine, 5, "mnt:[5]", "/", ROOT);
	g_assert_false(sf_namespaces_have_changed(plan->mounts, SF_PROCESSES_NEW));
	g_assert_true(sf_namespaces_have_changed(plan->mounts, SF_PROCESSES_ALL));
}

/* The same through another process is the same; the same path in another namespace is not. */
static void test_equal(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(FakeMachine) other_process = machine_new();
	g_autoptr(FakeMachine) other_space = machine_new();
	g_autoptr(SfPlan) plan = NULL;
	g_autoptr(SfPlan) same = NULL;
	g_autoptr(SfPlan) other = NULL;

	add_process(machine, 7, "mnt:[2]", "/", DATA);
	add_process(other_process, 8, "mnt:[2]", "/", DATA);
	add_process(other_space, 7, "mnt:[3]", "/", DATA);
	plan = plan_new(machine, NULL);
	same = plan_new(other_process, NULL);
	other = plan_new(other_space, NULL);
	g_assert_true(sf_plan_equal(plan, same));
	g_assert_false(sf_plan_equal(plan, other));
}

static void test_named(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autofree char *place = g_build_filename(machine->proc, "8/root/data", NULL);
	g_autofree char *root = g_build_filename(machine->proc, "9/root", NULL);
	const char *const by_path[] = {"/data/", NULL};
	const char *const by_process[] = {place, root, NULL};
	const char *const twice[] = {"/store", NULL};
	g_autoptr(SfPlan) plan = NULL;
	g_autoptr(SfPlan) both = NULL;
	g_autoptr(SfPlan) one = NULL;

	add_process(machine, 7, "mnt:[2]", "/", DATA);
	add_process(machine, 8, "mnt:[2]", "/", NULL);
	plan = plan_new(machine, by_path);
	assert_names(machine, plan, "/proc/7/root/data");
	/* In two namespaces it is two things, unless it is one filesystem. */
	add_process(machine, 9, "mnt:[3]", "/",
		    "80 1 253:3 / / rw - xfs /dev/vda3 rw\n"
		    "81 80 253:3 /sub /data rw - xfs /dev/vda3 rw\n"
		    "82 80 253:3 /a /store rw - xfs /dev/vda3 rw\n");
	add_process(machine, 10, "mnt:[4]", "/", "92 1 253:3 /b /store rw - xfs /dev/vda3 rw\n");
	assert_error(machine, "/data", "in several namespaces");
	assert_error(machine, "/gone", "'/gone' is not a mount point");
	both = plan_new(machine, by_process);
	assert_names(machine, both, "/proc/9/root /proc/7/root/data");
	one = plan_new(machine, twice);
	assert_names(machine, one, "/proc/9/root");
	/* Not this machine's /proc. */
	assert_error(machine, "/proc/8/root/data", "not a mount point");
}

static void test_filter(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	const char *const exclude[] = {"/data", NULL};
	g_autoptr(SfPlan) excluded = NULL;
	g_autoptr(SfPlan) own = NULL;
	const SfLeftOut *left_out;

	add_process(machine, 7, "mnt:[2]", "/", DATA);
	machine->source.own_namespace_only = true;
	own = plan_new(machine, NULL);
	assert_names(machine, own, "/");
	left_out = g_ptr_array_index(own->left_out, 0);
	g_assert_cmpint(left_out->reason, ==, SF_LEFT_OUT_NAMESPACE);
	g_assert_cmpint(left_out->space->pid, ==, 7);
	g_assert_true(sf_left_out_reason_is_uncovered(left_out->reason));

	machine->source.exclude = exclude;
	excluded = plan_new(machine, NULL);
	left_out = g_ptr_array_index(excluded->left_out, 0);
	g_assert_cmpint(left_out->reason, ==, SF_LEFT_OUT_EXCLUDED);
}

/* When a container's filesystem was mounted cannot be told, so what may lie on it goes first. */
static void test_order(void)
{
	g_autoptr(FakeMachine) machine = machine_new();

	fake_machine_mount(machine, ROOT "21 20 43:0 / /net rw - ext4 /dev/nbd0 rw\n"
					 "22 20 253:3 / /late rw - xfs /dev/vda3 rw\n");
	fake_machine_disk(machine, "nbd0", "43:0", "virtual");
	assert_plan(machine, "/late /net /");
	add_process(machine, 7, "mnt:[2]", "/", DATA);
	assert_plan(machine, "/net /proc/7/root/data /late /");
}

/* A path of the kernel's, of which it does not say in which namespace it is one. */
static void test_loop_beside_btrfs(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(SfPlan) plan = NULL;

	fake_machine_mount(machine, ROOT "21 20 7:0 / /img rw - ext4 /dev/loop0 rw\n");
	fake_machine_loop(machine, "loop0", "7:0", "/data/a.img");
	plan = plan_new(machine, NULL);
	g_assert_false(((const SfTarget *)plan->targets->pdata[0])->backing_hidden);
	g_clear_pointer(&plan, sf_plan_free);
	add_process(machine, 7, "mnt:[2]", "/", "71 70 0:50 / /data rw - btrfs /dev/vda2 rw\n");
	fake_machine_btrfs(machine, "6a7f", "vda2");
	plan = plan_new(machine, NULL);
	assert_names(machine, plan, "/img /proc/7/root/data /");
	g_assert_true(((const SfTarget *)plan->targets->pdata[0])->backing_hidden);
}

static void test_json(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(SfPlan) plan = NULL;
	g_autoptr(JsonNode) node = NULL;
	g_autofree char *text = NULL;

	add_process(machine, 7, "mnt:[2]", "/", DATA);
	plan = plan_new(machine, NULL);
	node = sf_plan_to_json(plan, NULL);
	text = json_to_string(node, FALSE);
	g_assert_nonnull(strstr(text, "\"backing-hidden\":false,\"namespace\":{\"inode\":2,"
				      "\"pid\":7,\"command\":\"box\"}}"));
}

/* As many as a large host of containers has, each with a copy of the own table. */
static void test_many(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(GString) table = g_string_new(ROOT);
	g_autoptr(SfPlan) plan = NULL;
	gint64 start, planned;

	for (guint i = 0; i < 100; i++)
		g_string_append_printf(table, "%u 20 253:1 /%u /srv/%u rw - ext4 /dev/vda1 rw\n",
				       i + 100, i, i);
	fake_machine_mount(machine, table->str);
	for (guint i = 0; i < 200; i++) {
		g_autofree char *space = g_strdup_printf("mnt:[%u]", i + 2);

		add_process(machine, i + 1000, space, "/", table->str);
	}
	add_process(machine, 5000, "mnt:[999]", "/", DATA);
	start = g_get_monotonic_time();
	plan = plan_new(machine, NULL);
	planned = g_get_monotonic_time();
	assert_names(machine, plan, "/proc/5000/root/data /");
	g_assert_false(sf_namespaces_have_changed(plan->mounts, SF_PROCESSES_ALL));
	g_test_message("planned in %.1f ms, asked again in %.1f ms", (planned - start) / 1000.0,
		       (g_get_monotonic_time() - planned) / 1000.0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/namespaces/found", test_found);
	g_test_add_func("/namespaces/routes-of-several", test_routes_of_several);
	g_test_add_func("/namespaces/jails", test_jails);
	g_test_add_func("/namespaces/ended-process", test_ended_process);
	g_test_add_func("/namespaces/unreadable-table", test_unreadable_table);
	g_test_add_func("/namespaces/changes", test_changes);
	g_test_add_func("/namespaces/new-processes", test_new_processes);
	g_test_add_func("/namespaces/equal", test_equal);
	g_test_add_func("/namespaces/named", test_named);
	g_test_add_func("/namespaces/filter", test_filter);
	g_test_add_func("/namespaces/order", test_order);
	g_test_add_func("/namespaces/loop-beside-btrfs", test_loop_beside_btrfs);
	g_test_add_func("/namespaces/json", test_json);
	g_test_add_func("/namespaces/many", test_many);
	return g_test_run();
}
