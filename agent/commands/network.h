/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <ifaddrs.h>
#include <json-glib/json-glib.h>

/**
 * sf_interfaces_describe:
 * @addresses: as getifaddrs(3) gives them
 * @sys: such as "/sys", for the counters
 *
 * Returns: (transfer full): an entry for each interface, in their first order
 */
JsonArray *sf_interfaces_describe(const struct ifaddrs *addresses, const char *sys);

/* (transfer full): the main routing tables, as /proc/net shows them: IPv4, then IPv6. */
JsonArray *sf_routes_read(const char *proc);
