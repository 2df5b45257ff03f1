/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See plan-rig.h. */
#include "config.h"

#include "qa/unit/plan-rig.h"

FakeMachine *rig_machine(const char *table)
{
	g_autofree char *whole = g_strconcat(ROOT DEV, table, NULL);
	FakeMachine *machine = fake_machine_new(whole);

	fake_machine_disk(machine, "vda", "253:0", "pci0000:00/virtio1");
	fake_machine_partition(machine, "vda", "vda1", "253:1");
	fake_machine_partition(machine, "vda", "vda2", "253:2");
	fake_machine_partition(machine, "vda", "vda3", "253:3");
	fake_machine_partition(machine, "vda", "vda4", "253:4");
	return machine;
}

SfPlan *rig_plan(FakeMachine *machine)
{
	g_autoptr(GError) error = NULL;
	SfPlan *plan = sf_plan_new(&machine->source, NULL, &error);

	g_assert_no_error(error);
	return plan;
}

const SfTarget *rig_target(const SfPlan *plan, guint i)
{
	g_assert_cmpuint(i, <, plan->targets->len);
	return g_ptr_array_index(plan->targets, i);
}

char *rig_spell(const SfPlan *plan)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < plan->targets->len; i++) {
		const SfTarget *target = rig_target(plan, i);

		g_string_append_printf(text, "%s%s%s", i > 0 ? " " : "", target->mountpoint,
				       target->backing_hidden ? "!" : "");
	}
	for (guint i = 0; i < plan->edges->len; i++) {
		SfPlanEdge edge = g_array_index(plan->edges, SfPlanEdge, i);

		g_string_append_printf(text, " [%u<%u]", edge.before, edge.after);
	}
	return g_string_free(text, FALSE);
}

void rig_assert_plan(FakeMachine *machine, const char *expected)
{
	g_autoptr(SfPlan) plan = rig_plan(machine);
	g_autofree char *text = rig_spell(plan);

	g_assert_cmpstr(text, ==, expected);
}

void rig_assert_table(const char *table, const char *expected)
{
	g_autoptr(FakeMachine) machine = rig_machine(table);

	rig_assert_plan(machine, expected);
}

void rig_assert_error(FakeMachine *machine, const char *const *mountpoints, const char *message)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(sf_plan_new(&machine->source, mountpoints, &error));
	g_assert_cmpstr(error->message, ==, message);
}
