/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest-set-time: sets the clocks after the guest was stopped for a while. In a child, which talks
 * to the hardware clock through its ioctl(2)s, reads the time zone, and may wait for a second to
 * begin.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtc.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/commands/clock.h"
#include "agent/commands/commands.h"
#include "agent/freezer/capabilities.h"
#include "protocol/error.h"

#define TIMEOUT_MS 20000
#define NS_PER_S 1000000000
#define ADJTIME "/etc/adjtime"
/* A second of the hardware clock, in looks at it. */
#define LOOK_US 2000
#define MAX_LOOKS 1000

static const SfArgumentSpec set_arguments[] = {
	{"time", SF_ARGUMENT_INTEGER, true, NULL},
	{NULL},
};

bool sf_clock_is_local(const char *adjtime)
{
	g_auto(GStrv) lines = g_strsplit(adjtime, "\n", 4);

	return g_strv_length(lines) >= 3 && g_str_has_prefix(lines[2], "LOCAL");
}

bool sf_clock_to_hardware(time_t now, bool is_local, struct tm *out_hardware)
{
	return (is_local ? localtime_r(&now, out_hardware) : gmtime_r(&now, out_hardware)) != NULL;
}

bool sf_clock_from_hardware(const struct tm *hardware, bool is_local, time_t *out_now)
{
	struct tm broken = *hardware;

	broken.tm_isdst = -1;
	*out_now = is_local ? mktime(&broken) : timegm(&broken);
	return *out_now != (time_t)-1;
}

static int open_hardware(GError **error)
{
	static const char *const paths[] = {"/dev/rtc", "/dev/rtc0"};

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

		if (fd >= 0)
			return fd;
	}
	sf_throw_errno(error, "open the hardware clock '%s'", paths[0]);
	return -1;
}

static bool hardware_is_local(void)
{
	g_autofree char *text = NULL;

	tzset();
	return g_file_get_contents(ADJTIME, &text, NULL, NULL) && sf_clock_is_local(text);
}

static bool set_system(const struct timespec *now, GError **error)
{
	return clock_settime(CLOCK_REALTIME, now) == 0 ||
	       sf_throw_errno(error, "set the system clock");
}

/* It counts seconds only: the nearest is right to half of one. */
static bool write_hardware(int fd, const struct timespec *now, GError **error)
{
	struct rtc_time hardware = {0};
	struct tm broken;

	if (!sf_clock_to_hardware(now->tv_sec + (now->tv_nsec >= NS_PER_S / 2), hardware_is_local(),
				  &broken))
		return sf_throw(error, "the hardware clock has no such time");
	hardware.tm_sec = broken.tm_sec;
	hardware.tm_min = broken.tm_min;
	hardware.tm_hour = broken.tm_hour;
	hardware.tm_mday = broken.tm_mday;
	hardware.tm_mon = broken.tm_mon;
	hardware.tm_year = broken.tm_year;
	return ioctl(fd, RTC_SET_TIME, &hardware) == 0 ||
	       sf_throw_errno(error, "set the hardware clock");
}

static bool look(int fd, struct tm *out_time, GError **error)
{
	struct rtc_time hardware;

	if (ioctl(fd, RTC_RD_TIME, &hardware) < 0)
		return sf_throw_errno(error, "read the hardware clock");
	*out_time = (struct tm){
		.tm_sec = hardware.tm_sec,
		.tm_min = hardware.tm_min,
		.tm_hour = hardware.tm_hour,
		.tm_mday = hardware.tm_mday,
		.tm_mon = hardware.tm_mon,
		.tm_year = hardware.tm_year,
	};
	return true;
}

/* Waits for its next second: what it shows is then what it is. */
static bool read_hardware(int fd, struct timespec *out_now, GError **error)
{
	struct tm first, found;

	if (!look(fd, &first, error))
		return false;
	found = first;
	for (int i = 0; i < MAX_LOOKS && found.tm_sec == first.tm_sec; i++) {
		g_usleep(LOOK_US);
		if (!look(fd, &found, error))
			return false;
	}
	out_now->tv_nsec = 0;
	if (sf_clock_from_hardware(&found, hardware_is_local(), &out_now->tv_sec))
		return true;
	return sf_throw(error, "the hardware clock shows no time");
}

/* @time: (nullable): NULL: what the hardware clock says */
static bool set_clocks(const gint64 *time, GError **error)
{
	struct timespec now;
	bool done;
	int fd;

	if (time && *time < 0)
		return sf_throw(error, "Parameter 'time' must not be negative");
	if (time) {
		now = (struct timespec){*time / NS_PER_S, *time % NS_PER_S};
		if (!set_system(&now, error))
			return false;
	}
	fd = open_hardware(error);
	if (fd < 0)
		return false;
	if (time)
		done = write_hardware(fd, &now, error);
	else
		done = read_hardware(fd, &now, error) && set_system(&now, error);
	close(fd);
	return done;
}

/* In the child: writes what failed, and nothing where nothing did. */
static void set_time(int fd, gpointer work_data)
{
	g_autoptr(GError) error = NULL;

	sf_capabilities_keep(SF_CAPABILITY(CAP_SYS_TIME));
	if (!set_clocks(work_data, &error))
		sf_errand_write(fd, error->message, strlen(error->message));
}

static void on_set(const GByteArray *output, bool is_whole, gpointer user_data)
{
	g_autofree char *text = sf_errand_text(output);
	g_autoptr(GError) error = NULL;

	if (is_whole && *text == '\0') {
		sf_answer_nothing(user_data);
		return;
	}
	sf_throw(&error, "%s", *text ? text : "the clocks do not answer");
	sf_call_fail(user_data, error);
}

static void run_set_time(SfCall *call, const SfArguments *arguments, gpointer user_data)
{
	gint64 time = sf_arguments_get_integer(arguments, "time");
	bool is_given = sf_arguments_has(arguments, "time");

	sf_errand_start(((SfContext *)user_data)->errands, set_time, is_given ? &time : NULL,
			TIMEOUT_MS, on_set, call);
}

const SfCommand sf_clock_commands[] = {
	{.name = "guest-set-time",
	 .arguments = set_arguments,
	 .profile = SF_PROFILE_STANDARD,
	 .run = run_set_time},
	{NULL},
};
