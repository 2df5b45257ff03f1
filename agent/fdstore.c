/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names by which our fds lie in the service manager's store, and finding them again by the
 * environment that it sets (sd_listen_fds(3)). Holds no state of its own. Called by
 * service-manager, session and recovery.
 */
#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#include "agent/fdstore.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */
#define NAMES "LISTEN_FDNAMES"
#define CLOSED "closed"

static char *name_of(SfDevice device)
{
	return g_strdup_printf("frozen-%u-%u", SF_DEVICE_MAJOR(device), SF_DEVICE_MINOR(device));
}

char *sf_fdstore_put_text(SfDevice device)
{
	g_autofree char *name = name_of(device);

	return g_strdup_printf("FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
}

static char *forget_text(const char *name)
{
	return g_strdup_printf("FDSTOREREMOVE=1\nFDNAME=%s", name);
}

char *sf_fdstore_forget_text(SfDevice device)
{
	g_autofree char *name = name_of(device);

	return forget_text(name);
}

/* (transfer full) (nullable): the names of what was inherited, one for each fd from FIRST_FD on. */
static char **inherited_names(void)
{
	const char *pid = g_getenv("LISTEN_PID"), *names = g_getenv(NAMES);

	if (!pid || !names || g_ascii_strtoull(pid, NULL, 10) != (guint64)getpid())
		return NULL;
	return g_strsplit(names, ":", -1);
}

int sf_fdstore_find(SfDevice device)
{
	g_auto(GStrv) names = inherited_names();
	g_autofree char *wanted = name_of(device);

	for (int i = 0; names && names[i]; i++)
		if (g_str_equal(names[i], wanted))
			return FIRST_FD + i;
	return -1;
}

GPtrArray *sf_fdstore_clear(void)
{
	GPtrArray *texts = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) names = inherited_names();

	for (int i = 0; names && names[i]; i++) {
		if (!g_str_has_prefix(names[i], "frozen-"))
			continue;
		close(FIRST_FD + i);
		g_ptr_array_add(texts, forget_text(names[i]));
		/* What is opened next gets this number: whoever comes here again must not take it
		 * for what lay in the store. */
		g_free(names[i]);
		names[i] = g_strdup(CLOSED);
	}
	if (names) {
		g_autofree char *left = g_strjoinv(":", names);
		g_setenv(NAMES, left, TRUE);
	}
	return texts;
}
