/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the life of the process that reads mount tables: takes a question, has the lookout answer
 * it. It holds no filesystem open, logs nothing, and outlives neither the agent nor its freeze.
 * Called by scout, once per child.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/errand.h"
#include "agent/freezer/capabilities.h"
#include "agent/lookout.h"
#include "agent/plan-variant.h"
#include "agent/scout-child.h"
#include "agent/scout.h"
#include "agent/target.h"
#include "protocol/error.h"

static GVariant *plan(SfLookout *lookout, GError **error)
{
	const SfPlan *made = sf_lookout_plan(lookout, error);

	return made ? sf_plan_to_variant(made) : NULL;
}

static GVariant *check(SfLookout *lookout, SfWhichProcesses which, GError **error)
{
	SfTablesChange change;

	return sf_lookout_check(lookout, which, &change, error) ? g_variant_new_byte(change) : NULL;
}

static GVariant *check_opened(SfLookout *lookout, GError **error)
{
	sf_lookout_note_open(lookout);
	return check(lookout, SF_PROCESSES_NEW, error);
}

/* Takes @reasons. */
static GVariant *reasons_to_variant(GPtrArray *reasons)
{
	GVariant *variant =
		g_variant_new_bytestring_array((const char *const *)reasons->pdata, reasons->len);

	g_ptr_array_unref(reasons);
	return variant;
}

static SfTarget *find_target(const SfMounts *mounts, SfDevice device, GError **error)
{
	const GPtrArray *superblock = sf_mounts_of_device(mounts, device);

	if (superblock)
		return sf_target_new(superblock, error);
	sf_throw(
		error,
		"filesystem %u:%u is frozen and mounted nowhere: mount it, then run snapfreeze-agent "
		"--recover",
		SF_DEVICE_MAJOR(device), SF_DEVICE_MINOR(device));
	return NULL;
}

static GVariant *find_ways(const SfScoutWork *work, GError **error)
{
	g_autoptr(SfMounts) mounts = sf_namespaces_read(work->source, error);
	g_autoptr(SfPlan) ways = sf_plan_new_empty();
	g_autoptr(GError) trouble = NULL;

	if (!mounts)
		return NULL;
	for (guint i = 0; i < work->devices->len; i++) {
		SfDevice device = g_array_index(work->devices, SfDevice, i);
		SfTarget *target = find_target(mounts, device, trouble ? NULL : &trouble);

		if (target)
			g_ptr_array_add(ways->targets, target);
	}
	return g_variant_new("(@" SF_PLAN_VARIANT_TYPE "^ay)", sf_plan_to_variant(ways),
			     trouble ? trouble->message : "");
}

/* Returns: floating; (nullable) with @error */
static GVariant *find_answer(const SfScoutWork *work, SfLookout *lookout, char question,
			     GError **error)
{
	switch ((SfScoutQuestion)question) {
	case SF_SCOUT_PLAN:
		return plan(lookout, error);
	case SF_SCOUT_CHECK_OPENED:
		return check_opened(lookout, error);
	case SF_SCOUT_CHECK_FLUSHED:
		return check(lookout, SF_PROCESSES_ALL, error);
	case SF_SCOUT_AFTER_FREEZE:
		return reasons_to_variant(sf_lookout_after_freeze(lookout));
	case SF_SCOUT_BEFORE_THAW:
		return reasons_to_variant(sf_lookout_before_thaw(lookout));
	case SF_SCOUT_WAYS:
		return find_ways(work, error);
	}
	sf_throw(error, "no such question");
	return NULL;
}

static bool send_answer(int fd, char kind, const void *content, gsize size)
{
	SfScoutHeader header = {.size = (uint32_t)size, .kind = kind};

	return sf_errand_write(fd, &header, sizeof(header)) && sf_errand_write(fd, content, size);
}

static bool answer(const SfScoutWork *work, SfLookout *lookout, char question)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) variant = find_answer(work, lookout, question, &error);

	if (!variant)
		return send_answer(work->socket_fd, SF_SCOUT_FAILED, error->message,
				   strlen(error->message));
	g_variant_ref_sink(variant);
	return send_answer(work->socket_fd, SF_SCOUT_ANSWER, g_variant_get_data(variant),
			   g_variant_get_size(variant));
}

static void settle(void)
{
	sf_child_reset_signals();
	/* What a terminal sends to all of its processes: the agent says when this one ends. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	/* Tables and folders of others. */
	sf_capabilities_keep(SF_CAPABILITY(CAP_DAC_READ_SEARCH) | SF_CAPABILITY(CAP_SYS_PTRACE));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A core dump could go to what is frozen. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int sf_scout_child_run(void *data)
{
	const SfScoutWork *work = data;
	SfLookout *lookout = sf_lookout_new(work->source, work->mountpoints);
	char question;
	ssize_t n;

	settle();
	do {
		n = read(work->socket_fd, &question, 1);
		if (n > 0 && !answer(work, lookout, question))
			break;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return 0;
}
