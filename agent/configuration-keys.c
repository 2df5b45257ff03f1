/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keys of the configuration: one table says which there are, where each goes and what it may
 * be; reading and -D's dump both walk it, so that neither can know a key that the other does not.
 * Called by agent/configuration.
 */
#include "config.h"

#include <stddef.h>
#include <string.h>

#include "agent/configuration-keys.h"
#include "agent/plan.h"
#include "protocol/error.h"

#define CHANNEL_PREFIX "channel:"
#define MAX_CHANNELS 16
#define DAY_S 86400

typedef enum {
	KEY_STRING,
	KEY_BOOLEAN,
	KEY_SECONDS,
	KEY_NUMBER,
	KEY_PATTERNS, /* a list with GKeyFile's separator */
	KEY_COMMANDS, /* a list with commas, as qemu-ga writes it */
	KEY_ENUM,     /* one of @values, stored as its index */
} KeyKind;

typedef struct {
	const char *group, *name;
	KeyKind kind;
	size_t offset; /* within SfConfig */
	unsigned int min, max;
	const char *const *values;
	bool is_old_name; /* read, never dumped */
} Key;

static const char *const method_names[] = {"virtio-serial", "isa-serial", "unix-listen",
					   "vsock-listen", NULL};
static const char *const profile_names[] = {"snapshot", "standard", "full", NULL};
static const char *const foreign_names[] = {"fail", "accept", NULL};
static const char *const namespaces_names[] = {"all", "own", NULL};

#define AT(field) offsetof(SfConfig, field)

static const Key keys[] = {
	{"general", "method", KEY_ENUM, AT(main.method), .values = method_names},
	{"general", "path", KEY_STRING, AT(main.path)},
	{"general", "statedir", KEY_STRING, AT(statedir)},
	{"general", "pidfile", KEY_STRING, AT(pidfile)},
	{"general", "logfile", KEY_STRING, AT(logfile)},
	{"general", "verbose", KEY_BOOLEAN, AT(verbose)},
	{"general", "daemon", KEY_BOOLEAN, AT(daemonize)},
	{"general", "retry-path", KEY_BOOLEAN, AT(retry_path)},
	{"general", "fsfreeze-hook", KEY_STRING, AT(fsfreeze_hook)},
	{"general", "block-rpcs", KEY_COMMANDS, AT(block_rpcs)},
	{"general", "blockedrpcs", KEY_COMMANDS, AT(block_rpcs), .is_old_name = true},
	{"general", "blacklist", KEY_COMMANDS, AT(block_rpcs), .is_old_name = true},
	{"general", "allow-rpcs", KEY_COMMANDS, AT(allow_rpcs)},
	{"general", "allowedrpcs", KEY_COMMANDS, AT(allow_rpcs), .is_old_name = true},
	{"commands", "profile", KEY_ENUM, AT(profile), .values = profile_names},
	{"freeze", "timeout", KEY_SECONDS, AT(timeout_s), 0, DAY_S},
	{"freeze", "max-timeout", KEY_SECONDS, AT(max_timeout_s), 1, DAY_S},
	{"freeze", "freeze-timeout", KEY_SECONDS, AT(freeze_timeout_s), 1, 3600},
	{"freeze", "flush-timeout", KEY_SECONDS, AT(flush_timeout_s), 1, 3600},
	{"freeze", "flush-throttle", KEY_BOOLEAN, AT(flush_throttle)},
	{"freeze", "include", KEY_PATTERNS, AT(include)},
	{"freeze", "exclude", KEY_PATTERNS, AT(exclude)},
	{"freeze", "namespaces", KEY_ENUM, AT(namespaces), .values = namespaces_names},
	{"freeze", "freeze-parallel", KEY_NUMBER, AT(freeze_parallel), 1, SF_PLAN_MAX_TARGETS},
	{"freeze", "foreign-freeze", KEY_ENUM, AT(foreign_freeze), .values = foreign_names},
	{"hooks", "enabled", KEY_BOOLEAN, AT(hooks_enabled)},
	{"hooks", "directory", KEY_STRING, AT(hooks_directory)},
	{"hooks", "timeout", KEY_SECONDS, AT(hooks_timeout_s), 1, 3600},
};

const char *sf_method_name(SfMethod method)
{
	return method_names[method];
}

static int find_name(const char *const *names, const char *name)
{
	for (int i = 0; names[i]; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

static const Key *find_key(const char *group, const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		if (!strcmp(keys[i].group, group) && !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

static bool group_is_known(const char *group)
{
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		if (!strcmp(keys[i].group, group))
			return true;
	return false;
}

int sf_method_find(const char *name)
{
	return find_name(method_names, name);
}

void sf_config_add_strings(char ***list, char **more)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new();

	if (!*more)
		return;
	for (char **item = *list; item && *item; item++)
		g_ptr_array_add(all, g_strdup(*item));
	for (char **item = more; *item; item++)
		g_ptr_array_add(all, g_strdup(*item));
	g_ptr_array_add(all, NULL);
	g_strfreev(*list);
	*list = (char **)g_ptr_array_free(g_steal_pointer(&all), FALSE);
}

void sf_channel_config_clear(SfChannelConfig *channel)
{
	g_free(channel->name);
	g_free(channel->path);
}

void sf_channel_config_free(SfChannelConfig *channel)
{
	if (!channel)
		return;
	sf_channel_config_clear(channel);
	g_free(channel);
}

static bool read_enum(const SfKeyFile *file, const char *group, const char *name,
		      const char *const *values, unsigned int *field, GError **error)
{
	g_autofree char *value = NULL;
	g_autofree char *all = g_strjoinv(", ", (char **)values);
	int found;

	if (!sf_key_file_get_string(file, group, name, &value, error))
		return false;
	found = find_name(values, value);
	if (found < 0)
		return sf_key_file_throw(file, group, name, error, "'%s' is none of %s", value,
					 all);
	*field = found;
	return true;
}

static bool read_string(const SfKeyFile *file, const char *group, const char *name, char **field,
			GError **error)
{
	g_autofree char *value = NULL;

	if (!sf_key_file_get_string(file, group, name, &value, error))
		return false;
	if (!*value)
		return sf_key_file_throw(file, group, name, error, "is empty");
	g_free(*field);
	*field = g_steal_pointer(&value);
	return true;
}

static bool pattern_is_valid(const char *pattern)
{
	return *pattern == '/' || *pattern == '*' ||
	       (g_str_has_prefix(pattern, "type:") && pattern[5]) ||
	       g_str_has_prefix(pattern, "device:/");
}

static bool read_patterns(const SfKeyFile *file, const char *group, const char *name, char ***field,
			  GError **error)
{
	g_auto(GStrv) values = NULL;

	if (!sf_key_file_get_strings(file, group, name, &values, error))
		return false;
	for (char **value = values; *value; value++)
		if (!pattern_is_valid(g_strstrip(*value)))
			return sf_key_file_throw(
				file, group, name, error,
				"'%s' is neither a path, type:NAME nor device:/PATH", *value);
	g_strfreev(*field);
	*field = *values ? g_steal_pointer(&values) : NULL;
	return true;
}

static bool read_commands(const SfKeyFile *file, const char *group, const char *name, char ***field,
			  GError **error)
{
	g_autofree char *value = NULL;
	g_auto(GStrv) names = NULL;

	if (!sf_key_file_get_string(file, group, name, &value, error))
		return false;
	names = sf_split_commas(value);
	sf_config_add_strings(field, names);
	return true;
}

static bool read_key(SfConfig *config, const SfKeyFile *file, const Key *key, GError **error)
{
	void *field = (char *)config + key->offset;
	const char *group = key->group;
	const char *name = key->name;

	switch (key->kind) {
	case KEY_STRING:
		return read_string(file, group, name, field, error);
	case KEY_BOOLEAN:
		return sf_key_file_get_boolean(file, group, name, field, error);
	case KEY_SECONDS:
		return sf_key_file_get_seconds(file, group, name, key->min, key->max, field, error);
	case KEY_NUMBER:
		return sf_key_file_get_number(file, group, name, key->min, key->max, field, error);
	case KEY_PATTERNS:
		return read_patterns(file, group, name, field, error);
	case KEY_COMMANDS:
		return read_commands(file, group, name, field, error);
	case KEY_ENUM:
		return read_enum(file, group, name, key->values, field, error);
	}
	return false;
}

/* The name goes to the log and into the record of who froze. */
static bool channel_name_is_valid(const char *name)
{
	size_t len = strspn(name, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-");

	return len > 0 && len <= 64 && !name[len] && strcmp(name, "main") != 0;
}

static bool read_channel_keys(SfChannelConfig *channel, const SfKeyFile *file, const char *group,
			      GError **error)
{
	g_auto(GStrv) names = g_key_file_get_keys(file->keys, group, NULL, NULL);
	unsigned int method = 0;
	bool has_method = false;

	for (char **name = names; *name; name++) {
		if (!strcmp(*name, "method")) {
			if (!read_enum(file, group, *name, method_names, &method, error))
				return false;
			has_method = true;
		} else if (!strcmp(*name, "path")) {
			if (!read_string(file, group, *name, &channel->path, error))
				return false;
		} else {
			return sf_key_file_throw(file, group, *name, error, "unknown key");
		}
	}
	if (!has_method || !channel->path)
		return sf_key_file_throw(file, group, NULL, error, "has no %s",
					 has_method ? "path" : "method");
	channel->method = method;
	return true;
}

static bool read_channel(SfConfig *config, const SfKeyFile *file, const char *group, GError **error)
{
	g_autoptr(SfChannelConfig) channel = g_new0(SfChannelConfig, 1);

	channel->name = g_strdup(group + strlen(CHANNEL_PREFIX));
	if (!channel_name_is_valid(channel->name))
		return sf_key_file_throw(file, group, NULL, error,
					 "a channel's name is 1 to 64 of letters, digits, '.', '_' "
					 "and '-', and not 'main'");
	if (config->channels->len == MAX_CHANNELS)
		return sf_key_file_throw(file, group, NULL, error, "more than %d channels",
					 MAX_CHANNELS);
	if (!read_channel_keys(channel, file, group, error))
		return false;
	g_ptr_array_add(config->channels, g_steal_pointer(&channel));
	return true;
}

static bool read_group(SfConfig *config, const SfKeyFile *file, const char *group, GError **error)
{
	g_auto(GStrv) names = NULL;

	if (g_str_has_prefix(group, CHANNEL_PREFIX))
		return read_channel(config, file, group, error);
	if (!group_is_known(group))
		return sf_key_file_throw(file, group, NULL, error, "unknown group");
	names = g_key_file_get_keys(file->keys, group, NULL, NULL);
	for (char **name = names; *name; name++) {
		const Key *key = find_key(group, *name);

		if (!key)
			return sf_key_file_throw(file, group, *name, error, "unknown key");
		if (!read_key(config, file, key, error))
			return false;
	}
	return true;
}

static bool check_timeouts(const SfConfig *config, const SfKeyFile *file, GError **error)
{
	bool is_set = g_key_file_has_key(file->keys, "freeze", "timeout", NULL);

	if (config->timeout_s <= config->max_timeout_s)
		return true;
	/* The default may be what is too long; the key that was written is the one to change. */
	return sf_key_file_throw(file, "freeze", is_set ? "timeout" : "max-timeout", error,
				 "timeout (%u) is longer than max-timeout (%u)", config->timeout_s,
				 config->max_timeout_s);
}

static int compare_channels(gconstpointer a, gconstpointer b)
{
	const SfChannelConfig *const *first = a;
	const SfChannelConfig *const *second = b;

	return strcmp((*first)->name, (*second)->name);
}

bool sf_config_read_keys(SfConfig *config, const SfKeyFile *file, GError **error)
{
	g_auto(GStrv) groups = g_key_file_get_groups(file->keys, NULL);

	for (char **group = groups; *group; group++)
		if (!read_group(config, file, *group, error))
			return false;
	g_ptr_array_sort(config->channels, compare_channels);
	return check_timeouts(config, file, error);
}

static void dump_strings(GKeyFile *file, const Key *key, char **values)
{
	g_autofree char *joined = NULL;

	if (!values)
		return;
	if (key->kind == KEY_PATTERNS) {
		g_key_file_set_string_list(file, key->group, key->name, (const char *const *)values,
					   g_strv_length(values));
		return;
	}
	joined = g_strjoinv(",", values);
	g_key_file_set_string(file, key->group, key->name, joined);
}

static void dump_key(GKeyFile *file, const SfConfig *config, const Key *key)
{
	const void *field = (const char *)config + key->offset;
	const unsigned int *number = field;

	switch (key->kind) {
	case KEY_STRING:
		if (*(char *const *)field)
			g_key_file_set_string(file, key->group, key->name, *(char *const *)field);
		break;
	case KEY_BOOLEAN:
		g_key_file_set_boolean(file, key->group, key->name, *(const bool *)field);
		break;
	case KEY_SECONDS:
	case KEY_NUMBER:
		g_key_file_set_uint64(file, key->group, key->name, *number);
		break;
	case KEY_PATTERNS:
	case KEY_COMMANDS:
		dump_strings(file, key, *(char **const *)field);
		break;
	case KEY_ENUM:
		g_key_file_set_string(file, key->group, key->name, key->values[*number]);
		break;
	}
}

char *sf_config_dump(const SfConfig *config)
{
	g_autoptr(GKeyFile) file = g_key_file_new();

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		if (!keys[i].is_old_name)
			dump_key(file, config, &keys[i]);
	for (unsigned int i = 0; i < config->channels->len; i++) {
		const SfChannelConfig *channel = config->channels->pdata[i];
		g_autofree char *group = g_strconcat(CHANNEL_PREFIX, channel->name, NULL);

		g_key_file_set_string(file, group, "method", method_names[channel->method]);
		g_key_file_set_string(file, group, "path", channel->path);
	}
	return g_key_file_to_data(file, NULL, NULL);
}
