/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks' places by sysfs, and what guest-get-fsinfo and guest-get-disks make of them. */
#include "config.h"

#include "agent/commands/disks.h"
#include "agent/commands/fsinfo.h"
#include "agent/disk-address.h"
#include "protocol/message.h"
#include "qa/unit/fake-machine.h"

#define PCI "pci0000:00/0000:00:"

static char *write_node(JsonNode *node)
{
	GString *text = g_string_new(NULL);

	sf_json_write(text, node);
	json_node_unref(node);
	return g_string_free(text, FALSE);
}

static char *address_of(FakeMachine *machine, const char *name)
{
	g_autofree char *udev = g_build_filename(machine->folder, "udev", NULL);
	JsonObject *address = sf_disk_address_new(machine->sys, udev, name);
	JsonNode *node = json_node_new(JSON_NODE_OBJECT);

	g_assert_nonnull(address);
	json_node_take_object(node, address);
	return write_node(node);
}

static char *expect(const char *bus_type, int domain, int bus, int slot, int function, int scsi_bus,
		    int target, int unit, const char *rest)
{
	return g_strdup_printf("{\"pci-controller\": {\"domain\": %d, \"bus\": %d, \"slot\": %d, "
			       "\"function\": %d}, \"bus-type\": \"%s\", \"bus\": %d, "
			       "\"target\": %d, \"unit\": %d, %s}",
			       domain, bus, slot, function, bus_type, scsi_bus, target, unit, rest);
}

static void test_addresses(void)
{
	static const struct {
		const char *name, *bus, *class, *bus_type;
		int domain, pci_bus, slot, function, bus_number, target, unit;
	} cases[] = {
		{"vda", PCI "04.0/virtio1", NULL, "virtio", 0, 0, 4, 0, 0, 0, 0},
		/* Behind a bridge: the last one is the disk's. */
		{"vdb", PCI "1c.5/0001:0a:1f.7/virtio3", NULL, "virtio", 1, 10, 31, 7, 0, 0, 0},
		{"sda", PCI "03.0/virtio0/host2/target2:1:3/2:1:3:7", NULL, "scsi", 0, 0, 3, 0, 1,
		 3, 7},
		{"sdb", PCI "1f.2/ata5/host4/target4:0:0/4:0:0:0", "0x010601\n", "sata", 0, 0, 31,
		 2, 0, 0, 1},
		{"sdc", PCI "01.1/ata2/host1/target1:0:1/1:0:1:0", "0x010180\n", "ide", 0, 0, 1, 1,
		 1, 0, 1},
		{"sdd", PCI "05.0/usb1/1-1/1-1:1.0/host7/target7:0:0/7:0:0:0", NULL, "usb", 0, 0, 5,
		 0, 0, 0, 0},
		{"nvme0n1", PCI "06.0/nvme/nvme0/", NULL, "nvme", 0, 0, 6, 0, 0, 0, 0},
		{"mmcblk0", PCI "07.0/mmc_host/mmc0/mmc0:0001", NULL, "sd", 0, 0, 7, 0, 0, 0, 0},
		{"xvda", "vbd-768", NULL, "xen", -1, -1, -1, -1, 0, 0, 0},
		{"vdm", "platform/a003e00.virtio_mmio/virtio0", NULL, "virtio", -1, -1, -1, -1, 0,
		 0, 0},
		{"odd", PCI "08.0/odd0", NULL, "unknown", 0, 0, 8, 0, 0, 0, 0},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(FakeMachine) machine = fake_machine_new("");
		g_autofree char *rest = g_strdup_printf("\"dev\": \"/dev/%s\"", cases[i].name);
		g_autofree char *expected =
			expect(cases[i].bus_type, cases[i].domain, cases[i].pci_bus, cases[i].slot,
			       cases[i].function, cases[i].bus_number, cases[i].target,
			       cases[i].unit, rest);
		g_autofree char *found = NULL;

		fake_machine_disk(machine, cases[i].name, "8:0", cases[i].bus);
		/* Two ports of the controller, of which the disk is at the second. */
		fake_machine_write(machine, "sys/devices/" PCI "1f.2/ata4/x", "");
		fake_machine_write(machine, "sys/devices/" PCI "1f.2/ata5/x", "");
		fake_machine_write(machine, "sys/devices/" PCI "01.1/ata1/x", "");
		fake_machine_write(machine, "sys/devices/" PCI "01.1/ata2/x", "");
		if (cases[i].class) {
			fake_machine_write(machine, "sys/devices/" PCI "1f.2/class",
					   cases[i].class);
			fake_machine_write(machine, "sys/devices/" PCI "01.1/class",
					   cases[i].class);
		}
		found = address_of(machine, cases[i].name);
		g_assert_cmpstr(found, ==, expected);
	}
}

static void test_old_scsi_controller(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new("");
	g_autofree char *expected = expect("scsi", 0, 0, 9, 0, 0, 0, 4, "\"dev\": \"/dev/sda\"");
	g_autofree char *found = NULL;

	fake_machine_disk(machine, "sda", "8:0", PCI "09.0/host0/target0:0:4/0:0:4:0");
	fake_machine_write(machine, "sys/bus/pci/drivers/sym53c8xx/bind", "");
	fake_machine_link(machine, "sys/devices/" PCI "09.0/driver",
			  "../../../bus/pci/drivers/sym53c8xx");
	found = address_of(machine, "sda");
	g_assert_cmpstr(found, ==, expected);
}

static void test_nvme_subsystem(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new("");
	g_autofree char *expected =
		expect("nvme", 0, 0, 6, 0, 0, 0, 0, "\"dev\": \"/dev/nvme0n1p1\"");
	g_autofree char *found = NULL;

	fake_machine_disk(machine, "nvme0n1", "259:0", "virtual/nvme-subsystem/nvme-subsys0/");
	fake_machine_partition(machine, "nvme0n1", "nvme0n1p1", "259:1");
	fake_machine_write(machine, "sys/devices/" PCI "06.0/nvme/nvme0/model", "x");
	fake_machine_link(machine, "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0",
			  "../../../" PCI "06.0/nvme/nvme0");
	found = address_of(machine, "nvme0n1");
	g_assert_nonnull(strstr(found, "\"slot\": 6"));
	g_clear_pointer(&found, g_free);
	/* A partition lies one folder deeper. */
	found = address_of(machine, "nvme0n1p1");
	g_assert_cmpstr(found, ==, expected);
}

static void test_serials(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new("");
	static const char *const names[] = {"vda", "vda1", "vdb"};
	static const char *const serials[] = {"\"serial\": \"from udev\"", "\"serial\": \"kernel\"",
					      "\"unit\": 0, \"dev\""};

	fake_machine_disk(machine, "vda", "253:0", PCI "04.0/virtio1");
	fake_machine_partition(machine, "vda", "vda1", "253:1");
	fake_machine_attribute(machine, "vda", "serial", "kernel\n");
	fake_machine_write(machine, "udev/b253:0",
			   "S:x\nE:ID_SERIAL_SHORT=no\nE:ID_SERIAL=from udev\n");
	fake_machine_disk(machine, "vdb", "253:16", PCI "05.0/virtio2");
	fake_machine_attribute(machine, "vdb", "serial", "\n");
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *found = address_of(machine, names[i]);

		g_assert_nonnull(strstr(found, serials[i]));
	}
	fake_machine_disk(machine, "loop0", "7:0", "virtual");
	g_assert_null(sf_disk_address_new(machine->sys, "/nonexistent", "loop0"));
	g_assert_null(sf_disk_address_new(machine->sys, "/nonexistent", "sdz"));
}

static void test_disks(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new("");
	JsonNode *node = json_node_new(JSON_NODE_ARRAY);
	g_autofree char *found = NULL;

	fake_machine_disk(machine, "vda", "253:0", PCI "04.0/virtio1");
	fake_machine_partition(machine, "vda", "vda1", "253:1");
	fake_machine_disk(machine, "dm-0", "252:0", "virtual");
	fake_machine_slave(machine, "dm-0", "vda1");
	fake_machine_attribute(machine, "dm-0", "dm/name", "vg-root\n");
	fake_machine_disk(machine, "loop0", "7:0", "virtual");
	fake_machine_attribute(machine, "vda", "size", "100\n");
	fake_machine_attribute(machine, "vda1", "size", "90\n");
	fake_machine_attribute(machine, "dm-0", "size", "80\n");
	fake_machine_attribute(machine, "loop0", "size", "0\n");
	json_node_take_array(node, sf_disks_read(machine->sys, "/nonexistent"));
	found = write_node(node);
	g_assert_cmpstr(
		found, ==,
		"[{\"name\": \"/dev/dm-0\", \"partition\": false, \"dependencies\": [\"/dev/vda1\"], "
		"\"alias\": \"vg-root\"}, "
		"{\"name\": \"/dev/vda\", \"partition\": false, \"dependencies\": [], "
		"\"address\": {\"pci-controller\": {\"domain\": 0, \"bus\": 0, \"slot\": 4, "
		"\"function\": 0}, \"bus-type\": \"virtio\", \"bus\": 0, \"target\": 0, "
		"\"unit\": 0, \"dev\": \"/dev/vda\"}}, "
		"{\"name\": \"/dev/vda1\", \"partition\": true, \"dependencies\": [\"/dev/vda\"]}]");
}

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

static void test_fsinfo(void)
{
	g_autoptr(FakeMachine) machine = full_machine();
	g_autoptr(GError) error = NULL;
	g_autoptr(SfFsinfo) info = sf_fsinfo_new(&machine->source, "/nonexistent", &error);
	g_autoptr(JsonNode) node = NULL;
	JsonArray *entries;

	g_assert_no_error(error);
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
	g_autoptr(SfFsinfo) info = sf_fsinfo_new(&machine->source, "/nonexistent", NULL);
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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/disks/addresses", test_addresses);
	g_test_add_func("/disks/old-scsi-controller", test_old_scsi_controller);
	g_test_add_func("/disks/nvme-subsystem", test_nvme_subsystem);
	g_test_add_func("/disks/serials", test_serials);
	g_test_add_func("/disks/disks", test_disks);
	g_test_add_func("/disks/fsinfo", test_fsinfo);
	g_test_add_func("/disks/space", test_space);
	return g_test_run();
}
