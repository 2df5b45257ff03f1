/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/namespaces and all that a plan makes of other namespaces' tables: whatever those say, the
 * own filesystems are planned, or there is an error; what is planned is whole, and arrives so.
 *
 * The input is the mountinfo of one process's namespace; after a byte 0xFF, that of a second one's.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "agent/namespaces.h"
#include "agent/plan-variant.h"
#include "agent/plan.h"
#include "protocol/message.h"
#include "qa/fuzz/fuzz.h"
#include "qa/unit/fake-machine.h"

#define SPLIT 0xFF
#define OWN 2 /* filesystems that the own table has: "/" and "/img" */

static FakeMachine *machine;

static void add_process(int pid)
{
	g_autofree char *link = g_strdup_printf("proc/%d/ns/mnt", pid);
	g_autofree char *root = g_strdup_printf("proc/%d/root", pid);
	g_autofree char *space = g_strdup_printf("mnt:[%d]", pid);

	fake_machine_link(machine, root, "/");
	fake_machine_link(machine, link, space);
}

static void remove_machine(void)
{
	fake_machine_free(machine);
}

static void make_machine(void)
{
	machine = fake_machine_new("20 1 253:1 / / rw - ext4 /dev/vda1 rw\n"
				   "21 20 7:0 / /img rw - ext4 /dev/loop0 rw\n");
	fake_machine_add_vda(machine, 4);
	fake_machine_loop(machine, "loop0", "7:0", "/data/a.img");
	fake_machine_btrfs(machine, "6a7f", "vda3");
	add_process(7);
	add_process(8);
	atexit(remove_machine);
}

static void write_table(int pid, const uint8_t *data, size_t len)
{
	g_autofree char *path = g_strdup_printf("%s/%d/mountinfo", machine->proc, pid);

	g_assert_true(g_file_set_contents(path, (const char *)data, (gssize)len, NULL));
}

static void check_target(const SfTarget *target)
{
	g_assert_cmpuint(target->routes->len, >, 0);
	g_assert_cmpuint(target->routes->len, <=, SF_PLAN_MAX_ROUTES);
	g_assert_cmpstr(g_array_index(target->routes, SfRoute, 0).path, ==, target->mountpoint);
	g_assert_true(target->space == NULL || target->space->inode == 7 ||
		      target->space->inode == 8);
	g_assert_cmpint(target->fd, ==, -1);
}

static void check_edges(const SfPlan *plan)
{
	for (guint i = 0; i < plan->edges->len; i++) {
		const SfPlanEdge *edge = &g_array_index(plan->edges, SfPlanEdge, i);

		g_assert_cmpuint(edge->before, <, edge->after);
		g_assert_cmpuint(edge->after, <, plan->targets->len);
	}
}

static void check_arrival(const SfPlan *plan)
{
	g_autoptr(GVariant) sent = g_variant_ref_sink(sf_plan_to_variant(plan));
	g_autoptr(GBytes) bytes = g_variant_get_data_as_bytes(sent);
	g_autoptr(GVariant) arrived = g_variant_ref_sink(
		g_variant_new_from_bytes(G_VARIANT_TYPE(SF_PLAN_VARIANT_TYPE), bytes, FALSE));
	g_autoptr(GError) error = NULL;
	g_autoptr(SfPlan) copy = sf_plan_from_variant(arrived, &error);

	g_assert_no_error(error);
	g_assert_true(sf_plan_equal(copy, plan));
}

static void check_text(const SfPlan *plan)
{
	g_autoptr(JsonNode) node = sf_plan_to_json(plan, NULL);
	g_autoptr(GString) text = g_string_new(NULL);

	sf_json_write(text, node);
	g_assert_true(g_str_is_ascii(text->str));
}

static void plan(const char *const *mountpoints)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(SfPlan) made = sf_plan_new(&machine->source, mountpoints, &error);
	guint own = 0;

	if (!made) {
		g_assert_true(error && *error->message);
		return;
	}
	for (guint i = 0; i < made->targets->len; i++) {
		const SfTarget *target = g_ptr_array_index(made->targets, i);

		check_target(target);
		own += target->space == NULL;
	}
	g_assert_true(mountpoints || own == OWN);
	check_edges(made);
	check_arrival(made);
	check_text(made);
	(void)sf_namespaces_have_changed(made->mounts, SF_PROCESSES_ALL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const named[] = {"/data", NULL};
	const uint8_t *split = len > 0 ? memchr(data, SPLIT, len) : NULL;
	size_t first = split ? (size_t)(split - data) : len;

	if (!machine)
		make_machine();
	write_table(7, data, first);
	write_table(8, split ? split + 1 : data, split ? len - first - 1 : 0);
	plan(NULL);
	plan(named);
	return 0;
}
