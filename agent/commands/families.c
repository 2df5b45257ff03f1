/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The list of command families: a new family is added here and nowhere else. */
#include "config.h"

#include "agent/commands/commands.h"

const SfCommand *const sf_command_families[] = {
	sf_basic_commands,
	sf_fsfreeze_commands,
	sf_snapfreeze_commands,
	NULL,
};
