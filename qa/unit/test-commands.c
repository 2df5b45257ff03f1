/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/commands: what the commands that report on the guest make of the kernel's and the
 * distribution's files. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <netpacket/packet.h>
#include <string.h>
#include <utmpx.h>

#include "agent/commands/clock.h"
#include "agent/commands/hotplug.h"
#include "agent/commands/network.h"
#include "agent/commands/osinfo.h"
#include "agent/commands/power.h"
#include "agent/commands/statistics.h"
#include "agent/commands/users.h"
#include "agent/program.h"
#include "agent/sysfs.h"
#include "protocol/message.h"
#include "qa/unit/fake-machine.h"

static void assert_node(JsonNode *node, const char *expected)
{
	GString *text = g_string_new(NULL);

	sf_json_write(text, node);
	g_assert_cmpstr(text->str, ==, expected);
	g_string_free(text, TRUE);
	json_node_unref(node);
}

/* @array, @object: (transfer full) */
static void assert_array(JsonArray *array, const char *expected)
{
	JsonNode *node = json_node_new(JSON_NODE_ARRAY);

	g_assert_nonnull(array);
	json_node_take_array(node, array);
	assert_node(node, expected);
}

static void assert_object(JsonObject *object, const char *expected)
{
	JsonNode *node = json_node_new(JSON_NODE_OBJECT);

	g_assert_nonnull(object);
	json_node_take_object(node, object);
	assert_node(node, expected);
}

static void test_osinfo(void)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"", "{}"},
		{"ID=debian\nVERSION_ID=\"12\"\n", "{\"id\": \"debian\", \"version-id\": \"12\"}"},
		{"# NAME=no\n  NAME='a \"b\" c'\n", "{\"name\": \"a \\\"b\\\" c\"}"},
		{"PRETTY_NAME=\"\\$5 \\\"x\\\" \\\\\"", "{\"pretty-name\": \"$5 \\\"x\\\" \\\\\"}"},
		{"VERSION=\nVARIANT=\"\"\n", "{\"version\": \"\", \"variant\": \"\"}"},
		{"NAME=a\nNAME=b\n", "{\"name\": \"b\"}"},
		/* No end to the quotes: the shell would not take it either. */
		{"NAME=\"x\nVARIANT_ID=y", "{\"variant-id\": \"y\"}"},
		{"IDX=1\nI=2\n=3\nNAME\nHOME_URL=\"https://x\"\n", "{}"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		JsonObject *info = json_object_new();

		sf_osinfo_add(info, cases[i].text);
		assert_object(info, cases[i].expected);
	}
}

static void add_login(GByteArray *file, int type, const char *user, gint32 seconds, gint32 useconds)
{
	struct utmpx entry = {.ut_type = (short)type};

	memcpy(entry.ut_user, user, MIN(strlen(user), sizeof(entry.ut_user)));
	entry.ut_tv.tv_sec = seconds;
	entry.ut_tv.tv_usec = useconds;
	g_byte_array_append(file, (const guint8 *)&entry, sizeof(entry));
}

static void test_users(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new("");
	g_autofree char *path = g_build_filename(machine->folder, "utmp", NULL);
	g_autoptr(GByteArray) file = g_byte_array_new();

	assert_array(sf_users_read(path), "[]");
	add_login(file, BOOT_TIME, "reboot", 5, 0);
	add_login(file, USER_PROCESS, "root", 200, 500000);
	add_login(file, USER_PROCESS, "12345678901234567890123456789012", 300, 0);
	add_login(file, DEAD_PROCESS, "root", 10, 0);
	add_login(file, USER_PROCESS, "root", 100, 250000);
	add_login(file, USER_PROCESS, "root", 150, 0);
	/* What is not a whole entry is none. */
	g_byte_array_append(file, (const guint8 *)"\7", 1);
	g_assert_true(g_file_set_contents(path, (const char *)file->data, file->len, NULL));
	assert_array(sf_users_read(path),
		     "[{\"user\": \"root\", \"login-time\": 100.25}, "
		     "{\"user\": \"12345678901234567890123456789012\", \"login-time\": 300}]");
}

static void test_cpustats(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new("");
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_cpustats_read(machine->proc, &error));
	g_assert_nonnull(error);
	fake_machine_write(machine, "proc/stat",
			   "cpu  9 9 9 9 9 9 9 9 9 9\n"
			   "cpu0 1 2 3 4 5 6 7 8 9 10\n"
			   "cpu12 100 0 0 7\n"
			   "intr 1 2 3\n");
	/* In milliseconds; the kernel counts in hundredths of a second. */
	assert_array(
		sf_cpustats_read(machine->proc, NULL),
		"[{\"type\": \"linux\", \"cpu\": 0, \"user\": 10, \"nice\": 20, \"system\": 30, "
		"\"idle\": 40, \"iowait\": 50, \"irq\": 60, \"softirq\": 70, \"steal\": 80, "
		"\"guest\": 90, \"guestnice\": 100}, "
		"{\"type\": \"linux\", \"cpu\": 12, \"user\": 1000, \"nice\": 0, \"system\": 0, "
		"\"idle\": 70}]");
}

static void test_diskstats(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new("");

	fake_machine_write(machine, "proc/diskstats",
			   " 254       0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n"
			   "   8       1 cciss!c0d0 1 2 3 4 5 6 7 8 9 10 11\n"
			   "nonsense\n");
	assert_array(sf_diskstats_read(machine->proc, NULL),
		     "[{\"name\": \"vda\", \"major\": 254, \"minor\": 0, \"stats\": {"
		     "\"read-ios\": 1, \"read-merges\": 2, \"read-sectors\": 3, \"read-ticks\": 4, "
		     "\"write-ios\": 5, \"write-merges\": 6, \"write-sectors\": 7, "
		     "\"write-ticks\": 8, \"ios-pgr\": 9, \"total-ticks\": 10, "
		     "\"weight-ticks\": 11, \"discard-ios\": 12, \"discard-merges\": 13, "
		     "\"discard-sectors\": 14, \"discard-ticks\": 15, \"flush-ios\": 16, "
		     "\"flush-ticks\": 17}}, "
		     "{\"name\": \"cciss!c0d0\", \"major\": 8, \"minor\": 1, \"stats\": {"
		     "\"read-ios\": 1, \"read-merges\": 2, \"read-sectors\": 3, \"read-ticks\": 4, "
		     "\"write-ios\": 5, \"write-merges\": 6, \"write-sectors\": 7, "
		     "\"write-ticks\": 8, \"ios-pgr\": 9, \"total-ticks\": 10, "
		     "\"weight-ticks\": 11}}]");
}

static void write_counters(FakeMachine *machine)
{
	static const char *const names[] = {"rx_bytes",   "rx_packets",       "rx_errors",
					    "rx_dropped", "rx_missed_errors", "tx_bytes",
					    "tx_packets", "tx_errors",        "tx_dropped"};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path =
			g_strdup_printf("sys/class/net/eth0/statistics/%s", names[i]);
		g_autofree char *text = g_strdup_printf("%zu\n", i + 1);

		fake_machine_write(machine, path, text);
	}
}

static void test_interfaces(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new("");
	struct sockaddr_ll hardware = {.sll_family = AF_PACKET,
				       .sll_halen = 6,
				       .sll_addr = {0x52, 0x54, 0, 0xAB, 1, 2}};
	struct sockaddr_in ip = {.sin_family = AF_INET};
	struct sockaddr_in mask = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xFFFFFC00)};
	struct sockaddr_in6 ip6 = {.sin6_family = AF_INET6};
	struct sockaddr_in6 mask6 = {.sin6_family = AF_INET6};
	struct ifaddrs list[4] = {
		{&list[1], (char *)"eth0", 0, (struct sockaddr *)&hardware, NULL, {0}, NULL},
		{&list[2], (char *)"tun0", 0, NULL, NULL, {0}, NULL},
		{&list[3],
		 (char *)"eth0:1",
		 0,
		 (struct sockaddr *)&ip,
		 (struct sockaddr *)&mask,
		 {0},
		 NULL},
		{NULL,
		 (char *)"eth0",
		 0,
		 (struct sockaddr *)&ip6,
		 (struct sockaddr *)&mask6,
		 {0},
		 NULL},
	};

	inet_pton(AF_INET, "192.0.2.7", &ip.sin_addr);
	inet_pton(AF_INET6, "fe80::1", &ip6.sin6_addr);
	memset(&mask6.sin6_addr, 0xFF, 8);
	write_counters(machine);
	assert_array(
		sf_interfaces_describe(list, machine->sys),
		"[{\"name\": \"eth0\", \"statistics\": {\"rx-bytes\": 1, \"rx-packets\": 2, "
		"\"rx-errs\": 3, \"rx-dropped\": 9, \"tx-bytes\": 6, \"tx-packets\": 7, "
		"\"tx-errs\": 8, \"tx-dropped\": 9}, "
		"\"hardware-address\": \"52:54:00:ab:01:02\", \"ip-addresses\": ["
		"{\"ip-address-type\": \"ipv4\", \"ip-address\": \"192.0.2.7\", \"prefix\": 22}, "
		"{\"ip-address-type\": \"ipv6\", \"ip-address\": \"fe80::1\", \"prefix\": 64}]}, "
		"{\"name\": \"tun0\"}]");
}

static void test_routes(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new("");
	unsigned int gateway = inet_addr("192.0.2.1");
	g_autofree char *table = g_strdup_printf(
		"Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
		"eth0\t00000000\t%08X\t0003\t0\t0\t100\t00000000\t1400\t0\t2  \n",
		gateway);

	assert_array(sf_routes_read(machine->proc), "[]");
	fake_machine_write(machine, "proc/net/route", table);
	fake_machine_write(
		machine, "proc/net/ipv6_route",
		"fd000000000000000000000000000000 40 00000000000000000000000000000000 00 "
		"fe800000000000000000000000000001 00000400 00000002 00000000 00000003     "
		"eth0\n");
	assert_array(
		sf_routes_read(machine->proc),
		"[{\"iface\": \"eth0\", \"destination\": \"0.0.0.0\", \"gateway\": \"192.0.2.1\", "
		"\"mask\": \"0.0.0.0\", \"metric\": 100, \"flags\": 3, \"refcnt\": 0, "
		"\"use\": 0, \"mtu\": 1400, \"window\": 0, \"irtt\": 2, \"version\": 4}, "
		"{\"iface\": \"eth0\", \"destination\": \"fd00::\", \"desprefixlen\": \"64\", "
		"\"source\": \"::\", \"srcprefixlen\": \"0\", \"nexthop\": \"fe80::1\", "
		"\"metric\": 1024, \"flags\": 3, \"refcnt\": 2, \"use\": 0, \"version\": 6}]");
}

static void test_vcpus(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new("");
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_vcpus_read(machine->sys, &error));
	g_assert_nonnull(error);
	g_clear_error(&error);
	fake_machine_write(machine, "sys/devices/system/cpu/cpu0/uevent", "");
	fake_machine_write(machine, "sys/devices/system/cpu/cpu10/online", "0\n");
	fake_machine_write(machine, "sys/devices/system/cpu/cpu2/online", "1\n");
	fake_machine_write(machine, "sys/devices/system/cpu/cpufreq/x", "");
	assert_array(sf_vcpus_read(machine->sys, NULL),
		     "[{\"logical-id\": 0, \"online\": true, \"can-offline\": false}, "
		     "{\"logical-id\": 2, \"online\": true, \"can-offline\": true}, "
		     "{\"logical-id\": 10, \"online\": false, \"can-offline\": true}]");

	g_assert_true(sf_vcpu_set(machine->sys, 0, true, NULL));
	g_assert_true(sf_vcpu_set(machine->sys, 2, false, NULL));
	g_assert_true(sf_vcpu_set(machine->sys, 10, true, NULL));
	assert_array(sf_vcpus_read(machine->sys, NULL),
		     "[{\"logical-id\": 0, \"online\": true, \"can-offline\": false}, "
		     "{\"logical-id\": 2, \"online\": false, \"can-offline\": true}, "
		     "{\"logical-id\": 10, \"online\": true, \"can-offline\": true}]");

	g_assert_false(sf_vcpu_set(machine->sys, 0, false, &error));
	g_assert_cmpstr(error->message, ==, "logical processor #0 can't be offlined");
	g_clear_error(&error);
	g_assert_false(sf_vcpu_set(machine->sys, 1, true, &error));
	g_assert_true(g_str_has_prefix(error->message, "open(\""));
	g_assert_true(g_str_has_suffix(error->message, "/cpu1/\"): No such file or directory"));
	g_clear_error(&error);
	g_assert_false(sf_vcpu_set(machine->sys, -1, true, &error));
}

static void test_memory_blocks(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new("");
	g_autoptr(GError) error = NULL;
	SfMemoryResult result;

	g_assert_null(sf_memory_blocks_read(machine->sys, &error));
	g_assert_nonnull(error);
	fake_machine_write(machine, "sys/devices/system/memory/block_size_bytes", "8000000\n");
	assert_array(sf_memory_blocks_read(machine->sys, NULL), "[]");
	assert_object(sf_memory_block_info_read(machine->sys, NULL), "{\"size\": 134217728}");
	fake_machine_write(machine, "sys/devices/system/memory/memory9/state", "online\n");
	fake_machine_write(machine, "sys/devices/system/memory/memory9/removable", "1\n");
	fake_machine_write(machine, "sys/devices/system/memory/memory32/state", "offline\n");
	fake_machine_write(machine, "sys/devices/system/memory/memory32/removable", "0\n");
	assert_array(sf_memory_blocks_read(machine->sys, NULL),
		     "[{\"phys-index\": 9, \"online\": true, \"can-offline\": true}, "
		     "{\"phys-index\": 32, \"online\": false, \"can-offline\": false}]");

	result = sf_memory_block_set(machine->sys, 8, true);
	g_assert_cmpint(result.response, ==, SF_MEMORY_NOT_FOUND);
	g_assert_cmpint(result.error, ==, ENOENT);
	result = sf_memory_block_set(machine->sys, 32, true);
	g_assert_cmpint(result.response, ==, SF_MEMORY_SUCCESS);
	fake_machine_write(machine, "sys/devices/system/memory/memory3/phys_index", "3\n");
	result = sf_memory_block_set(machine->sys, 3, true);
	g_assert_cmpint(result.response, ==, SF_MEMORY_NOT_SUPPORTED);
	assert_array(sf_memory_blocks_read(machine->sys, NULL),
		     "[{\"phys-index\": 3, \"online\": false, \"can-offline\": false}, "
		     "{\"phys-index\": 9, \"online\": true, \"can-offline\": true}, "
		     "{\"phys-index\": 32, \"online\": true, \"can-offline\": false}]");
}

static void test_suspend(void)
{
	static const struct {
		const char *state, *disk;
		bool ram, to_disk, hybrid;
	} cases[] = {
		{"freeze standby mem disk\n", "[platform] shutdown reboot suspend test_resume\n",
		 true, true, true},
		{"freeze mem disk\n", "[shutdown] reboot\n", true, true, false},
		{"freeze mem disk\n", "[disabled]\n", true, false, false},
		{"freeze\n", "[platform] suspend\n", false, false, false},
		{"freeze memory\n", "", false, false, false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(FakeMachine) machine = fake_machine_new("");

		g_assert_false(sf_suspend_is_possible(machine->sys, SF_SUSPEND_RAM));
		fake_machine_write(machine, "sys/power/state", cases[i].state);
		fake_machine_write(machine, "sys/power/disk", cases[i].disk);
		g_assert_cmpint(sf_suspend_is_possible(machine->sys, SF_SUSPEND_RAM), ==,
				cases[i].ram);
		g_assert_cmpint(sf_suspend_is_possible(machine->sys, SF_SUSPEND_DISK), ==,
				cases[i].to_disk);
		g_assert_cmpint(sf_suspend_is_possible(machine->sys, SF_SUSPEND_HYBRID), ==,
				cases[i].hybrid);
	}
}

static void assert_power(FakeMachine *machine, const char *state, const char *disk)
{
	g_autofree char *folder = g_build_filename(machine->sys, "power", NULL);
	g_autofree char *found_state = sf_sysfs_read(folder, "state");
	g_autofree char *found_disk = sf_sysfs_read(folder, "disk");

	/* A file keeps what is behind what was written; the kernel's does not. */
	g_assert_true(g_str_has_prefix(found_state, state));
	g_assert_true(g_str_has_prefix(found_disk, disk));
}

static void test_suspend_by_kernel(void)
{
	g_autoptr(FakeMachine) machine = fake_machine_new("");
	g_autoptr(GError) error = NULL;

	g_assert_false(sf_suspend_by_kernel(machine->sys, SF_SUSPEND_RAM, &error));
	g_assert_nonnull(error);
	fake_machine_write(machine, "sys/power/state", "x");
	fake_machine_write(machine, "sys/power/disk", "x");
	g_assert_true(sf_suspend_by_kernel(machine->sys, SF_SUSPEND_RAM, NULL));
	assert_power(machine, "mem", "x");
	g_assert_true(sf_suspend_by_kernel(machine->sys, SF_SUSPEND_HYBRID, NULL));
	assert_power(machine, "disk", "suspend");
}

static void test_hybrid_suspend_puts_the_mode_back(void)
{
	static const char modes[] = "shutdown [platform] suspend\n";
	g_autoptr(FakeMachine) machine = fake_machine_new("");
	g_autofree char *state = g_build_filename(machine->sys, "power/state", NULL);

	fake_machine_write(machine, "sys/power/state", "x");
	fake_machine_write(machine, "sys/power/disk", modes);
	g_assert_true(sf_suspend_by_kernel(machine->sys, SF_SUSPEND_HYBRID, NULL));
	assert_power(machine, "disk", "platform");
	/* The kernel refuses to sleep. */
	fake_machine_write(machine, "sys/power/disk", modes);
	g_unlink(state);
	g_assert_false(sf_suspend_by_kernel(machine->sys, SF_SUSPEND_HYBRID, NULL));
	fake_machine_write(machine, "sys/power/state", "x");
	assert_power(machine, "x", "platform");
}

static void test_clock(void)
{
	struct tm hardware;
	time_t now;

	g_assert_false(sf_clock_is_local(""));
	g_assert_false(sf_clock_is_local("0.0 0 0.0\n0\nUTC\n"));
	g_assert_true(sf_clock_is_local("0.0 0 0.0\n0\nLOCAL\n"));
	g_setenv("TZ", "XYZ-5:30", TRUE);
	tzset();
	/* 2001-09-09 01:46:40 UTC */
	g_assert_true(sf_clock_to_hardware(1000000000, false, &hardware));
	g_assert_cmpint(hardware.tm_year * 10000 + hardware.tm_hour * 100 + hardware.tm_min, ==,
			1010146);
	g_assert_true(sf_clock_from_hardware(&hardware, false, &now));
	g_assert_cmpint(now, ==, 1000000000);
	g_assert_true(sf_clock_to_hardware(1000000000, true, &hardware));
	g_assert_cmpint(hardware.tm_hour * 100 + hardware.tm_min, ==, 716);
	g_assert_true(sf_clock_from_hardware(&hardware, true, &now));
	g_assert_cmpint(now, ==, 1000000000);
}

static void test_program(void)
{
	static const char *const paths[] = {"/nonexistent/a", "/bin/false", "/bin/true", NULL};
	const char *good[] = {"/bin/true", NULL};
	const char *bad[] = {"/bin/false", NULL};
	const char *none[] = {"/nonexistent/a", NULL};
	const char *same[] = {"/bin/grep", "^what it reads$", NULL};
	g_autoptr(GError) error = NULL;

	g_assert_cmpstr(sf_program_find(paths), ==, "/bin/false");
	g_assert_null(sf_program_find(none));
	g_assert_true(sf_program_run(good, NULL, NULL));
	g_assert_true(sf_program_run(same, "what it reads\n", NULL));
	g_assert_false(sf_program_run(same, "something else\n", NULL));
	g_assert_false(sf_program_run(bad, NULL, &error));
	g_assert_cmpstr(error->message, ==, "'/bin/false' ended with status 1");
	g_clear_error(&error);
	g_assert_false(sf_program_run(none, NULL, &error));
	g_assert_true(g_str_has_prefix(error->message, "start '/nonexistent/a': "));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/commands/osinfo", test_osinfo);
	g_test_add_func("/commands/users", test_users);
	g_test_add_func("/commands/cpustats", test_cpustats);
	g_test_add_func("/commands/diskstats", test_diskstats);
	g_test_add_func("/commands/interfaces", test_interfaces);
	g_test_add_func("/commands/routes", test_routes);
	g_test_add_func("/commands/vcpus", test_vcpus);
	g_test_add_func("/commands/memory-blocks", test_memory_blocks);
	g_test_add_func("/commands/suspend", test_suspend);
	g_test_add_func("/commands/suspend-by-kernel", test_suspend_by_kernel);
	g_test_add_func("/commands/hybrid-suspend-puts-the-mode-back",
			test_hybrid_suspend_puts_the_mode_back);
	g_test_add_func("/commands/clock", test_clock);
	g_test_add_func("/commands/program", test_program);
	return g_test_run();
}
