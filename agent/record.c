/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the record's file and mapping. Its invariant: an entry's state says "ours" before the ioctl
 * that may freeze it begins, and until the one that thaws it has answered; and one process at a
 * time has it open. Called by session, rescue and recovery.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "agent/record.h"
#include "protocol/error.h"

static bool read_boot_id(char *out_id, size_t size, GError **error)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, error))
		return false;
	g_strlcpy(out_id, g_strchomp(text), size);
	return true;
}

static bool check_folder(const char *folder, bool needs_tmpfs, GError **error)
{
	struct statfs info;

	if (g_mkdir_with_parents(folder, 0700) < 0)
		return sf_throw_errno(error, "make '%s'", folder);
	if (statfs(folder, &info) < 0)
		return sf_throw_errno(error, "look at '%s'", folder);
	if (needs_tmpfs && info.f_type != TMPFS_MAGIC && info.f_type != RAMFS_MAGIC)
		return sf_throw(
			error,
			"'%s' is not on tmpfs: the record of what is frozen cannot lie on a "
			"disk that freezes",
			folder);
	return true;
}

/* Two agents on one record would each thaw what the other froze. A lock of fcntl(2), since the
 * freezer, which inherits the file, must not keep it when the agent is dead. */
static bool lock_file(const SfRecord *record, GError **error)
{
	/* The first byte only: the entries have locks of their own. */
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

	if (fcntl(record->fd, F_SETLK, &lock) == 0)
		return true;
	if (fcntl(record->fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		return sf_throw(error, "cannot lock '%s'", record->path);
	return sf_throw(error, "'%s' is in use by process %d: is another agent running?",
			record->path, (int)lock.l_pid);
}

static bool open_file(SfRecord *record, struct stat *out_info, GError **error)
{
	record->fd = open(record->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (record->fd < 0)
		return sf_throw_errno(error, "open '%s'", record->path);
	if (fstat(record->fd, out_info) < 0 || !S_ISREG(out_info->st_mode) ||
	    out_info->st_uid != geteuid())
		return sf_throw(error, "'%s' is not a file of ours", record->path);
	return lock_file(record, error);
}

/* The file of another version, whose freezer may still be thawing: cut off under its mapping, that
 * would die of the next look at it. It keeps its file, and we make another. */
static bool replace_file(SfRecord *record, struct stat *out_info, GError **error)
{
	if (unlink(record->path) < 0)
		return sf_throw_errno(error, "remove '%s'", record->path);
	close(record->fd);
	return open_file(record, out_info, error);
}

static bool map_file(SfRecord *record, GError **error)
{
	struct stat info;

	if (!open_file(record, &info, error))
		return false;
	if (info.st_size != 0 && info.st_size != sizeof(struct sf_record) &&
	    !replace_file(record, &info, error))
		return false;
	if (info.st_size == 0 && posix_fallocate(record->fd, 0, sizeof(struct sf_record)) != 0)
		return sf_throw(error, "'%s' cannot be made %zu bytes long", record->path,
				sizeof(struct sf_record));
	record->map = mmap(NULL, sizeof(struct sf_record), PROT_READ | PROT_WRITE, MAP_SHARED,
			   record->fd, 0);
	if (record->map == MAP_FAILED) {
		record->map = NULL;
		return sf_throw_errno(error, "map '%s'", record->path);
	}
	return true;
}

static void end_strings(struct sf_record *map)
{
	map->channel[sizeof(map->channel) - 1] = '\0';
	map->label[sizeof(map->label) - 1] = '\0';
	map->reason[sizeof(map->reason) - 1] = '\0';
	map->boot_id[sizeof(map->boot_id) - 1] = '\0';
	for (unsigned int i = 0; i < SF_RECORD_MAX_HOOKS; i++)
		map->hooks[i].path[sizeof(map->hooks[i].path) - 1] = '\0';
}

static bool is_of_this_boot(const struct sf_record *map, const char *boot_id)
{
	return memcmp(map->magic, SF_RECORD_MAGIC, sizeof(map->magic)) == 0 &&
	       map->size == sizeof(*map) && map->count <= SF_RECORD_MAX_ENTRIES &&
	       atomic_load(&map->hook_count) <= SF_RECORD_MAX_HOOKS &&
	       strncmp(map->boot_id, boot_id, sizeof(map->boot_id)) == 0;
}

static bool adopt(struct sf_record *map, GError **error)
{
	char boot_id[sizeof(map->boot_id)] = "";

	if (!read_boot_id(boot_id, sizeof(boot_id), error))
		return false;
	end_strings(map);
	if (is_of_this_boot(map, boot_id))
		return true;
	memset(map, 0, sizeof(*map));
	map->size = sizeof(*map);
	memcpy(map->boot_id, boot_id, sizeof(boot_id));
	memcpy(map->magic, SF_RECORD_MAGIC, sizeof(map->magic));
	return true;
}

SfRecord *sf_record_open(const char *folder, bool needs_tmpfs, GError **error)
{
	if (!check_folder(folder, needs_tmpfs, error))
		return NULL;

	g_autoptr(SfRecord) record = g_new0(SfRecord, 1);
	record->fd = -1;
	record->path = g_build_filename(folder, "record", NULL);
	if (!map_file(record, error) || !adopt(record->map, error))
		return NULL;
	return g_steal_pointer(&record);
}

static bool map_to_look(SfRecord *record)
{
	char boot_id[sizeof(record->map->boot_id)] = "";
	struct stat info;

	record->fd = open(record->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (record->fd < 0 || fstat(record->fd, &info) < 0 ||
	    info.st_size != sizeof(struct sf_record))
		return false;
	void *map = mmap(NULL, sizeof(struct sf_record), PROT_READ, MAP_SHARED, record->fd, 0);
	if (map == MAP_FAILED)
		return false;
	record->map = map;
	return read_boot_id(boot_id, sizeof(boot_id), NULL) &&
	       is_of_this_boot(record->map, boot_id);
}

SfRecord *sf_record_look(const char *folder)
{
	g_autoptr(SfRecord) record = g_new0(SfRecord, 1);

	record->path = g_build_filename(folder, "record", NULL);
	return map_to_look(record) ? g_steal_pointer(&record) : NULL;
}

void sf_record_close(SfRecord *record)
{
	if (!record)
		return;
	if (record->map)
		munmap(record->map, sizeof(struct sf_record));
	if (record->fd >= 0)
		close(record->fd);
	g_free(record->path);
	g_free(record);
}

void sf_record_begin(SfRecord *record, int64_t id, const char *channel, const char *label,
		     const SfPlan *plan)
{
	struct sf_record *map = record->map;

	map->id = id;
	g_strlcpy(map->channel, channel, sizeof(map->channel));
	g_strlcpy(map->label, label ? label : "", sizeof(map->label));
	map->verdict = SF_VERDICT_UNKNOWN;
	map->reason[0] = '\0';
	atomic_store(&map->end, SF_END_NONE);
	atomic_store(&map->begun_ms, 0);
	atomic_store(&map->ended_ms, 0);
	memset(map->entries, 0, sizeof(map->entries[0]) * MAX(map->count, plan->targets->len));
	map->count = plan->targets->len;
	for (guint i = 0; i < plan->targets->len; i++) {
		const SfTarget *target = g_ptr_array_index(plan->targets, i);
		map->entries[i].major = SF_DEVICE_MAJOR(target->device);
		map->entries[i].minor = SF_DEVICE_MINOR(target->device);
	}
}

void sf_record_set_verdict(SfRecord *record, bool consistent, const char *reason)
{
	g_strlcpy(record->map->reason, reason ? reason : "", sizeof(record->map->reason));
	record->map->verdict = consistent ? SF_VERDICT_CONSISTENT : SF_VERDICT_INCONSISTENT;
}

bool sf_record_entry_is_ours(const struct sf_record_entry *entry)
{
	uint32_t state = atomic_load(&entry->state);

	return state == SF_ENTRY_FREEZING || state == SF_ENTRY_FROZEN || state == SF_ENTRY_THAWING;
}

bool sf_record_lock_entry(const SfRecord *record, uint32_t index)
{
	struct flock lock = {.l_type = F_WRLCK,
			     .l_whence = SEEK_SET,
			     .l_start = 1 + (off_t)index,
			     .l_len = 1};

	return fcntl(record->fd, F_SETLK, &lock) == 0;
}

int sf_record_first_ours(const SfRecord *record)
{
	for (uint32_t i = 0; i < record->map->count; i++)
		if (sf_record_entry_is_ours(&record->map->entries[i]))
			return (int)i;
	return -1;
}

unsigned int sf_record_count_ours(const SfRecord *record)
{
	unsigned int count = 0;

	for (uint32_t i = 0; i < record->map->count; i++)
		count += sf_record_entry_is_ours(&record->map->entries[i]);
	return count;
}

const char *sf_end_describe(enum sf_end end)
{
	static const char *const texts[] = {
		[SF_END_NONE] = "agent and freezer died",
		[SF_END_REQUEST] = "thawed on request",
		[SF_END_FAILED] = "the freeze failed",
		[SF_END_TIMEOUT] = "the freeze took too long",
		[SF_END_DEADLINE] = "its deadline passed",
		[SF_END_AGENT_GONE] = "the agent died",
		[SF_END_HEARTBEAT] = "the agent hung",
		[SF_END_FREEZER_GONE] = "the freezer died or hung",
		[SF_END_STOPPED] = "the agent was stopped",
		[SF_END_RECOVERED] = "agent and freezer died",
	};

	return end < G_N_ELEMENTS(texts) ? texts[end] : "unknown";
}

const char *sf_entry_state_name(enum sf_entry_state state)
{
	static const char *const names[] = {
		[SF_ENTRY_PLANNED] = "planned", [SF_ENTRY_FREEZING] = "freezing",
		[SF_ENTRY_FROZEN] = "frozen",   [SF_ENTRY_FAILED] = "failed",
		[SF_ENTRY_FOREIGN] = "foreign", [SF_ENTRY_SYNCED] = "synced",
		[SF_ENTRY_THAWING] = "thawing", [SF_ENTRY_THAWED] = "thawed",
	};

	return state < G_N_ELEMENTS(names) ? names[state] : "unknown";
}

uint64_t sf_boottime_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
