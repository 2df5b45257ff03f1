/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns reading a disk's place out of its path in sysfs, in which each device stands below the one
 * that it is plugged into. Holds no state. Called by the commands that report on disks.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/disk-address.h"
#include "agent/sysfs.h"

/* PCI's class code, without the part that tells of programming it. */
#define PCI_CLASS_IDE 0x0101
#define NVME_SUBSYSTEMS "/devices/virtual/nvme-subsystem/"

typedef struct {
	char *folder; /* of the disk in sysfs */
	char *pci_folder;
	int pci[4];  /* domain, bus, slot, function */
	int scsi[4]; /* host, channel, id, lun */
	int ata;
	bool has_pci, has_scsi, has_ata, has_virtio, has_usb, has_nvme, has_mmc, has_xen;
	const char *bus_type;
	int bus, target, unit;
} Place;

static void place_clear(Place *place)
{
	g_free(place->folder);
	g_free(place->pci_folder);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)

char *sf_disk_node(const char *name)
{
	/* The kernel's names have '!' where a node lies in a folder. */
	g_autofree char *path = g_strdelimit(g_strdup(name), "!", '/');

	return g_strconcat("/dev/", path, NULL);
}

static bool is_numbered(const char *name, const char *kind, int *out_number)
{
	size_t length = strlen(kind);
	int end = 0;

	return strncmp(name, kind, length) == 0 &&
	       sscanf(name + length, "%d%n", out_number, &end) == 1 && name[length + end] == '\0';
}

static bool is_pci(const char *name, int *out)
{
	unsigned int n[4];
	int end = 0;

	if (sscanf(name, "%x:%x:%x.%x%n", &n[0], &n[1], &n[2], &n[3], &end) != 4 || name[end])
		return false;
	for (int i = 0; i < 4; i++)
		out[i] = (int)n[i];
	return true;
}

static bool is_scsi(const char *name, int *out)
{
	int end = 0;

	return sscanf(name, "%d:%d:%d:%d%n", &out[0], &out[1], &out[2], &out[3], &end) == 4 &&
	       name[end] == '\0';
}

/* @end: how much of the path ends with this component */
static void read_component(Place *place, const char *name, const char *path, size_t end)
{
	int number, found[4];

	if (is_pci(name, found)) {
		memcpy(place->pci, found, sizeof(found));
		g_free(place->pci_folder);
		place->pci_folder = g_strndup(path, end);
		place->has_pci = true;
	} else if (is_scsi(name, found)) {
		memcpy(place->scsi, found, sizeof(found));
		place->has_scsi = true;
	} else if (is_numbered(name, "ata", &number)) {
		place->ata = number;
		place->has_ata = true;
	}
	place->has_virtio |= is_numbered(name, "virtio", &number);
	place->has_usb |= is_numbered(name, "usb", &number);
	place->has_xen |= is_numbered(name, "vbd-", &number);
	place->has_nvme |= g_str_equal(name, "nvme");
	place->has_mmc |= g_str_equal(name, "mmc_host");
}

static void read_path(Place *place, const char *path)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	size_t end = 0;

	for (char **name = names; *name; name++) {
		end += strlen(*name);
		read_component(place, *name, path, end);
		end++;
	}
}

/* A disk that may have several paths lies in its subsystem; its controllers are shown beside it,
 * and the first one tells where it is plugged in. */
static void read_nvme_subsystem(Place *place, const char *name)
{
	/* A partition lies one folder deeper than its disk. */
	g_autofree char *subsystem =
		g_strndup(place->folder, strcspn(name, "/") + (size_t)(name - place->folder));
	g_autoptr(GArray) controllers = sf_sysfs_list_numbered(subsystem, "nvme");
	g_autofree char *link = NULL;
	g_autofree char *target = NULL;

	place->has_nvme = true;
	if (controllers->len == 0)
		return;
	link = g_strdup_printf("%s/nvme%" G_GUINT64_FORMAT, subsystem,
			       g_array_index(controllers, guint64, 0));
	target = realpath(link, NULL);
	if (target)
		read_path(place, target);
}

/* Which of the controller's ports this is. The kernel numbers those of all controllers on. */
static int find_port(const Place *place)
{
	g_autoptr(GArray) ports = sf_sysfs_list_numbered(place->pci_folder, "ata");

	for (guint i = 0; i < ports->len; i++)
		if (g_array_index(ports, guint64, i) == (guint64)place->ata)
			return (int)i;
	return 0;
}

static void read_ata(Place *place)
{
	g_autofree char *class = sf_sysfs_read(place->pci_folder, "class");
	bool is_ide = class && g_ascii_strtoull(class, NULL, 16) >> 8 == PCI_CLASS_IDE;

	place->bus_type = is_ide ? "ide" : "sata";
	if (is_ide) {
		place->bus = find_port(place);
		place->unit = place->has_scsi ? place->scsi[2] : 0;
	} else {
		place->unit = find_port(place);
	}
}

static void read_scsi(Place *place)
{
	g_autofree char *link =
		g_build_filename(place->pci_folder ? place->pci_folder : "", "driver", NULL);
	g_autofree char *driver = realpath(link, NULL);

	place->bus_type = "scsi";
	/* This old controller has one disk for each id; hosts call the id a unit. */
	if (driver && g_str_has_suffix(driver, "/sym53c8xx")) {
		place->unit = place->scsi[2];
		return;
	}
	place->bus = place->scsi[1];
	place->target = place->scsi[2];
	place->unit = place->scsi[3];
}

static void choose_bus(Place *place)
{
	place->bus_type = "unknown";
	if (place->has_usb)
		place->bus_type = "usb";
	else if (place->has_ata && place->has_pci)
		read_ata(place);
	else if (place->has_scsi)
		read_scsi(place);
	else if (place->has_virtio)
		place->bus_type = "virtio";
	else if (place->has_nvme)
		place->bus_type = "nvme";
	else if (place->has_mmc)
		place->bus_type = "sd";
	else if (place->has_xen)
		place->bus_type = "xen";
}

static JsonObject *describe_pci(const Place *place)
{
	static const char *const members[] = {"domain", "bus", "slot", "function"};
	JsonObject *pci = json_object_new();

	for (int i = 0; i < 4; i++)
		json_object_set_int_member(pci, members[i], place->has_pci ? place->pci[i] : -1);
	return pci;
}

static char *find_udev_serial(const char *udev, const char *number)
{
	g_autofree char *name = g_strconcat("b", number, NULL);
	g_autofree char *text = sf_sysfs_read(udev, name);
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;

	for (char **line = lines; line && *line; line++)
		if (g_str_has_prefix(*line, "E:ID_SERIAL="))
			return g_strdup(*line + strlen("E:ID_SERIAL="));
	return NULL;
}

/* As udev has it, else, where no udev runs, as a virtio disk has it: that is the same. */
static char *find_serial(const Place *place, const char *udev)
{
	g_autofree char *number = sf_sysfs_read(place->folder, "dev");
	g_autofree char *disk = g_path_get_dirname(place->folder);
	char *serial = number ? find_udev_serial(udev, number) : NULL;

	if (!serial)
		serial = sf_sysfs_read(place->folder, "serial");
	if (!serial)
		serial = sf_sysfs_read(disk, "serial");
	if (serial && *serial)
		return serial;
	g_free(serial);
	return NULL;
}

static JsonObject *describe(const Place *place, const char *udev, const char *name)
{
	JsonObject *address = json_object_new();
	g_autofree char *serial = find_serial(place, udev);
	g_autofree char *node = sf_disk_node(name);

	json_object_set_object_member(address, "pci-controller", describe_pci(place));
	json_object_set_string_member(address, "bus-type", place->bus_type);
	json_object_set_int_member(address, "bus", place->bus);
	json_object_set_int_member(address, "target", place->target);
	json_object_set_int_member(address, "unit", place->unit);
	if (serial)
		json_object_set_string_member(address, "serial", serial);
	json_object_set_string_member(address, "dev", node);
	return address;
}

JsonObject *sf_disk_address_new(const char *sys, const char *udev, const char *name)
{
	g_auto(Place) place = {0};
	g_autofree char *link = g_build_filename(sys, "class/block", name, NULL);
	const char *subsystem;

	place.folder = realpath(link, NULL);
	if (!place.folder)
		return NULL;
	subsystem = strstr(place.folder, NVME_SUBSYSTEMS);
	if (subsystem)
		read_nvme_subsystem(&place, subsystem + strlen(NVME_SUBSYSTEMS));
	else if (strstr(place.folder, "/devices/virtual/"))
		return NULL;
	else
		read_path(&place, place.folder);
	choose_bus(&place);
	return describe(&place, udev, name);
}
