/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/privileges: what each configuration needs. That it is given up is seen in qa/vm. */
#include "config.h"

#include "agent/commands/commands.h"
#include "agent/freezer/capabilities.h"
#include "agent/privileges.h"

#define ALWAYS                                                               \
	(SF_CAPABILITY(CAP_SYS_ADMIN) | SF_CAPABILITY(CAP_DAC_READ_SEARCH) | \
	 SF_CAPABILITY(CAP_SYS_PTRACE))

static bool is_never_frozen(gpointer context)
{
	return false;
}

static SfPrivileges needed(SfProfile profile, const char *const *block, const char *const *allow,
			   bool has_hooks)
{
	SfDispatchSettings settings = {.profile = profile,
				       .block = block,
				       .allow = allow,
				       .is_frozen = is_never_frozen};
	SfDispatch *dispatch = sf_dispatch_new(sf_command_families, &settings);
	SfPrivileges privileges = sf_privileges_needed(dispatch, has_hooks);

	sf_dispatch_free(dispatch);
	return privileges;
}

static void test_each_profile_has_its_own(void)
{
	guint64 standard = ALWAYS | SF_CAPABILITY(CAP_SYS_TIME);
	guint64 full = standard | SF_CAPABILITY(CAP_DAC_OVERRIDE) | SF_CAPABILITY(CAP_FSETID) |
		       SF_CAPABILITY(CAP_KILL) | SF_CAPABILITY(CAP_SETUID) |
		       SF_CAPABILITY(CAP_SETGID);

	g_assert_cmphex(needed(SF_PROFILE_SNAPSHOT, NULL, NULL, false).own, ==, ALWAYS);
	g_assert_cmphex(needed(SF_PROFILE_STANDARD, NULL, NULL, false).own, ==, standard);
	g_assert_cmphex(needed(SF_PROFILE_FULL, NULL, NULL, false).own, ==, full);
}

static void test_hooks_are_ended_whoever_they_run_as(void)
{
	SfPrivileges hooked = needed(SF_PROFILE_SNAPSHOT, NULL, NULL, true);

	g_assert_cmphex(hooked.own, ==, ALWAYS | SF_CAPABILITY(CAP_KILL));
	g_assert_true(hooked.runs_programs);
}

static void test_the_lists_count_and_not_the_profile_alone(void)
{
	static const char *const no_time[] = {"guest-set-time", NULL};
	static const char *const files[] = {"guest-file-open", NULL};

	g_assert_cmphex(needed(SF_PROFILE_STANDARD, no_time, NULL, false).own, ==, ALWAYS);
	g_assert_cmphex(needed(SF_PROFILE_SNAPSHOT, NULL, files, false).own, ==,
			ALWAYS | SF_CAPABILITY(CAP_DAC_OVERRIDE) | SF_CAPABILITY(CAP_FSETID));
}

static void test_programs_are_those_of_commands_and_hooks(void)
{
	static const char *const running[] = {"guest-exec", "guest-set-user-password",
					      "guest-shutdown", "guest-suspend-ram"};
	static const char *const block[] = {"guest-shutdown", "guest-suspend-ram",
					    "guest-suspend-disk", "guest-suspend-hybrid", NULL};

	g_assert_false(needed(SF_PROFILE_SNAPSHOT, NULL, NULL, false).runs_programs);
	g_assert_true(needed(SF_PROFILE_STANDARD, NULL, NULL, false).runs_programs);
	g_assert_false(needed(SF_PROFILE_STANDARD, block, NULL, false).runs_programs);
	for (size_t i = 0; i < G_N_ELEMENTS(running); i++) {
		const char *const only[] = {running[i], NULL};

		g_assert_true(needed(SF_PROFILE_SNAPSHOT, NULL, only, false).runs_programs);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/privileges/each-profile-has-its-own", test_each_profile_has_its_own);
	g_test_add_func("/privileges/hooks-are-ended-whoever-they-run-as",
			test_hooks_are_ended_whoever_they_run_as);
	g_test_add_func("/privileges/the-lists-count-and-not-the-profile-alone",
			test_the_lists_count_and_not_the_profile_alone);
	g_test_add_func("/privileges/programs-are-those-of-commands-and-hooks",
			test_programs_are_those_of_commands_and_hooks);
	return g_test_run();
}
