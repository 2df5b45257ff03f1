/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks' places by sysfs, and what guest-get-disks makes of them. */
#include "config.h"

#include "agent/commands/disks.h"
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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/disks/addresses", test_addresses);
	g_test_add_func("/disks/old-scsi-controller", test_old_scsi_controller);
	g_test_add_func("/disks/nvme-subsystem", test_nvme_subsystem);
	g_test_add_func("/disks/serials", test_serials);
	g_test_add_func("/disks/disks", test_disks);
	return g_test_run();
}
