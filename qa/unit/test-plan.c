/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/plan: what is frozen, through which mount, and what is not and why. */
#include "config.h"

#include <string.h>

#include "agent/hook-list.h"
#include "agent/superblocks.h"
#include "qa/unit/plan-rig.h"

/* "/proc pseudo, /mnt network" */
static void assert_left_out(const SfPlan *plan, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (guint i = 0; i < plan->left_out->len; i++) {
		const SfLeftOut *left_out = g_ptr_array_index(plan->left_out, i);

		g_string_append_printf(text, "%s%s %s", i > 0 ? ", " : "", left_out->mountpoint,
				       sf_left_out_reason_name(left_out->reason));
	}
	g_assert_cmpstr(text->str, ==, expected);
}

static void test_left_out(void)
{
	g_autoptr(FakeMachine) machine =
		rig_machine("22 20 0:22 / /proc rw - proc proc rw\n"
			    "23 20 0:30 / /nfs rw - nfs4 host:/x rw\n"
			    "24 20 0:31 / /host rw - virtiofs share rw\n"
			    "25 20 0:32 / /gvfs rw - fuse.gvfsd-fuse gvfs rw\n"
			    "26 20 253:2 / /ntfs rw - fuseblk /dev/vda2 rw\n"
			    "27 20 0:33 / /merged rw - overlay overlay rw,upperdir=/u\n"
			    "28 20 253:3 / /ro ro - ext4 /dev/vda3 ro\n"
			    "29 20 0:34 / /pool rw - zfs pool rw\n"
			    "30 20 11:0 / /cd ro - iso9660 /dev/sr0 ro\n"
			    "31 20 253:4 / /bound ro - vfat /dev/vda4 rw\n"
			    "32 20 0:35 / /auto rw - autofs systemd-1 rw\n");
	g_autoptr(SfPlan) plan = rig_plan(machine);
	g_autofree char *text = rig_spell(plan);

	/* A read-only mount of a writable superblock is frozen. */
	g_assert_cmpstr(text, ==, "/bound /");
	g_assert_true(plan->is_whole);
	assert_left_out(plan, "/dev pseudo, /proc pseudo, /nfs network, /host network, "
			      "/gvfs fuse, /ntfs fuse, /merged overlay, /ro read-only, "
			      "/pool unsupported, /cd read-only, /auto pseudo");
	g_assert_false(sf_left_out_reason_is_uncovered(SF_LEFT_OUT_PSEUDO));
	g_assert_false(sf_left_out_reason_is_uncovered(SF_LEFT_OUT_READ_ONLY));
	g_assert_true(sf_left_out_reason_is_uncovered(SF_LEFT_OUT_EXCLUDED));
	g_assert_true(sf_left_out_reason_is_uncovered(SF_LEFT_OUT_UNSUPPORTED));
}

static void test_once_per_superblock(void)
{
	g_autoptr(FakeMachine) machine =
		rig_machine("22 20 253:2 / /srv rw - xfs /dev/vda2 rw\n"
			    "23 20 253:1 /var/log /log rw - ext4 /dev/vda1 rw\n"
			    "24 20 253:2 / /again ro - xfs /dev/vda2 rw\n");
	g_autoptr(SfPlan) plan = rig_plan(machine);
	g_autofree char *text = rig_spell(plan);
	const SfTarget *srv;

	g_assert_cmpstr(text, ==, "/srv /");
	srv = rig_target(plan, 0);
	g_assert_cmpint(srv->mount_id, ==, 22);
	g_assert_cmpstr(srv->source, ==, "/dev/vda2");
	g_assert_cmpstr(srv->fstype, ==, "xfs");
	g_assert_cmpint(srv->fd, ==, -1);
	g_assert_cmpuint(srv->mountpoints->len, ==, 2);
	g_assert_cmpstr(g_ptr_array_index(srv->mountpoints, 1), ==, "/again");
	g_assert_cmpuint(srv->devices->len, ==, 1);
	g_assert_cmpuint(g_array_index(srv->devices, SfDevice, 0), ==, SF_DEVICE(253, 2));
	g_assert_cmpuint(srv->routes->len, ==, 2);
}

static void test_routes(void)
{
	g_autoptr(FakeMachine) hidden = NULL;
	g_autoptr(FakeMachine) remote = NULL;
	g_autoptr(FakeMachine) machine =
		rig_machine("22 20 253:2 /etc/hosts /etc/hosts rw - ext4 /dev/vda2 rw\n"
			    "23 20 253:2 / /data rw - ext4 /dev/vda2 rw\n"
			    "24 20 253:3 /f /file rw - ext4 /dev/vda3 rw\n");

	/* The whole rather than a part, which may be a single file; a part where there is no more.
	 */
	rig_assert_plan(machine, "/file /data /");

	/* Covered: through another mount where there is one, else an error and no omission. */
	rig_assert_table("22 20 253:2 / /a rw - ext4 /dev/vda2 rw\n"
			 "23 20 253:2 / /b rw - ext4 /dev/vda2 rw\n"
			 "24 22 0:40 / /a rw - tmpfs tmpfs rw\n",
			 "/b /");
	hidden = rig_machine("22 20 253:2 / /a rw - ext4 /dev/vda2 rw\n"
			     "24 22 0:40 / /a rw - tmpfs tmpfs rw\n");
	rig_assert_error(hidden, NULL,
			 "filesystem 253:2 ('/a') has no mount point that leads to it");
	/* A path that may hang is as good as none. */
	remote = rig_machine("22 20 0:41 / /nfs rw - nfs host:/ rw\n"
			     "23 22 253:2 / /nfs/a rw - ext4 /dev/vda2 rw\n");
	rig_assert_error(remote, NULL,
			 "filesystem 253:2 ('/nfs/a') has no mount point that leads to it");
	/* What systemd mounts on demand is open to us where it is mounted, if nothing else is. */
	rig_assert_table("22 20 0:41 / /efi rw - autofs systemd-1 rw\n"
			 "23 22 253:2 / /efi rw - vfat /dev/vda2 rw\n",
			 "/efi /");
	rig_assert_table("22 20 0:41 / /auto rw - autofs systemd-1 rw\n"
			 "23 22 253:2 / /auto rw - ext4 /dev/vda2 rw\n"
			 "24 20 253:2 /x /part rw - ext4 /dev/vda2 rw\n",
			 "/part /");
}

static void test_named(void)
{
	g_autoptr(FakeMachine) machine =
		rig_machine("22 20 253:2 / /srv rw - xfs /dev/vda2 rw\n"
			    "23 20 253:3 / /data rw - ext4 /dev/vda3 rw\n"
			    "24 20 253:3 /sub /bind rw - ext4 /dev/vda3 rw\n"
			    "25 20 0:22 / /proc rw - proc proc rw\n"
			    "26 20 253:4 / /ro ro - ext4 /dev/vda4 ro\n"
			    "27 20 253:5 / /cache rw - ext4 /dev/vda5 rw\n");
	const char *const exclude[] = {"/cache", NULL};
	const char *const names[] = {"//bind//", "/data", "/", NULL};
	const char *const none[] = {NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(SfPlan) plan = NULL;
	g_autoptr(SfPlan) empty = NULL;
	g_autofree char *text = NULL;

	machine->source.exclude = exclude;
	plan = sf_plan_new(&machine->source, names, &error);
	g_assert_no_error(error);
	text = rig_spell(plan);
	g_assert_cmpstr(text, ==, "/data /");
	g_assert_false(plan->is_whole);
	assert_left_out(plan, "/dev pseudo, /srv not-named, /proc pseudo, /ro read-only, "
			      "/cache excluded");

	empty = sf_plan_new(&machine->source, none, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(empty->targets->len, ==, 0);

	rig_assert_error(machine, (const char *const[]){"/srv", "/nope", NULL},
			 "'/nope' is not a mount point");
	rig_assert_error(machine, (const char *const[]){"", NULL}, "'' is not a mount point");
	rig_assert_error(machine, (const char *const[]){"/srv/..", NULL},
			 "'/srv/..' is not a mount point");
	rig_assert_error(machine, (const char *const[]){"/proc", NULL},
			 "'/proc' cannot be frozen: pseudo filesystem");
	rig_assert_error(machine, (const char *const[]){"/ro/", NULL},
			 "'/ro/' cannot be frozen: mounted read-only");
	rig_assert_error(machine, (const char *const[]){"/cache", NULL},
			 "'/cache' cannot be frozen: excluded by configuration");
}

static void assert_filtered(FakeMachine *machine, const char *include, const char *exclude,
			    const char *expected)
{
	const char *const includes[] = {include, NULL};
	const char *const excludes[] = {exclude, NULL};

	machine->source.include = includes;
	machine->source.exclude = excludes;
	rig_assert_plan(machine, expected);
	machine->source.include = NULL;
	machine->source.exclude = NULL;
}

static void test_filter(void)
{
	g_autoptr(FakeMachine) machine =
		rig_machine("22 20 253:2 / /srv rw - xfs /dev/vda2 rw\n"
			    "23 20 253:3 / /mnt/a rw - vfat /dev/vda3 rw\n"
			    "24 20 253:4 / /mnt/b rw - ext4 /dev/vda4 rw\n"
			    "25 20 253:1 /docker /mnt/c rw - ext4 /dev/vda1 rw\n"
			    "26 20 253:2 / /backup rw - xfs /dev/vda2 rw\n");

	assert_filtered(machine, NULL, NULL, "/mnt/b /mnt/a /srv /");
	assert_filtered(machine, NULL, "type:vfat", "/mnt/b /srv /");
	assert_filtered(machine, NULL, "device:/dev/vda[24]", "/mnt/a /");
	/* A folder of the root that is bound below /mnt takes the root not out. */
	assert_filtered(machine, NULL, "/mnt/*", "/srv /");
	assert_filtered(machine, NULL, "/backup", "/mnt/b /mnt/a /");
	/* But it takes it in. */
	assert_filtered(machine, "/mnt/[bc]", NULL, "/mnt/b /");
	assert_filtered(machine, "type:ext4", "/", "/mnt/b");
}

static void assert_warning(const SfPlan *plan, guint i, const char *part)
{
	g_assert_cmpuint(plan->warnings->len, >, i);
	g_test_message("%s", (char *)g_ptr_array_index(plan->warnings, i));
	g_assert_nonnull(strstr(g_ptr_array_index(plan->warnings, i), part));
}

static void test_warnings(void)
{
	g_autoptr(FakeMachine) machine = rig_machine("22 20 0:50 / /b rw - btrfs /dev/vda2 rw\n"
						     "23 20 0:51 / /run rw - tmpfs tmpfs rw\n");
	g_autoptr(SfPlan) calm = NULL;
	g_autoptr(SfPlan) plan = NULL;

	machine->source.run = "/run/snapfreeze";
	fake_machine_link(machine, "proc/self/ns/mnt", "mnt:[1]");
	fake_machine_write(machine, "proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n");
	fake_machine_write(machine, "proc/sys/kernel/hung_task_panic", "0\n");
	fake_machine_write(machine, "proc/1/comm", "init\n");
	fake_machine_write(machine, "sys/fs/ext4/vda1/x", "");
	fake_machine_write(machine, "sys/fs/ext4/features/x", "");
	fake_machine_btrfs(machine, "6a7f", "vda2");
	calm = rig_plan(machine);
	sf_plan_find_warnings(calm, &machine->source);
	g_assert_cmpuint(calm->warnings->len, ==, 0);

	machine->source.run = "/var/run/snapfreeze";
	machine->source.own_namespace_only = true;
	fake_machine_link(machine, "proc/1/ns/mnt", "mnt:[2]");
	fake_machine_write(machine, "proc/self/status", "Name:\tx\nCapEff:\t0000003fffdfffff\n");
	fake_machine_write(machine, "proc/sys/kernel/hung_task_panic", "1\n");
	fake_machine_write(machine, "proc/sys/kernel/hung_task_timeout_secs", "120\n");
	fake_machine_write(machine, "proc/77/comm", "qemu-ga\n");
	fake_machine_write(machine, "sys/fs/ext4/vda3/x", "");
	fake_machine_write(machine, "sys/fs/xfs/vda4/x", "");
	fake_machine_disk(machine, "vdb", "253:16", "pci0000:00/virtio2");
	fake_machine_btrfs(machine, "beef", "vdb");
	plan = rig_plan(machine);
	sf_plan_find_warnings(plan, &machine->source);
	assert_warning(plan, 0, "mount table of its own");
	assert_warning(plan, 1, "'/var/run/snapfreeze' is not in memory");
	assert_warning(plan, 2, "longer than 120 seconds");
	assert_warning(plan, 3, "CAP_SYS_ADMIN");
	assert_warning(plan, 4, "btrfs beef is in use");
	assert_warning(plan, 5, "ext4 on vda3 is in use");
	assert_warning(plan, 6, "xfs on vda4 is in use");
	assert_warning(plan, 7, "qemu-ga, process 77");
	g_assert_cmpuint(plan->warnings->len, ==, 8);
}

static void test_equal(void)
{
	const char *table = "22 20 253:2 / /a rw - ext4 /dev/vda2 rw\n";
	g_autoptr(FakeMachine) machine = rig_machine(table);
	g_autoptr(FakeMachine) other_mount =
		rig_machine("23 20 253:2 / /a rw - ext4 /dev/vda2 rw\n");
	g_autoptr(FakeMachine) more = rig_machine("22 20 253:2 / /a rw - ext4 /dev/vda2 rw\n"
						  "23 20 253:3 / /b rw - ext4 /dev/vda3 rw\n");
	g_autoptr(SfPlan) plan = rig_plan(machine);
	g_autoptr(SfPlan) again = rig_plan(machine);
	g_autoptr(SfPlan) with_other_mount = rig_plan(other_mount);
	g_autoptr(SfPlan) with_more = rig_plan(more);
	SfPlanEdge edge = {0, 1};

	g_assert_true(sf_plan_equal(plan, again));
	g_assert_false(sf_plan_equal(plan, with_other_mount));
	g_assert_false(sf_plan_equal(plan, with_more));
	g_array_append_val(again->edges, edge);
	g_assert_false(sf_plan_equal(plan, again));
	g_array_append_val(plan->edges, edge);
	g_assert_true(sf_plan_equal(plan, again));
}

static void test_json(void)
{
	g_autoptr(FakeMachine) machine =
		rig_machine("22 20 7:0 / /im\xff rw - ext4 /dev/loop0 rw\n");
	g_autoptr(SfPlan) plan = NULL;
	SfHook hook = {(char *)"50-db.session", (char *)"/h/50-db.session", true};
	g_autoptr(GPtrArray) hooks = g_ptr_array_new();
	g_autoptr(JsonNode) node = NULL;
	g_autofree char *text = NULL;

	fake_machine_loop(machine, "loop0", "7:0", "/a.img");
	plan = rig_plan(machine);
	/* As if looked for, and none was found. */
	plan->warnings = g_ptr_array_new();
	g_ptr_array_add(hooks, &hook);
	node = sf_plan_to_json(plan, hooks);
	text = json_to_string(node, FALSE);
	g_assert_cmpstr(
		text, ==,
		"{\"filesystems\":["
		"{\"mountpoint\":\"/im\xef\xbf\xbd\",\"device\":\"/dev/loop0\",\"major-minor\":"
		"\"7:0\",\"fstype\":\"ext4\",\"mountpoints\":[\"/im\xef\xbf\xbd\"],\"devices\":["
		"\"7:0\"],\"after\":[],\"backing-hidden\":false},"
		"{\"mountpoint\":\"/\",\"device\":\"/dev/vda1\",\"major-minor\":\"253:1\","
		"\"fstype\":\"ext4\",\"mountpoints\":[\"/\"],\"devices\":[\"253:1\"],"
		"\"after\":[\"/im\xef\xbf\xbd\"],\"backing-hidden\":false}],"
		"\"left-out\":[{\"mountpoint\":\"/dev\",\"device\":\"devtmpfs\",\"fstype\":"
		"\"devtmpfs\",\"reason\":\"pseudo\"}],"
		"\"hooks\":[{\"name\":\"50-db.session\",\"path\":\"/h/50-db.session\","
		"\"session\":true}],\"warnings\":[]}");
}

static void test_limits(void)
{
	g_autoptr(GString) table = g_string_new(NULL);
	g_autoptr(FakeMachine) machine = NULL;

	for (int i = 0; i < SF_PLAN_MAX_TARGETS; i++)
		g_string_append_printf(table, "%d 20 300:%d / /m/%d rw - ext4 /dev/x%d rw\n",
				       i + 100, i, i, i);
	machine = rig_machine(table->str);
	rig_assert_error(machine, NULL, "more than 4096 filesystems to freeze");
}

static void check_many_mounts(guint n)
{
	g_autoptr(GString) table = g_string_new(NULL);
	g_autoptr(FakeMachine) machine = NULL;
	g_autoptr(SfPlan) plan = NULL;
	gint64 start;

	for (guint i = 0; i < n; i++)
		g_string_append_printf(table,
				       "%u 20 253:1 /vol/%u /srv/%u rw - ext4 /dev/vda1 rw\n",
				       i + 100, i, i);
	machine = rig_machine(table->str);
	start = g_get_monotonic_time();
	plan = rig_plan(machine);
	g_test_message("planned with %u mounts in %.1f ms", n,
		       (g_get_monotonic_time() - start) / 1000.0);
	g_assert_cmpuint(plan->targets->len, ==, 1);
	g_assert_cmpstr(rig_target(plan, 0)->mountpoint, ==, "/");
	g_assert_cmpuint(rig_target(plan, 0)->mountpoints->len, ==, n + 1);
	g_assert_cmpuint(rig_target(plan, 0)->routes->len, ==, SF_PLAN_MAX_ROUTES);
}

static void test_many_mounts(void)
{
	check_many_mounts(1000);
	check_many_mounts(10000);
	check_many_mounts(50000);
}

/* What is open keeps its device, so it is known without a look; all else is looked at. */
static void test_held_superblocks(void)
{
	g_autoptr(FakeMachine) machine =
		rig_machine("30 20 253:2 / /data rw - ext4 /dev/vda2 rw\n");
	g_autoptr(SfPlan) plan = rig_plan(machine);
	g_autoptr(GPtrArray) unknown = NULL;

	g_autoptr(GHashTable) held = sf_superblocks_find_held(&machine->source, plan);
	g_assert_cmpuint(g_hash_table_size(held), ==, 2);

	fake_machine_write(machine, "sys/fs/ext4/vda2/x", "");
	fake_machine_write(machine, "sys/fs/ext4/vda3/x", "");
	fake_machine_write(machine, "sys/fs/xfs/vda2/x", "");
	/* Whoever looked would take it for a filesystem that no mount shows. */
	fake_machine_write(machine, "sys/class/block/vda2/dev", "9:9\n");
	unknown = sf_superblocks_find_unknown(&machine->source, plan->mounts, held);
	g_assert_cmpuint(unknown->len, ==, 2);
	g_assert_cmpstr(unknown->pdata[0], ==, "ext4 on vda3");
	g_assert_cmpstr(unknown->pdata[1], ==, "xfs on vda2");
}

/* What stays is what a thaw and its answer need. */
static void test_steal_details(void)
{
	g_autoptr(FakeMachine) machine =
		rig_machine("30 20 253:2 / /data rw - ext4 /dev/vda2 rw\n");
	g_autoptr(SfPlan) plan = rig_plan(machine);
	SfPlanDetails *details;

	g_assert_cmpuint(plan->left_out->len, ==, 1);
	details = sf_plan_steal_details(plan);
	g_assert_null(plan->mounts);
	g_assert_cmpuint(plan->left_out->len, ==, 0);
	sf_plan_details_free(details);
	g_assert_cmpuint(plan->targets->len, ==, 2);
	g_assert_cmpstr(rig_target(plan, 0)->mountpoint, ==, "/data");
	g_assert_cmpstr(rig_target(plan, 0)->source, ==, "/dev/vda2");
	g_assert_null(rig_target(plan, 0)->mountpoints);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/plan/left-out", test_left_out);
	g_test_add_func("/plan/once-per-superblock", test_once_per_superblock);
	g_test_add_func("/plan/routes", test_routes);
	g_test_add_func("/plan/named", test_named);
	g_test_add_func("/plan/filter", test_filter);
	g_test_add_func("/plan/warnings", test_warnings);
	g_test_add_func("/plan/equal", test_equal);
	g_test_add_func("/plan/json", test_json);
	g_test_add_func("/plan/limits", test_limits);
	g_test_add_func("/plan/many-mounts", test_many_mounts);
	g_test_add_func("/plan/held-superblocks", test_held_superblocks);
	g_test_add_func("/plan/steal-details", test_steal_details);
	return g_test_run();
}
