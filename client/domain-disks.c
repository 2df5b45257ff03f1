/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The disks of a domain, out of libvirt's description of it. Only what stands right below <disk> is
 * looked at: mirrors and backing files have the same elements further down. host-libvirt.c calls
 * it. */
#include "config.h"

#include <string.h>

#include "client/disk.h"
#include "protocol/error.h"

typedef struct {
	GPtrArray *disks;
	GPtrArray *left_out;
	SfDisk *disk;       /* (nullable): the one that is being read */
	const char *reason; /* (nullable): against it */
} Reader;

static const char *attribute(const char **names, const char **values, const char *wanted)
{
	for (; *names; names++, values++) {
		if (g_str_equal(*names, wanted))
			return *values;
	}
	return NULL;
}

static void begin_disk(Reader *reader, const char **names, const char **values)
{
	const char *kind = attribute(names, values, "device");
	const char *snapshot = attribute(names, values, "snapshot");

	reader->disk = g_new0(SfDisk, 1);
	reader->reason = NULL;
	if (kind && !g_str_equal(kind, "disk"))
		reader->reason = "its medium is removable";
	else if (g_strcmp0(snapshot, "no") == 0 || g_strcmp0(snapshot, "manual") == 0)
		reader->reason = "its configuration says so";
}

static void replace(char **text, const char *with)
{
	if (!with)
		return;
	g_free(*text);
	*text = g_strdup(with);
}

static void read_source(SfDisk *disk, const char **names, const char **values)
{
	static const char *const places[] = {"file", "dev", "name", "volume"};

	for (size_t i = 0; i < G_N_ELEMENTS(places) && !disk->image; i++)
		replace(&disk->image, attribute(names, values, places[i]));
}

static void read_part(Reader *reader, const char *element, const char **names, const char **values)
{
	if (g_str_equal(element, "driver"))
		replace(&reader->disk->format, attribute(names, values, "type"));
	else if (g_str_equal(element, "target"))
		replace(&reader->disk->name, attribute(names, values, "dev"));
	else if (g_str_equal(element, "source"))
		read_source(reader->disk, names, values);
	else if (g_str_equal(element, "readonly"))
		reader->reason = "it is read-only";
	else if (g_str_equal(element, "transient"))
		reader->reason = "it is transient";
}

static void on_start(GMarkupParseContext *context, const char *element, const char **names,
		     const char **values, gpointer user_data, G_GNUC_UNUSED GError **error)
{
	const GSList *stack = g_markup_parse_context_get_element_stack(context);
	const char *parent = stack->next ? stack->next->data : NULL;
	Reader *reader = user_data;

	if (g_strcmp0(parent, "devices") == 0 && g_str_equal(element, "disk"))
		begin_disk(reader, names, values);
	else if (reader->disk && g_strcmp0(parent, "disk") == 0)
		read_part(reader, element, names, values);
}

static void on_end(GMarkupParseContext *context, const char *element, gpointer user_data,
		   G_GNUC_UNUSED GError **error)
{
	const GSList *stack = g_markup_parse_context_get_element_stack(context);
	Reader *reader = user_data;
	SfDisk *disk = reader->disk;

	if (!disk || !g_str_equal(element, "disk") || !stack->next ||
	    !g_str_equal((const char *)stack->next->data, "devices"))
		return;
	reader->disk = NULL;
	if (!disk->image)
		reader->reason = "it is empty";
	if (!reader->reason && disk->name) {
		replace(&disk->node, disk->name);
		g_ptr_array_add(reader->disks, disk);
		return;
	}
	g_ptr_array_add(reader->left_out,
			g_strdup_printf("%s: %s", disk->name ? disk->name : "a disk",
					reader->reason ? reader->reason : "it has no name"));
	sf_disk_free(disk);
}

GPtrArray *sf_disks_from_libvirt(const char *xml, GPtrArray **out_left_out, GError **error)
{
	static const GMarkupParser parser = {.start_element = on_start, .end_element = on_end};
	g_autoptr(GPtrArray) disks = sf_disks_new();
	g_autoptr(GPtrArray) left_out = g_ptr_array_new_with_free_func(g_free);
	Reader reader = {.disks = disks, .left_out = left_out};
	g_autoptr(GMarkupParseContext) context =
		g_markup_parse_context_new(&parser, 0, &reader, NULL);
	g_autoptr(GError) problem = NULL;
	bool is_good = g_markup_parse_context_parse(context, xml, -1, &problem) &&
		       g_markup_parse_context_end_parse(context, &problem);

	sf_disk_free(reader.disk);
	if (!is_good) {
		sf_throw(error, "libvirt's description of the domain: %s", problem->message);
		return NULL;
	}
	*out_left_out = g_steal_pointer(&left_out);
	return g_steal_pointer(&disks);
}
