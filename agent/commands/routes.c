/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc/net/route and /proc/net/ipv6_route say, for guest-network-get-route: the members of
 * its answer are the columns of these two files. */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/network.h"

/* The kernel prints the four bytes as one number of this machine. */
static void set_ipv4(JsonObject *route, const char *member, unsigned int number)
{
	struct in_addr address = {.s_addr = number};
	char text[INET_ADDRSTRLEN];

	if (inet_ntop(AF_INET, &address, text, sizeof(text)))
		json_object_set_string_member(route, member, text);
}

static void add_ipv4(JsonArray *routes, const char *line)
{
	char interface[64];
	unsigned int destination, gateway, flags, mask;
	int references, use, metric, mtu, window, irtt;
	JsonObject *route;

	/* The line of titles has no numbers. */
	if (sscanf(line, "%63s %x %x %x %d %d %d %x %d %d %d", interface, &destination, &gateway,
		   &flags, &references, &use, &metric, &mask, &mtu, &window, &irtt) != 11)
		return;
	route = json_object_new();
	json_object_set_string_member(route, "iface", interface);
	set_ipv4(route, "destination", destination);
	set_ipv4(route, "gateway", gateway);
	set_ipv4(route, "mask", mask);
	json_object_set_int_member(route, "metric", metric);
	json_object_set_int_member(route, "flags", flags);
	json_object_set_int_member(route, "refcnt", references);
	json_object_set_int_member(route, "use", use);
	json_object_set_int_member(route, "mtu", mtu);
	json_object_set_int_member(route, "window", window);
	json_object_set_int_member(route, "irtt", irtt);
	json_object_set_int_member(route, "version", 4);
	json_array_add_object_element(routes, route);
}

static void set_ipv6(JsonObject *route, const char *member, const char *digits)
{
	guint8 bytes[16];
	char text[INET6_ADDRSTRLEN];

	if (strlen(digits) != 2 * sizeof(bytes))
		return;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (guint8)(g_ascii_xdigit_value(digits[2 * i]) << 4 |
				    g_ascii_xdigit_value(digits[2 * i + 1]));
	if (inet_ntop(AF_INET6, bytes, text, sizeof(text)))
		json_object_set_string_member(route, member, text);
}

/* The schema has the lengths of prefixes as strings. */
static void set_length(JsonObject *route, const char *member, unsigned int length)
{
	g_autofree char *text = g_strdup_printf("%u", length);

	json_object_set_string_member(route, member, text);
}

static void add_ipv6(JsonArray *routes, const char *line)
{
	char destination[33], source[33], next[33], interface[64];
	unsigned int destination_length, source_length, metric, references, use, flags;
	JsonObject *route;

	if (sscanf(line, "%32[0-9a-f] %x %32[0-9a-f] %x %32[0-9a-f] %x %x %x %x %63s", destination,
		   &destination_length, source, &source_length, next, &metric, &references, &use,
		   &flags, interface) != 10)
		return;
	route = json_object_new();
	json_object_set_string_member(route, "iface", interface);
	set_ipv6(route, "destination", destination);
	set_length(route, "desprefixlen", destination_length);
	set_ipv6(route, "source", source);
	set_length(route, "srcprefixlen", source_length);
	set_ipv6(route, "nexthop", next);
	json_object_set_int_member(route, "metric", metric);
	json_object_set_int_member(route, "flags", flags);
	json_object_set_int_member(route, "refcnt", references);
	json_object_set_int_member(route, "use", use);
	json_object_set_int_member(route, "version", 6);
	json_array_add_object_element(routes, route);
}

/* Without IPv6 its file is missing. */
static void add_file(JsonArray *routes, const char *proc, const char *name,
		     void (*add)(JsonArray *, const char *))
{
	g_autofree char *path = g_build_filename(proc, "net", name, NULL);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return;
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++)
		add(routes, *line);
}

JsonArray *sf_routes_read(const char *proc)
{
	JsonArray *routes = json_array_new();

	add_file(routes, proc, "route", add_ipv4);
	add_file(routes, proc, "ipv6_route", add_ipv6);
	return routes;
}
