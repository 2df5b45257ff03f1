/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The list of command families: a new family is added here and nowhere else. */
#include "config.h"

#include "agent/commands/commands.h"

/* One a line, so that two new ones do not meet. */
/* clang-format off */
const SfCommand *const sf_command_families[] = {
	sf_basic_commands,
	sf_fsfreeze_commands,
	sf_snapfreeze_commands,
	sf_host_commands,
	sf_osinfo_commands,
	sf_users_commands,
	sf_statistics_commands,
	sf_network_commands,
	sf_vcpu_commands,
	sf_memory_commands,
	sf_disk_commands,
	sf_fstrim_commands,
	sf_clock_commands,
	sf_power_commands,
	sf_exec_commands,
	sf_file_commands,
	sf_password_commands,
	sf_ssh_commands,
	NULL,
};
/* clang-format on */
