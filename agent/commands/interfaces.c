/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-network-get-interfaces: addresses by getifaddrs(3), counters by sysfs. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/network.h"
#include "agent/sysfs.h"
#include "protocol/error.h"

/* The kernel's names; the receiver's drops are counted in two places. */
static const struct {
	const char *member, *files[2];
} counters[] = {
	{"rx-bytes", {"rx_bytes"}}, {"rx-packets", {"rx_packets"}},
	{"rx-errs", {"rx_errors"}}, {"rx-dropped", {"rx_dropped", "rx_missed_errors"}},
	{"tx-bytes", {"tx_bytes"}}, {"tx-packets", {"tx_packets"}},
	{"tx-errs", {"tx_errors"}}, {"tx-dropped", {"tx_dropped"}},
};

static bool read_counter(const char *folder, const char *file, guint64 *sum)
{
	g_autofree char *text = sf_sysfs_read(folder, file);

	if (text)
		*sum += g_ascii_strtoull(text, NULL, 10);
	return text != NULL;
}

static void add_statistics(JsonObject *interface, const char *sys, const char *name)
{
	g_autofree char *folder = g_build_filename(sys, "class/net", name, "statistics", NULL);
	g_autoptr(JsonObject) statistics = json_object_new();

	for (size_t i = 0; i < G_N_ELEMENTS(counters); i++) {
		guint64 sum = 0;

		for (size_t j = 0; j < 2 && counters[i].files[j]; j++)
			if (!read_counter(folder, counters[i].files[j], &sum))
				return;
		json_object_set_int_member(statistics, counters[i].member, (gint64)sum);
	}
	json_object_set_object_member(interface, "statistics", g_steal_pointer(&statistics));
}

static int count_bits(const guint8 *bytes, size_t size)
{
	int bits = 0;

	for (size_t i = 0; i < size; i++)
		bits += __builtin_popcount(bytes[i]);
	return bits;
}

static void add_ip(JsonObject *interface, const char *type, const char *text, int prefix)
{
	JsonObject *address = json_object_new();

	json_object_set_string_member(address, "ip-address-type", type);
	json_object_set_string_member(address, "ip-address", text);
	json_object_set_int_member(address, "prefix", prefix);
	if (!json_object_has_member(interface, "ip-addresses"))
		json_object_set_array_member(interface, "ip-addresses", json_array_new());
	json_array_add_object_element(json_object_get_array_member(interface, "ip-addresses"),
				      address);
}

static void add_ipv4(JsonObject *interface, const struct ifaddrs *entry)
{
	const struct sockaddr_in *address = (const void *)entry->ifa_addr;
	const struct sockaddr_in *mask = (const void *)entry->ifa_netmask;
	char text[INET_ADDRSTRLEN];
	int prefix = mask ? count_bits((const guint8 *)&mask->sin_addr, 4) : 32;

	if (inet_ntop(AF_INET, &address->sin_addr, text, sizeof(text)))
		add_ip(interface, "ipv4", text, prefix);
}

static void add_ipv6(JsonObject *interface, const struct ifaddrs *entry)
{
	const struct sockaddr_in6 *address = (const void *)entry->ifa_addr;
	const struct sockaddr_in6 *mask = (const void *)entry->ifa_netmask;
	char text[INET6_ADDRSTRLEN];
	int prefix = mask ? count_bits((const guint8 *)&mask->sin6_addr, 16) : 128;

	if (inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof(text)))
		add_ip(interface, "ipv6", text, prefix);
}

/* Ethernet's length only, which is what hosts look for; loopback has it too. */
static void add_hardware(JsonObject *interface, const struct ifaddrs *entry)
{
	const struct sockaddr_ll *address = (const void *)entry->ifa_addr;
	const guint8 *bytes = address->sll_addr;
	g_autofree char *text = NULL;

	if (address->sll_halen != 6)
		return;
	text = g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2],
			       bytes[3], bytes[4], bytes[5]);
	json_object_set_string_member(interface, "hardware-address", text);
}

static void add_address(JsonObject *interface, const struct ifaddrs *entry)
{
	if (!entry->ifa_addr)
		return;
	if (entry->ifa_addr->sa_family == AF_INET)
		add_ipv4(interface, entry);
	else if (entry->ifa_addr->sa_family == AF_INET6)
		add_ipv6(interface, entry);
	else if (entry->ifa_addr->sa_family == AF_PACKET)
		add_hardware(interface, entry);
}

/* An address may have a label of its own, "eth0:1": it belongs to the interface before the colon.
 */
static JsonObject *find_interface(JsonArray *interfaces, GHashTable *known, const char *label,
				  const char *sys)
{
	g_autofree char *name = g_strndup(label, strcspn(label, ":"));
	JsonObject *interface = g_hash_table_lookup(known, name);

	if (interface)
		return interface;
	interface = json_object_new();
	json_object_set_string_member(interface, "name", name);
	add_statistics(interface, sys, name);
	json_array_add_object_element(interfaces, interface);
	g_hash_table_insert(known, g_steal_pointer(&name), interface);
	return interface;
}

JsonArray *sf_interfaces_describe(const struct ifaddrs *addresses, const char *sys)
{
	JsonArray *interfaces = json_array_new();
	g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (const struct ifaddrs *entry = addresses; entry; entry = entry->ifa_next)
		add_address(find_interface(interfaces, known, entry->ifa_name, sys), entry);
	return interfaces;
}

static void run_interfaces(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;
	g_autoptr(GError) error = NULL;
	struct ifaddrs *addresses;

	if (getifaddrs(&addresses) < 0) {
		sf_throw_errno(&error, "read the interfaces' addresses");
		sf_call_fail(call, error);
		return;
	}
	sf_answer_array(call,
			sf_interfaces_describe(addresses,
					       sf_session_settings(context->session)->source.sys),
			NULL);
	freeifaddrs(addresses);
}

static void run_routes(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	SfContext *context = user_data;

	sf_answer_array(call, sf_routes_read(sf_session_settings(context->session)->source.proc),
			NULL);
}

const SfCommand sf_network_commands[] = {
	{.name = "guest-network-get-interfaces",
	 .profile = SF_PROFILE_STANDARD,
	 .run = run_interfaces},
	{.name = "guest-network-get-route", .profile = SF_PROFILE_STANDARD, .run = run_routes},
	{NULL},
};
