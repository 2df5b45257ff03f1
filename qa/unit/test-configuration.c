/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/configuration: each key, what goes before what, the place in every error, and that a dump
 * reads back as itself. */
#include "config.h"

#include <glib/gstdio.h>
#include <string.h>

#include "agent/configuration.h"
#include "protocol/error.h"

typedef struct {
	char *folder, *own, *qemu_ga, *chosen;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
	fixture->folder = g_dir_make_tmp("sf-config-XXXXXX", NULL);
	fixture->own = g_build_filename(fixture->folder, "agent.conf", NULL);
	fixture->qemu_ga = g_build_filename(fixture->folder, "qemu-ga.conf", NULL);
	fixture->chosen = g_build_filename(fixture->folder, "chosen.conf", NULL);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	g_unlink(fixture->own);
	g_unlink(fixture->qemu_ga);
	g_unlink(fixture->chosen);
	g_rmdir(fixture->folder);
	g_free(fixture->folder);
	g_free(fixture->own);
	g_free(fixture->qemu_ga);
	g_free(fixture->chosen);
}

static void put(const char *path, const char *text)
{
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* @line: the arguments, split at blanks */
static SfConfig *load(Fixture *fixture, const char *line, GError **error)
{
	g_autofree char *whole = g_strconcat("agent ", line, NULL);
	g_auto(GStrv) argv = g_strsplit(g_strchomp(whole), " ", -1);
	SfConfigFiles files = {fixture->own, fixture->qemu_ga, NULL};
	g_auto(SfOptions) options = {0};

	if (!sf_options_parse(&options, g_strv_length(argv), argv, error))
		return NULL;
	return sf_config_new(&options, &files, error);
}

static SfConfig *load_well(Fixture *fixture, const char *line)
{
	g_autoptr(GError) error = NULL;
	SfConfig *config = load(fixture, line, &error);

	g_assert_no_error(error);
	return config;
}

static void assert_list(char **list, const char *expected)
{
	g_autofree char *joined = list ? g_strjoinv(" ", list) : NULL;

	g_assert_cmpstr(joined, ==, expected);
}

static void test_defaults(Fixture *fixture, gconstpointer data)
{
	g_autoptr(SfConfig) config = load_well(fixture, "");

	g_assert_cmpstr(config->main.name, ==, "main");
	g_assert_cmpint(config->main.method, ==, SF_METHOD_VIRTIO_SERIAL);
	g_assert_cmpstr(config->main.path, ==, "/dev/virtio-ports/org.qemu.guest_agent.0");
	g_assert_true(g_str_has_suffix(config->statedir, "/snapfreeze"));
	g_assert_true(g_str_has_suffix(config->pidfile, "/qemu-ga.pid"));
	g_assert_null(config->logfile);
	g_assert_false(config->verbose || config->daemonize || config->retry_path);
	g_assert_false(config->rehearse);
	g_assert_null(config->allow_rpcs);
	g_assert_null(config->block_rpcs);
	g_assert_cmpint(config->profile, ==, SF_PROFILE_STANDARD);
	g_assert_cmpuint(config->timeout_s, ==, 300);
	g_assert_cmpuint(config->max_timeout_s, ==, 3600);
	g_assert_cmpuint(config->freeze_timeout_s, ==, 30);
	g_assert_cmpuint(config->flush_timeout_s, ==, 60);
	g_assert_true(config->flush_throttle);
	g_assert_cmpuint(config->freeze_parallel, ==, 128);
	g_assert_cmpint(config->foreign_freeze, ==, SF_FOREIGN_FAIL);
	g_assert_cmpuint(config->channels->len, ==, 0);
}

static const char every_key[] = "# all of them\n"
				"[general]\n"
				"method=unix-listen\n"
				"path = /run/a.sock\n"
				"statedir=/run/s\n"
				"pidfile=/run/p\n"
				"logfile=/var/log/l\n"
				"verbose=true\n"
				"daemon=1\n"
				"retry-path=true\n"
				"block-rpcs=guest-exec, guest-file-open\n"
				"allow-rpcs=guest-ping,guest-info\n"
				"\n"
				"[channel:b]\n"
				"method=vsock-listen\n"
				"path=-1:1234\n"
				"[channel:a]\n"
				"method=isa-serial\n"
				"path=/dev/ttyS1\n"
				"[commands]\n"
				"profile=full\n"
				"[freeze]\n"
				"timeout=90s\n"
				"max-timeout=2h\n"
				"freeze-timeout=1m\n"
				"flush-timeout=7\n"
				"flush-throttle=false\n"
				"include=/srv/*;\n"
				"exclude=/mnt/a\\;b;type:vfat;device:/dev/sdb1;\n"
				"freeze-parallel=1\n"
				"foreign-freeze=accept\n";

static void assert_every_key(const SfConfig *config)
{
	const SfChannelConfig *first = config->channels->pdata[0];
	const SfChannelConfig *second = config->channels->pdata[1];

	g_assert_cmpint(config->main.method, ==, SF_METHOD_UNIX_LISTEN);
	g_assert_cmpstr(config->main.path, ==, "/run/a.sock");
	g_assert_cmpstr(config->statedir, ==, "/run/s");
	g_assert_cmpstr(config->pidfile, ==, "/run/p");
	g_assert_cmpstr(config->logfile, ==, "/var/log/l");
	g_assert_true(config->verbose && config->daemonize && config->retry_path);
	assert_list(config->block_rpcs, "guest-exec guest-file-open");
	assert_list(config->allow_rpcs, "guest-ping guest-info");
	g_assert_cmpuint(config->channels->len, ==, 2);
	g_assert_cmpstr(first->name, ==, "a");
	g_assert_cmpint(first->method, ==, SF_METHOD_ISA_SERIAL);
	g_assert_cmpstr(first->path, ==, "/dev/ttyS1");
	g_assert_cmpstr(second->name, ==, "b");
	g_assert_cmpint(second->method, ==, SF_METHOD_VSOCK_LISTEN);
	g_assert_cmpint(config->profile, ==, SF_PROFILE_FULL);
	g_assert_cmpuint(config->timeout_s, ==, 90);
	g_assert_cmpuint(config->max_timeout_s, ==, 7200);
	g_assert_cmpuint(config->freeze_timeout_s, ==, 60);
	g_assert_cmpuint(config->flush_timeout_s, ==, 7);
	g_assert_false(config->flush_throttle);
	assert_list(config->include, "/srv/*");
	assert_list(config->exclude, "/mnt/a;b type:vfat device:/dev/sdb1");
	g_assert_cmpuint(config->freeze_parallel, ==, 1);
	g_assert_cmpint(config->foreign_freeze, ==, SF_FOREIGN_ACCEPT);
}

static void test_every_key(Fixture *fixture, gconstpointer data)
{
	g_autoptr(SfConfig) config = NULL;

	put(fixture->own, every_key);
	config = load_well(fixture, "");
	assert_every_key(config);
}

static void test_dump_reads_back(Fixture *fixture, gconstpointer data)
{
	g_autoptr(SfConfig) config = NULL;
	g_autoptr(SfConfig) again = NULL;
	g_autofree char *dump = NULL;
	g_autofree char *dump_again = NULL;
	g_autofree char *line = g_strconcat("-c ", fixture->chosen, NULL);

	put(fixture->own, every_key);
	config = load_well(fixture, "");
	dump = sf_config_dump(config);
	put(fixture->chosen, dump);
	again = load_well(fixture, line);
	assert_every_key(again);
	dump_again = sf_config_dump(again);
	g_assert_cmpstr(dump_again, ==, dump);
}

static void test_dump_of_defaults(Fixture *fixture, gconstpointer data)
{
	g_autoptr(SfConfig) config = load_well(fixture, "");
	g_autofree char *dump = sf_config_dump(config);
	g_autofree char *line = g_strconcat("-c ", fixture->chosen, NULL);
	g_autoptr(SfConfig) again = NULL;
	g_autofree char *dump_again = NULL;

	g_assert_nonnull(strstr(dump, "\ntimeout=300\n"));
	put(fixture->chosen, dump);
	again = load_well(fixture, line);
	dump_again = sf_config_dump(again);
	g_assert_cmpstr(dump_again, ==, dump);
}

static void test_old_names(Fixture *fixture, gconstpointer data)
{
	g_autoptr(SfConfig) config = NULL;

	put(fixture->qemu_ga, "[general]\nblacklist=a\nblockedrpcs=b\nallowedrpcs=c\n");
	config = load_well(fixture, "--blacklist=d");
	assert_list(config->block_rpcs, "a b d");
	assert_list(config->allow_rpcs, "c");
}

static void test_command_line(Fixture *fixture, gconstpointer data)
{
	g_autoptr(SfConfig) config = NULL;

	put(fixture->own, every_key);
	config = load_well(fixture, "-m isa-serial -p/dev/ttyS9 -t /t -l /l -f /f -b x,y "
				    "--block-rpcs z -a guest-sync --rehearse");
	g_assert_cmpint(config->main.method, ==, SF_METHOD_ISA_SERIAL);
	g_assert_cmpstr(config->main.path, ==, "/dev/ttyS9");
	g_assert_cmpstr(config->statedir, ==, "/t");
	g_assert_cmpstr(config->logfile, ==, "/l");
	g_assert_cmpstr(config->pidfile, ==, "/f");
	assert_list(config->block_rpcs, "guest-exec guest-file-open x y z");
	assert_list(config->allow_rpcs, "guest-ping guest-info guest-sync");
	g_assert_true(config->rehearse);
}

static void test_switches(Fixture *fixture, gconstpointer data)
{
	g_autoptr(SfConfig) config = load_well(fixture, "-vdr");
	g_autoptr(SfConfig) empty = load_well(fixture, "--allow-rpcs= --path= --statedir=");

	g_assert_true(config->verbose && config->daemonize && config->retry_path);
	/* What a unit passes where its variables are empty. */
	g_assert_null(empty->allow_rpcs);
	g_assert_cmpstr(empty->main.path, ==, "/dev/virtio-ports/org.qemu.guest_agent.0");
}

static void test_default_paths(Fixture *fixture, gconstpointer data)
{
	g_autoptr(SfConfig) serial = load_well(fixture, "-m isa-serial");
	g_autoptr(SfConfig) local = load_well(fixture, "--method unix-listen");

	g_assert_cmpstr(serial->main.path, ==, "/dev/ttyS0");
	g_assert_null(local->main.path);
}

static void test_which_file(Fixture *fixture, gconstpointer data)
{
	SfConfigFiles files = {fixture->own, fixture->qemu_ga, fixture->chosen};
	SfOptions options = {0};
	g_autoptr(SfConfig) by_environment = NULL;
	g_autoptr(SfConfig) by_option = NULL;
	g_autoptr(SfConfig) own = NULL;
	g_autoptr(SfConfig) qemu_ga = NULL;

	put(fixture->chosen, "[freeze]\ntimeout=1\n");
	put(fixture->own, "[freeze]\ntimeout=2\n");
	put(fixture->qemu_ga, "[freeze]\ntimeout=3\n");
	by_environment = sf_config_new(&options, &files, NULL);
	g_assert_cmpuint(by_environment->timeout_s, ==, 1);
	options.config = fixture->qemu_ga;
	by_option = sf_config_new(&options, &files, NULL);
	g_assert_cmpuint(by_option->timeout_s, ==, 3);
	own = load_well(fixture, "");
	g_assert_cmpuint(own->timeout_s, ==, 2);
	g_assert_true(own->leaves_qemu_ga_unread);
	g_assert_false(by_option->leaves_qemu_ga_unread);
	g_unlink(fixture->own);
	qemu_ga = load_well(fixture, "");
	g_assert_cmpuint(qemu_ga->timeout_s, ==, 3);
	g_assert_false(qemu_ga->leaves_qemu_ga_unread);
}

static void test_chosen_must_exist(Fixture *fixture, gconstpointer data)
{
	g_autofree char *line = g_strconcat("-c ", fixture->chosen, NULL);
	g_autoptr(GError) error = NULL;

	g_assert_null(load(fixture, line, &error));
	g_assert_nonnull(strstr(error->message, fixture->chosen));
}

static void test_environment(void)
{
	SfConfigFiles files;

	g_setenv("QGA_CONF", "/somewhere", TRUE);
	files = sf_config_files_installed();
	g_assert_cmpstr(files.chosen, ==, "/somewhere");
	g_assert_cmpstr(files.qemu_ga, ==, "/etc/qemu/qemu-ga.conf");
	g_unsetenv("QGA_CONF");
	files = sf_config_files_installed();
	g_assert_null(files.chosen);
}

/* @error: what stands behind "FILE:" */
static const struct {
	const char *text, *error;
} bad_files[] = {
	{"[general]\nverbose=true\n\nverbos=true\n", "4: verbos: unknown key"},
	{"[nowhere]\nx=1\n", "1: [nowhere]: unknown group"},
	{"[hooks]\ntimeout=0\n", "2: timeout: 0 is not within 1 and 3600"},
	{"[hooks]\ndirectory=\n", "2: directory: is empty"},
	{"[freeze]\nflush-throttle=perhaps\n", "2: flush-throttle: must be true or false"},
	{"[freeze]\nflush-trickle=yes\n", "2: flush-trickle: unknown key"},
	{"[general]\ntimeout=3\n", "2: timeout: unknown key"},
	{"verbose=true\n", "1: stands before the first group: verbose=true"},
	{"[general]\nverbose\n", "2: neither a key, a group nor a comment: verbose"},
	{"[general\nverbose=true\n", "1: neither a key, a group nor a comment: [general"},
	{"[general]\npath=\xff\n", "2: not UTF-8"},
	{"[general]\nverbose=perhaps\n", "2: verbose: must be true or false"},
	{"[general]\npath=\n", "2: path: is empty"},
	{"[general]\nmethod=tcp\n",
	 "2: method: 'tcp' is none of virtio-serial, isa-serial, unix-listen, vsock-listen"},
	{"[commands]\nprofile=all\n", "2: profile: 'all' is none of snapshot, standard, full"},
	{"[freeze]\ntimeout=soon\n",
	 "2: timeout: 'soon' is not a number of seconds (90, 90s, 2m, 1h)"},
	{"[freeze]\ntimeout=5d\n", "2: timeout: '5d' is not a number of seconds (90, 90s, 2m, 1h)"},
	{"[freeze]\ntimeout=-1\n", "2: timeout: '-1' is not a number of seconds (90, 90s, 2m, 1h)"},
	{"[freeze]\ntimeout=99h\n", "2: timeout: 99h is not within 0 and 86400"},
	{"[freeze]\ntimeout=18446744073709551617\n",
	 "2: timeout: 18446744073709551617 is not within 0 and 86400"},
	{"[freeze]\nmax-timeout=0\n", "2: max-timeout: 0 is not within 1 and 86400"},
	{"[freeze]\nfreeze-timeout=0\n", "2: freeze-timeout: 0 is not within 1 and 3600"},
	{"[freeze]\nflush-timeout=2h\n", "2: flush-timeout: 2h is not within 1 and 3600"},
	{"[freeze]\ntimeout=2h\n", "2: timeout: timeout (7200) is longer than max-timeout (3600)"},
	{"[freeze]\nmax-timeout=10\n",
	 "2: max-timeout: timeout (300) is longer than max-timeout (10)"},
	{"[freeze]\nfreeze-parallel=0\n", "2: freeze-parallel: 0 is not within 1 and 4096"},
	{"[freeze]\nfreeze-parallel=2m\n", "2: freeze-parallel: '2m' is not a number"},
	{"[freeze]\nforeign-freeze=maybe\n", "2: foreign-freeze: 'maybe' is none of fail, accept"},
	{"[freeze]\ninclude=/a\nexclude=/x;fat\n",
	 "3: exclude: 'fat' is neither a path, type:NAME nor device:/PATH"},
	{"[channel:main]\nmethod=isa-serial\npath=/x\n",
	 "1: [channel:main]: a channel's name is 1 to 64 of letters, digits, '.', '_' and '-', and "
	 "not 'main'"},
	{"[channel:a b]\nmethod=isa-serial\npath=/x\n",
	 "1: [channel:a b]: a channel's name is 1 to 64 of letters, digits, '.', '_' and '-', and "
	 "not 'main'"},
	{"[general]\n[channel:a]\npath=/x\n", "2: [channel:a]: has no method"},
	{"[channel:a]\nmethod=unix-listen\n", "1: [channel:a]: has no path"},
	{"[channel:a]\nmethod=unix-listen\npath=/x\nmode=0666\n", "4: mode: unknown key"},
	{"[general]\nverbose=true\n[freeze]\n[general]\nverbose=no way\n",
	 "5: verbose: must be true or false"},
};

static void test_places(Fixture *fixture, gconstpointer data)
{
	for (size_t i = 0; i < G_N_ELEMENTS(bad_files); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *expected =
			g_strconcat(fixture->own, ":", bad_files[i].error, NULL);

		put(fixture->own, bad_files[i].text);
		g_assert_null(load(fixture, "", &error));
		g_assert_error(error, SF_ERROR, SF_ERROR_GENERIC);
		g_assert_cmpstr(error->message, ==, expected);
	}
}

static void test_bad_command_line(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(load(fixture, "-m tcp", &error));
	g_assert_error(error, SF_ERROR, SF_ERROR_GENERIC);
}

static void assert_hook(Fixture *fixture, const char *line, const char *expected)
{
	g_autoptr(SfConfig) config = load(fixture, line, NULL);

	g_assert_nonnull(config);
	g_assert_cmpstr(config->fsfreeze_hook, ==, expected);
}

/* As qemu-ga's users know it. */
static void test_the_hook_of_qemu_ga(Fixture *fixture, gconstpointer data)
{
	assert_hook(fixture, "", NULL);
	assert_hook(fixture, "-F", "/etc/qemu/fsfreeze-hook");
	assert_hook(fixture, "-F/srv/hook", "/srv/hook");
	put(fixture->own,
	    "[general]\nfsfreeze-hook=/x\n[hooks]\ndirectory=/y\ntimeout=1m\nenabled=false\n");
	assert_hook(fixture, "", "/x");
	assert_hook(fixture, "-F/srv/hook", "/srv/hook");
	g_autoptr(SfConfig) config = load(fixture, "", NULL);
	g_assert_cmpstr(config->hooks_directory, ==, "/y");
	g_assert_cmpuint(config->hooks_timeout_s, ==, 60);
	g_assert_false(config->hooks_enabled);
}

#define ADD(name, function) g_test_add(name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/configuration/defaults", test_defaults);
	ADD("/configuration/every-key", test_every_key);
	ADD("/configuration/dump-reads-back", test_dump_reads_back);
	ADD("/configuration/dump-of-defaults", test_dump_of_defaults);
	ADD("/configuration/old-names", test_old_names);
	ADD("/configuration/command-line-goes-first", test_command_line);
	ADD("/configuration/switches", test_switches);
	ADD("/configuration/default-paths", test_default_paths);
	ADD("/configuration/which-file", test_which_file);
	ADD("/configuration/chosen-file-must-exist", test_chosen_must_exist);
	ADD("/configuration/errors-name-their-place", test_places);
	ADD("/configuration/bad-command-line", test_bad_command_line);
	ADD("/configuration/the-hook-of-qemu-ga", test_the_hook_of_qemu_ga);
	g_test_add_func("/configuration/environment", test_environment);
	return g_test_run();
}
