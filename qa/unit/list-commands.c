/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints each command of the agent with its arguments, a line each, for the manual's check. */
#include "config.h"

#include <stdio.h>

#include "agent/commands/commands.h"

int main(void)
{
	for (const SfCommand *const *family = sf_command_families; *family; family++) {
		for (const SfCommand *command = *family; command->name; command++) {
			g_autofree char *arguments = sf_arguments_describe(command->arguments);

			printf("%s: %s%s%s\n", command->name, arguments,
			       command->allowed_while_frozen ? "; while frozen" : "",
			       command->never_blocked ? "; never forbidden" : "");
		}
	}
	return 0;
}
