/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/plan.h"
#include "qa/unit/fake-machine.h"

/* A machine with one disk of four partitions; the root is the first. */
#define ROOT "20 1 253:1 / / rw - ext4 /dev/vda1 rw\n"
#define DEV "21 20 0:6 / /dev rw - devtmpfs devtmpfs rw\n"

FakeMachine *rig_machine(const char *table);
/* Of all that is mounted. */
SfPlan *rig_plan(FakeMachine *machine);
const SfTarget *rig_target(const SfPlan *plan, guint i);

/* Mount points in order; "!" behind one whose backing is hidden; "[0<2]" for each edge. */
char *rig_spell(const SfPlan *plan);
void rig_assert_plan(FakeMachine *machine, const char *expected);
/* The same of a new machine. */
void rig_assert_table(const char *table, const char *expected);
void rig_assert_error(FakeMachine *machine, const char *const *mountpoints, const char *message);
