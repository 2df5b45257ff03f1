/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the snapshot through libvirt, by virsh: it has QEMU's monitor for itself, and must know
 * which files the guest writes to. Its overlays are made within its transaction, so a file that
 * cannot be made is found while frozen, unlike with the monitor. Called by host.c. */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "client/host.h"
#include "client/target.h"
#include "client/virsh.h"
#include "protocol/error.h"

#define CANCEL_MS 30000
#define PROGRESS_US (500 * 1000)

typedef struct {
	SfHost host;
	GPtrArray *others; /* the names of the disks that are not wanted */
	char *stamp;
	char *xml_path; /* (nullable): a backup's description, for virsh to read */
	SfChild *child; /* (nullable): a virsh that runs */
	SfHostState state;
	bool is_asked;
	bool is_running;   /* the domain's job is ours */
	int64_t looked_us; /* when the progress was asked for */
} Libvirt;

static unsigned int wait_ms(const Libvirt *libvirt)
{
	return sf_invocation_wait_ms(libvirt->host.invocation, SF_WAIT_SHORT_MS);
}

static const SfDisk *disk_at(const Libvirt *libvirt, guint index)
{
	return g_ptr_array_index(libvirt->host.disks, index);
}

/* Of `domjobinfo --rawstats`. */
static bool is_jobless(const char *text)
{
	return strstr(text, "Job type: 0") != NULL;
}

/* ---- before the freeze */

static void note_others(Libvirt *libvirt, const GPtrArray *names)
{
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		bool is_wanted = false;

		for (guint j = 0; j < libvirt->host.disks->len; j++)
			is_wanted |= g_str_equal(disk_at(libvirt, j)->name, name);
		if (!is_wanted)
			g_ptr_array_add(libvirt->others, g_strdup(name));
	}
}

static bool find_disks(Libvirt *libvirt, GError **error)
{
	SfHost *host = &libvirt->host;
	g_autofree char *xml =
		sf_virsh_run("dumpxml", host->wish->domain, NULL, wait_ms(libvirt), error);
	g_autoptr(GPtrArray) left_out = NULL;
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	GPtrArray *disks = xml ? sf_disks_from_libvirt(xml, &left_out, error) : NULL;

	if (!disks)
		return false;
	g_ptr_array_unref(host->disks);
	host->disks = disks;
	for (guint i = 0; !host->wish->disks && i < left_out->len; i++)
		sf_say(host->invocation, "left out: %s",
		       (const char *)g_ptr_array_index(left_out, i));
	for (guint i = 0; i < disks->len; i++)
		g_ptr_array_add(names, g_strdup(disk_at(libvirt, i)->name));
	if (!sf_disks_choose(disks, host->wish->disks, error))
		return false;
	note_others(libvirt, names);
	return true;
}

static char *write_backup_xml(const Libvirt *libvirt)
{
	GString *xml = g_string_new("<domainbackup mode='push'><disks>");

	for (guint i = 0; i < libvirt->host.disks->len; i++) {
		g_autofree char *disk = g_markup_printf_escaped(
			"<disk name='%s' backup='yes' type='file'><driver type='%s'/>"
			"<target file='%s'/></disk>",
			disk_at(libvirt, i)->name, libvirt->host.wish->is_raw ? "raw" : "qcow2",
			disk_at(libvirt, i)->target);
		g_string_append(xml, disk);
	}
	for (guint i = 0; i < libvirt->others->len; i++) {
		g_autofree char *disk =
			g_markup_printf_escaped("<disk name='%s' backup='no'/>",
						(const char *)g_ptr_array_index(libvirt->others,
										i));
		g_string_append(xml, disk);
	}
	g_string_append(xml, "</disks></domainbackup>");
	return g_string_free(xml, FALSE);
}

/* libvirt writes backups into files of its own making only; that these can be made is known by now.
 */
static bool prepare_backup(Libvirt *libvirt, GError **error)
{
	g_autofree char *xml = write_backup_xml(libvirt);
	g_autoptr(GError) problem = NULL;
	int fd = g_file_open_tmp("snapfreeze-XXXXXX.xml", &libvirt->xml_path, &problem);

	if (fd < 0)
		return sf_throw(error, "%s", problem->message);
	close(fd);
	if (!g_file_set_contents(libvirt->xml_path, xml, -1, &problem))
		return sf_throw(error, "%s", problem->message);
	sf_targets_remove(libvirt->host.disks);
	return true;
}

/* libvirt lets a command wait for another job for half a minute: better not while frozen. */
static bool check_jobs(Libvirt *libvirt, GError **error)
{
	const char *const words[] = {"--rawstats", NULL};
	g_autofree char *text = sf_virsh_run("domjobinfo", libvirt->host.wish->domain, words,
					     wait_ms(libvirt), error);

	if (!text)
		return false;
	return is_jobless(text) ||
	       sf_throw(error, "the domain has a job already, such as a backup or a migration");
}

static bool prepare(SfHost *host, GError **error)
{
	Libvirt *libvirt = (Libvirt *)host;
	const SfWish *wish = host->wish;

	libvirt->stamp = sf_targets_stamp();
	if (!check_jobs(libvirt, error) || !find_disks(libvirt, error) ||
	    !sf_targets_name(host->disks, wish->backup, libvirt->stamp,
			     wish->is_raw ? "raw" : "qcow2", error) ||
	    !sf_targets_make(host->disks, error))
		return false;
	sf_targets_warn(host->invocation, host->disks, wish->backup != NULL);
	return !wish->backup || prepare_backup(libvirt, error);
}

/* ---- while frozen */

/* A comma in a name is doubled. */
static char *overlay_spec(const SfDisk *disk)
{
	g_auto(GStrv) parts = g_strsplit(disk->target, ",", -1);
	g_autofree char *path = g_strjoinv(",,", parts);

	return g_strdup_printf("--diskspec=%s,snapshot=external,driver=qcow2,file=%s", disk->name,
			       path);
}

static SfChild *start_overlays(const Libvirt *libvirt, GError **error)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(words, g_strdup("--disk-only"));
	g_ptr_array_add(words, g_strdup("--atomic"));
	g_ptr_array_add(words, g_strdup("--no-metadata"));
	g_ptr_array_add(words, g_strdup_printf("--name=snapfreeze-%s", libvirt->stamp));
	for (guint i = 0; i < libvirt->host.disks->len; i++)
		g_ptr_array_add(words, overlay_spec(disk_at(libvirt, i)));
	for (guint i = 0; i < libvirt->others->len; i++)
		g_ptr_array_add(words,
				g_strdup_printf("--diskspec=%s,snapshot=no",
						(const char *)g_ptr_array_index(libvirt->others,
										i)));
	g_ptr_array_add(words, NULL);
	return sf_virsh_start("snapshot-create-as", libvirt->host.wish->domain,
			      (const char *const *)words->pdata, error);
}

static SfChild *start_backup(const Libvirt *libvirt, GError **error)
{
	g_autofree char *option = g_strconcat("--backupxml=", libvirt->xml_path, NULL);
	const char *const words[] = {option, NULL};

	return sf_virsh_start("backup-begin", libvirt->host.wish->domain, words, error);
}

static void set_child(Libvirt *libvirt, SfChild *child)
{
	g_clear_pointer(&libvirt->child, sf_child_free);
	libvirt->child = child;
	libvirt->host.fd = child ? sf_child_fd(child) : -1;
}

static bool begin(SfHost *host, GError **error)
{
	Libvirt *libvirt = (Libvirt *)host;

	set_child(libvirt, host->wish->backup ? start_backup(libvirt, error)
					      : start_overlays(libvirt, error));
	libvirt->is_asked = libvirt->child != NULL;
	if (!libvirt->child)
		libvirt->state = SF_HOST_FAILED;
	return libvirt->child != NULL;
}

static SfHostState take_answer(Libvirt *libvirt, GError **error)
{
	bool is_backup = libvirt->host.wish->backup != NULL;
	bool is_good;

	if (!sf_child_step(libvirt->child))
		return SF_HOST_BUSY;
	is_good = sf_child_succeeded(libvirt->child);
	if (!is_good)
		sf_throw(error, "libvirt refused %s: %s",
			 is_backup ? "backup-begin" : "snapshot-create-as",
			 sf_child_complaint(libvirt->child));
	else if (is_backup)
		sf_targets_adopt(libvirt->host.disks);
	libvirt->is_running = is_good && is_backup;
	set_child(libvirt, NULL);
	if (!is_good)
		return SF_HOST_FAILED;
	return is_backup ? SF_HOST_COPYING : SF_HOST_DONE;
}

/* ---- the copies of a backup */

/* A number of `domjobinfo --rawstats`, "  NAME: NUMBER"; 0 where it is not there. */
static double find_number(const char *text, const char *name)
{
	g_autofree char *label = g_strconcat(name, ":", NULL);
	const char *at = strstr(text, label);

	return at ? g_ascii_strtod(at + strlen(label), NULL) : 0;
}

/* A job that has ended is told of once, by another question. */
static SfHostState learn_outcome(Libvirt *libvirt, GError **error)
{
	const char *const words[] = {"--completed", NULL};
	g_autofree char *text = sf_virsh_run("domjobinfo", libvirt->host.wish->domain, words,
					     wait_ms(libvirt), error);

	if (!text)
		return SF_HOST_FAILED;
	libvirt->host.progress = 1;
	if (strstr(text, "Completed"))
		return SF_HOST_DONE;
	sf_throw(error, "the backup did not succeed%s",
		 strstr(text, "Cancelled") ? ": it was cancelled" : "");
	return SF_HOST_FAILED;
}

static SfHostState take_progress(Libvirt *libvirt, GError **error)
{
	const char *text = sf_child_output(libvirt->child);
	double total = find_number(text, "disk_total");
	double done = find_number(text, "disk_processed");
	bool is_good = sf_child_succeeded(libvirt->child);
	bool is_over = is_jobless(text);

	if (!is_good)
		sf_throw(error, "libvirt does not tell of the backup: %s",
			 sf_child_complaint(libvirt->child));
	if (total > 0)
		libvirt->host.progress = CLAMP(done / total, 0, 1);
	set_child(libvirt, NULL);
	if (!is_good)
		return SF_HOST_FAILED;
	libvirt->is_running = !is_over;
	return is_over ? learn_outcome(libvirt, error) : SF_HOST_COPYING;
}

static SfHostState follow_copies(Libvirt *libvirt, GError **error)
{
	const char *const words[] = {"--rawstats", NULL};
	int64_t now_us = g_get_monotonic_time();

	if (libvirt->child)
		return sf_child_step(libvirt->child) ? take_progress(libvirt, error)
						     : SF_HOST_COPYING;
	if (now_us - libvirt->looked_us < PROGRESS_US)
		return SF_HOST_COPYING;
	libvirt->looked_us = now_us;
	set_child(libvirt, sf_virsh_start("domjobinfo", libvirt->host.wish->domain, words, error));
	return libvirt->child ? SF_HOST_COPYING : SF_HOST_FAILED;
}

static SfHostState step(SfHost *host, GError **error)
{
	Libvirt *libvirt = (Libvirt *)host;

	if (libvirt->state == SF_HOST_BUSY)
		libvirt->state = take_answer(libvirt, error);
	else if (libvirt->state == SF_HOST_COPYING)
		libvirt->state = follow_copies(libvirt, error);
	return libvirt->state;
}

/* ---- taking it back */

static bool undo(SfHost *host)
{
	Libvirt *libvirt = (Libvirt *)host;
	bool is_unknown = libvirt->is_asked && libvirt->state == SF_HOST_BUSY;

	set_child(libvirt, NULL);
	if (is_unknown || (!host->wish->backup && libvirt->state == SF_HOST_DONE))
		return false;
	/* A domain has one job at a time, and it may be another's. It has ended when this returns.
	 */
	if (libvirt->is_running)
		g_free(sf_virsh_run("domjobabort", host->wish->domain, NULL, CANCEL_MS, NULL));
	sf_targets_remove(host->disks);
	return true;
}

static void free_libvirt(SfHost *host)
{
	Libvirt *libvirt = (Libvirt *)host;

	set_child(libvirt, NULL);
	if (libvirt->xml_path)
		unlink(libvirt->xml_path);
	g_ptr_array_unref(libvirt->others);
	g_free(libvirt->xml_path);
	g_free(libvirt->stamp);
	g_free(libvirt);
}

static const SfHostClass libvirt_class = {
	.prepare = prepare,
	.begin = begin,
	.step = step,
	.undo = undo,
	.free = free_libvirt,
};

SfHost *sf_host_libvirt_new(SfInvocation *invocation, const SfWish *wish)
{
	Libvirt *libvirt = g_new0(Libvirt, 1);

	sf_host_init(&libvirt->host, &libvirt_class, invocation, wish);
	libvirt->others = g_ptr_array_new_with_free_func(g_free);
	return &libvirt->host;
}
