/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What guest-get-fsinfo makes of a mount table and of sysfs, and the table that is kept between two
 * calls. That the kernel's word of a change is heeded is shown in a guest (qa/vm/test_fsinfo.py):
 * a plain file has none. */
#include "config.h"

#include "agent/commands/fsinfo-cache.h"
#include "agent/commands/fsinfo.h"
#include "qa/unit/fake-machine.h"

#define PCI "pci0000:00/0000:00:"

#define TABLE                                                        \
	"20 1 253:1 / / rw - ext4 /dev/vda1 rw\n"                    \
	"21 20 0:6 / /dev rw - devtmpfs devtmpfs rw\n"               \
	"22 20 252:0 / /lv rw - xfs /dev/mapper/vg-lv rw\n"          \
	"23 20 7:0 / /loop rw - ext4 /dev/loop0 rw\n"                \
	"24 20 253:1 /srv /a\\040bind rw - ext4 /dev/vda1 rw\n"      \
	"25 20 0:50 / /nfs rw - nfs4 server:/x rw\n"                 \
	"26 25 253:16 / /nfs/behind rw - ext4 /dev/vdb rw\n"         \
	"27 20 253:16 / /front rw - ext4 /dev/vdb rw\n"              \
	"28 20 0:60 / /tree rw - btrfs /dev/vdc rw\n"                \
	"29 20 0:61 / /union rw - overlay overlay rw,upperdir=/up\n" \
	"30 20 253:64 / /hidden rw - ext4 /dev/vde rw\n"             \
	"31 20 0:62 / /hidden rw - tmpfs tmpfs rw\n"

static FakeMachine *full_machine(void)
{
	FakeMachine *machine = fake_machine_new(TABLE);

	fake_machine_disk(machine, "vda", "253:0", PCI "04.0/virtio1");
	fake_machine_partition(machine, "vda", "vda1", "253:1");
	fake_machine_disk(machine, "vdb", "253:16", PCI "05.0/virtio2");
	fake_machine_disk(machine, "vdc", "253:32", PCI "06.0/virtio3");
	fake_machine_disk(machine, "vdd", "253:48", PCI "07.0/virtio4");
	fake_machine_disk(machine, "vde", "253:64", PCI "08.0/virtio5");
	fake_machine_disk(machine, "md0", "9:0", "virtual");
	fake_machine_slave(machine, "md0", "vdb");
	fake_machine_slave(machine, "md0", "vdc");
	fake_machine_disk(machine, "dm-0", "252:0", "virtual");
	fake_machine_slave(machine, "dm-0", "md0");
	fake_machine_slave(machine, "dm-0", "vdb");
	fake_machine_loop(machine, "loop0", "7:0", "/lv/image");
	fake_machine_btrfs(machine, "6a7f", "vdc");
	fake_machine_btrfs(machine, "6a7f", "vdd");
	return machine;
}

/* The entry of a mount point, or NULL. */
static JsonObject *find_entry(JsonArray *entries, const char *mountpoint)
{
	for (guint i = 0; i < json_array_get_length(entries); i++) {
		JsonObject *entry = json_array_get_object_element(entries, i);

		if (g_str_equal(json_object_get_string_member(entry, "mountpoint"), mountpoint))
			return entry;
	}
	return NULL;
}

static void assert_entry(JsonArray *entries, const char *mountpoint, const char *name,
			 const char *type, const char *nodes)
{
	JsonObject *entry = find_entry(entries, mountpoint);
	g_autoptr(GString) found = g_string_new(NULL);
	JsonArray *disks;

	g_assert_nonnull(entry);
	g_assert_cmpstr(json_object_get_string_member(entry, "name"), ==, name);
	g_assert_cmpstr(json_object_get_string_member(entry, "type"), ==, type);
	disks = json_object_get_array_member(entry, "disk");
	for (guint i = 0; i < json_array_get_length(disks); i++)
		g_string_append_printf(found, "%s ",
				       json_object_get_string_member(
					       json_array_get_object_element(disks, i), "dev"));
	g_assert_cmpstr(found->str, ==, nodes);
}

static JsonNode *write_and_read(const SfFsinfo *info)
{
	g_autofree char *text = sf_fsinfo_write(info);
	g_autoptr(GError) error = NULL;
	JsonNode *node = json_from_string(text, &error);

	g_assert_no_error(error);
	return node;
}

static SfFsinfoTable *get_table(SfFsinfoCache *cache, const FakeMachine *machine)
{
	g_autoptr(GError) error = NULL;
	SfFsinfoTable *table = sf_fsinfo_cache_get(cache, machine->mountinfo, &error);

	g_assert_no_error(error);
	return table;
}

static SfFsinfo *make_info(const FakeMachine *machine)
{
	g_autoptr(SfFsinfoCache) cache = sf_fsinfo_cache_new(SF_FSINFO_CACHE_SECONDS);
	g_autoptr(SfFsinfoTable) table = get_table(cache, machine);

	return sf_fsinfo_new(table, &machine->source, "/nonexistent");
}

static void test_fsinfo(void)
{
	g_autoptr(FakeMachine) machine = full_machine();
	g_autoptr(SfFsinfo) info = make_info(machine);
	g_autoptr(JsonNode) node = NULL;
	JsonArray *entries;

	node = write_and_read(info);
	entries = json_node_get_array(node);
	g_assert_cmpuint(json_array_get_length(entries), ==, 8);
	assert_entry(entries, "/", "vda1", "ext4", "/dev/vda1 ");
	assert_entry(entries, "/a bind", "vda1", "ext4", "/dev/vda1 ");
	/* Each disk once, however many ways lead to it. */
	assert_entry(entries, "/lv", "dm-0", "xfs", "/dev/vdb /dev/vdc ");
	assert_entry(entries, "/loop", "loop0", "ext4", "/dev/vdb /dev/vdc ");
	assert_entry(entries, "/tree", "vdc", "btrfs", "/dev/vdc /dev/vdd ");
	assert_entry(entries, "/nfs/behind", "vdb", "ext4", "/dev/vdb ");
	assert_entry(entries, "/hidden", "vde", "ext4", "/dev/vde ");
}

static void test_space(void)
{
	g_autoptr(FakeMachine) machine = full_machine();
	g_autoptr(SfFsinfo) info = make_info(machine);
	static const char *const paths[] = {"/a bind", "/lv", "/loop", "/front", "/tree", NULL};
	SfFsinfoSpace space = {1, 2, 3};
	g_autoptr(JsonNode) node = NULL;
	JsonObject *entry;

	g_assert_cmpuint(sf_fsinfo_paths(info)->len, ==, G_N_ELEMENTS(paths));
	/* A way that leads past no other machine, and none for what is covered. */
	for (size_t i = 1; i < G_N_ELEMENTS(paths); i++)
		g_assert_cmpstr(g_ptr_array_index(sf_fsinfo_paths(info), i), ==, paths[i]);
	sf_fsinfo_set_space(info, 3, &space);
	node = write_and_read(info);
	entry = find_entry(json_node_get_array(node), "/nfs/behind");
	g_assert_cmpint(json_object_get_int_member(entry, "used-bytes"), ==, 1);
	g_assert_cmpint(json_object_get_int_member(entry, "total-bytes"), ==, 2);
	g_assert_cmpint(json_object_get_int_member(entry, "total-bytes-privileged"), ==, 3);
	entry = find_entry(json_node_get_array(node), "/lv");
	g_assert_false(json_object_has_member(entry, "used-bytes"));
}

/* @n mounts: bind mounts of one filesystem. */
static char *make_long_table(guint n)
{
	GString *text = g_string_new("20 1 252:0 / / rw - xfs /dev/mapper/vg-lv rw\n");

	for (guint i = 1; i < n; i++)
		g_string_append_printf(text, "%u 20 252:0 /x /y/%u rw - xfs /dev/mapper/vg-lv rw\n",
				       20 + i, i);
	return g_string_free(text, FALSE);
}

static FakeMachine *long_machine(guint n)
{
	g_autofree char *text = make_long_table(n);
	FakeMachine *machine = full_machine();

	fake_machine_mount(machine, text);
	return machine;
}

static void test_long_table_is_kept(void)
{
	g_autoptr(FakeMachine) machine = long_machine(SF_FSINFO_CACHE_MIN_MOUNTS);
	g_autoptr(SfFsinfoCache) cache = sf_fsinfo_cache_new(SF_FSINFO_CACHE_SECONDS);
	g_autoptr(SfFsinfoTable) first = get_table(cache, machine);
	g_autoptr(SfFsinfoTable) second = NULL;

	g_assert_cmpuint(first->entries->len, ==, SF_FSINFO_CACHE_MIN_MOUNTS);
	second = get_table(cache, machine);
	g_assert_true(first == second);
}

static void test_short_table_is_not_kept(void)
{
	g_autoptr(FakeMachine) machine = long_machine(SF_FSINFO_CACHE_MIN_MOUNTS - 1);
	g_autoptr(SfFsinfoCache) cache = sf_fsinfo_cache_new(SF_FSINFO_CACHE_SECONDS);
	g_autoptr(SfFsinfoTable) second = NULL;

	sf_fsinfo_table_unref(get_table(cache, machine));
	fake_machine_mount(machine, TABLE);
	second = get_table(cache, machine);
	g_assert_cmpuint(second->entries->len, ==, 8);
}

/* Nothing is held by an agent that nobody asks, and what the kernel does not tell of is seen. */
static void test_table_is_dropped_in_time(void)
{
	g_autoptr(FakeMachine) machine = long_machine(SF_FSINFO_CACHE_MIN_MOUNTS);
	g_autoptr(SfFsinfoCache) cache = sf_fsinfo_cache_new(1);
	g_autoptr(SfFsinfoTable) first = get_table(cache, machine);

	fake_machine_mount(machine, TABLE);
	while (true) {
		g_autoptr(SfFsinfoTable) table = get_table(cache, machine);

		if (table != first)
			break;
		g_main_context_iteration(NULL, TRUE);
	}
	g_assert_false(g_main_context_pending(NULL));
}

/* As a dm table that is loaded anew: no mount tells of it. */
static void test_disks_of_kept_table_are_found_anew(void)
{
	g_autoptr(FakeMachine) machine = long_machine(SF_FSINFO_CACHE_MIN_MOUNTS);
	g_autoptr(SfFsinfoCache) cache = sf_fsinfo_cache_new(SF_FSINFO_CACHE_SECONDS);
	g_autoptr(SfFsinfoTable) table = get_table(cache, machine);
	g_autoptr(SfFsinfo) before = sf_fsinfo_new(table, &machine->source, "/nonexistent");
	g_autoptr(SfFsinfoTable) kept = get_table(cache, machine);
	g_autoptr(SfFsinfo) after = NULL;
	g_autoptr(JsonNode) told = write_and_read(before);
	g_autoptr(JsonNode) told_anew = NULL;

	assert_entry(json_node_get_array(told), "/y/7", "dm-0", "xfs", "/dev/vdb /dev/vdc ");
	fake_machine_slave(machine, "dm-0", "vde");
	g_assert_true(kept == table);
	after = sf_fsinfo_new(kept, &machine->source, "/nonexistent");
	told_anew = write_and_read(after);
	assert_entry(json_node_get_array(told_anew), "/y/7", "dm-0", "xfs",
		     "/dev/vdb /dev/vdc /dev/vde ");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fsinfo/entries", test_fsinfo);
	g_test_add_func("/fsinfo/space", test_space);
	g_test_add_func("/fsinfo/long-table-is-kept", test_long_table_is_kept);
	g_test_add_func("/fsinfo/short-table-is-not-kept", test_short_table_is_not_kept);
	g_test_add_func("/fsinfo/table-is-dropped-in-time", test_table_is_dropped_in_time);
	g_test_add_func("/fsinfo/disks-are-found-anew", test_disks_of_kept_table_are_found_anew);
	return g_test_run();
}
