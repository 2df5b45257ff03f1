/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns what is known of qemu-ga's note. Its invariant: the note goes only when our record says what
 * it said. Called by agent.c and agent-recover.c.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/mounts.h"
#include "agent/predecessor.h"
#include "agent/process.h"
#include "protocol/error.h"

#define NOTE "qga.state.isfrozen"
#define MAIN_CHANNEL "main"
#define REASON "qemu-ga had frozen it, and has ended since"

char **sf_predecessor_folders(const char *qemu_ga_conf, const char *statedir)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *chosen = NULL;
	GPtrArray *folders = g_ptr_array_new();

	if (g_key_file_load_from_file(file, qemu_ga_conf, G_KEY_FILE_NONE, NULL))
		chosen = g_key_file_get_string(file, "general", "statedir", NULL);
	if (chosen)
		g_ptr_array_add(folders, g_steal_pointer(&chosen));
	g_ptr_array_add(folders, g_strdup(statedir));
	/* Its own default, and what some units give it; nearly always the same folder. */
	g_ptr_array_add(folders, g_strdup("/var/run"));
	g_ptr_array_add(folders, g_strdup("/run"));
	g_ptr_array_add(folders, NULL);
	return (char **)g_ptr_array_free(folders, FALSE);
}

void sf_predecessor_source_clear(SfPredecessorSource *source)
{
	g_strfreev(source->folders);
}

/* (transfer full) (nullable): of the first note that there is, and when it was written. */
static char *find_note(const SfPredecessorSource *source, time_t *out_written)
{
	for (char **folder = source->folders; *folder; folder++) {
		g_autofree char *path = g_build_filename(*folder, NOTE, NULL);
		struct stat info;

		/* Who else may write there could have the guest thawed. */
		if (lstat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid()) {
			*out_written = info.st_mtime;
			return g_steal_pointer(&path);
		}
	}
	return NULL;
}

SfPredecessor sf_predecessor_find(const SfPredecessorSource *source, pid_t *out_pid)
{
	time_t written;
	g_autofree char *note = find_note(source, &written);

	if (!note)
		return SF_PREDECESSOR_NONE;
	g_autoptr(GArray) pids = sf_process_find(source->proc, "qemu-ga");
	if (pids->len == 0)
		return SF_PREDECESSOR_GONE;
	*out_pid = g_array_index(pids, pid_t, 0);
	return SF_PREDECESSOR_RUNS;
}

/* One whose superblock is read-only has nothing to freeze; any other may have been. */
static bool may_be_frozen(const GPtrArray *superblock)
{
	const SfMount *first = g_ptr_array_index(superblock, 0);

	return first->kind == SF_FSKIND_LOCAL && !first->superblock_read_only;
}

/* (nullable): where the record is full. What is in it already has one entry, as any other. */
static struct sf_record_entry *find_entry(struct sf_record *map, SfDevice device)
{
	for (uint32_t i = 0; i < map->count; i++)
		if (SF_DEVICE(map->entries[i].major, map->entries[i].minor) == device)
			return &map->entries[i];
	return map->count < SF_RECORD_MAX_ENTRIES ? &map->entries[map->count++] : NULL;
}

static void add_entry(struct sf_record *map, SfDevice device)
{
	struct sf_record_entry *entry = find_entry(map, device);

	if (!entry || sf_record_entry_is_ours(entry))
		return;
	*entry = (struct sf_record_entry){.major = SF_DEVICE_MAJOR(device),
					  .minor = SF_DEVICE_MINOR(device)};
	atomic_store(&entry->state, SF_ENTRY_FROZEN);
}

static void add_filesystems(struct sf_record *map, const SfMounts *mounts)
{
	GHashTableIter walk;
	gpointer device, superblock;

	g_hash_table_iter_init(&walk, mounts->by_device);
	while (g_hash_table_iter_next(&walk, &device, &superblock))
		if (may_be_frozen(superblock))
			add_entry(map, *(const SfDevice *)device);
}

static void add_hook(struct sf_record *map, const char *hook)
{
	if (!hook || atomic_load(&map->hook_count) > 0)
		return;
	map->hooks[0] = (struct sf_record_hook){.pid = 0};
	if (g_strlcpy(map->hooks[0].path, hook, sizeof(map->hooks[0].path)) <
	    sizeof(map->hooks[0].path))
		atomic_store(&map->hook_count, 1);
}

static uint64_t boottime_of(time_t written)
{
	uint64_t now_ms = sf_boottime_ms();
	gint64 age_ms = (g_get_real_time() / G_USEC_PER_SEC - (gint64)written) * 1000;

	/* 0 would mean: never begun. */
	return now_ms - (uint64_t)CLAMP(age_ms, 0, (gint64)now_ms - 1);
}

static int remove_notes(void *user_data)
{
	char **paths = user_data;
	pid_t child = fork();

	/* It may wait for as long as a thaw takes: init reaps it, and nobody here waits. */
	if (child != 0)
		return child > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	for (char **path = paths; *path; path++)
		unlink(*path);
	return EXIT_SUCCESS;
}

/* In a child: a state folder on what is frozen can be written to only after the thaw. */
static void forget(const SfPredecessorSource *source)
{
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

	for (char **folder = source->folders; *folder; folder++)
		g_ptr_array_add(paths, g_build_filename(*folder, NOTE, NULL));
	g_ptr_array_add(paths, NULL);
	pid_t child = sf_process_run_child(NULL, 0, remove_notes, paths->pdata);
	if (child > 0)
		waitpid(child, NULL, 0);
}

static void begin(SfRecord *record, time_t written)
{
	struct sf_record *map = record->map;

	map->id++;
	g_strlcpy(map->channel, MAIN_CHANNEL, sizeof(map->channel));
	g_strlcpy(map->label, "qemu-ga", sizeof(map->label));
	sf_record_set_verdict(record, false, REASON);
	map->count = 0;
	atomic_store(&map->end, SF_END_NONE);
	atomic_store(&map->begun_ms, boottime_of(written));
	atomic_store(&map->ended_ms, 0);
}

/* An earlier agent's freeze was not thawed either: it stays what it is, and has one more thing to
 * tell, to whoever asked for the one or the other. */
static void join(SfRecord *record, time_t written)
{
	struct sf_record *map = record->map;
	uint32_t end = atomic_load(&map->end);

	/* A freeze that failed has told its host so; now there is something to tell. */
	if (end == SF_END_FAILED || end == SF_END_TIMEOUT)
		atomic_store(&map->end, SF_END_NONE);
	if (atomic_load(&map->begun_ms) == 0)
		atomic_store(&map->begun_ms, boottime_of(written));
	bool has_reason = map->verdict == SF_VERDICT_INCONSISTENT && map->reason[0];
	g_autofree char *reason =
		g_strdup_printf("%s; " REASON,
				has_reason ? map->reason : sf_end_describe(atomic_load(&map->end)));

	sf_record_set_verdict(record, false, reason);
	if (strcmp(map->channel, MAIN_CHANNEL) != 0)
		map->channel[0] = '\0';
}

bool sf_predecessor_adopt(const SfPredecessorSource *source, const char *hook, SfRecord *record,
			  GError **error)
{
	time_t written = 0;
	g_autofree char *note = find_note(source, &written);
	g_autoptr(SfMounts) mounts = sf_mounts_read(source->mountinfo, error);

	if (!mounts)
		return false;
	if (!note)
		return sf_throw(error, "there is no " NOTE " any more");
	if (sf_record_count_ours(record) > 0)
		join(record, written);
	else
		begin(record, written);
	add_hook(record->map, hook);
	add_filesystems(record->map, mounts);
	forget(source);
	return true;
}
