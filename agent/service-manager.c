/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns what the service manager has still to be told, and the timer that tells it. Its invariant:
 * it is told in order, and the timer runs only while it watches us or something is left to tell, so
 * that an idle agent never wakes up for it. Called by session.
 */
#include "config.h"

#include <errno.h>

#include "agent/fdstore.h"
#include "agent/notify.h"
#include "agent/service-manager.h"

#define BEAT_MS 1000
/* Above the ten seconds after which a freezer takes the agent for dead and thaws by itself: what it
 * can do needs no death. */
#define WATCH_ON "WATCHDOG_USEC=20000000"
#define WATCH_OFF "WATCHDOG_USEC=0"

typedef struct {
	char *text;
	int fd; /* that goes along, not owned; -1: none */
} Word;

struct SfServiceManager {
	bool is_there;
	bool is_watching;
	GQueue words; /* of Word, the oldest first */
	guint source;
	unsigned int refused; /* how often it had no room, since it was last at rest */
};

static void word_free(gpointer data)
{
	Word *word = data;

	g_free(word->text);
	g_free(word);
}

SfServiceManager *sf_service_manager_new(void)
{
	SfServiceManager *manager = g_new0(SfServiceManager, 1);

	manager->is_there = g_getenv("NOTIFY_SOCKET") != NULL;
	g_queue_init(&manager->words);
	return manager;
}

void sf_service_manager_free(SfServiceManager *manager)
{
	if (!manager)
		return;
	g_clear_handle_id(&manager->source, g_source_remove);
	g_queue_clear_full(&manager->words, word_free);
	g_free(manager);
}

/* Whether it cannot be told at this moment: its queue is full, too many descriptors are on their
 * way to it, or we have none left for a socket. Any other error lasts. */
static bool is_busy(int result)
{
	return result == -EAGAIN || result == -ENOBUFS || result == -ETOOMANYREFS ||
	       result == -ENOMEM || result == -EMFILE || result == -ENFILE;
}

/* Returns: false: it has no room for more. */
static bool deliver(SfServiceManager *manager)
{
	Word *word;

	while ((word = g_queue_peek_head(&manager->words))) {
		if (is_busy(sf_notify(word->text, &word->fd, word->fd >= 0))) {
			manager->refused++;
			return false;
		}
		word_free(g_queue_pop_head(&manager->words));
	}
	return true;
}

static void tell_refusals(SfServiceManager *manager)
{
	if (manager->refused > 0)
		g_message("the service manager had no room for what it was told (%u refusals)",
			  manager->refused);
	manager->refused = 0;
}

static bool has_work(const SfServiceManager *manager)
{
	return manager->is_watching || manager->words.head != NULL;
}

static gboolean on_beat(gpointer user_data)
{
	SfServiceManager *manager = user_data;

	if (deliver(manager) && manager->is_watching && is_busy(sf_notify("WATCHDOG=1", NULL, 0)))
		manager->refused++;
	if (has_work(manager))
		return G_SOURCE_CONTINUE;
	manager->source = 0;
	tell_refusals(manager);
	return G_SOURCE_REMOVE;
}

/* Takes @text. */
static void say(SfServiceManager *manager, char *text, int fd)
{
	Word *word = g_new(Word, 1);

	*word = (Word){text, fd};
	g_queue_push_tail(&manager->words, word);
}

static void begin_telling(SfServiceManager *manager)
{
	(void)deliver(manager);
	if (has_work(manager)) {
		if (!manager->source)
			manager->source = g_timeout_add(BEAT_MS, on_beat, manager);
		return;
	}
	g_clear_handle_id(&manager->source, g_source_remove);
	tell_refusals(manager);
}

void sf_service_manager_set_watch(SfServiceManager *manager, bool is_on)
{
	if (!manager->is_there || manager->is_watching == is_on)
		return;
	manager->is_watching = is_on;
	say(manager, g_strdup(is_on ? WATCH_ON : WATCH_OFF), -1);
	begin_telling(manager);
}

void sf_service_manager_keep(SfServiceManager *manager, const SfPlan *plan)
{
	if (!manager->is_there)
		return;
	for (guint i = 0; i < plan->targets->len; i++) {
		const SfTarget *target = g_ptr_array_index(plan->targets, i);
		say(manager, sf_fdstore_put_text(target->device), target->fd);
	}
	begin_telling(manager);
}

/* Their descriptors are closed next. */
static void withdraw_descriptors(SfServiceManager *manager)
{
	for (GList *at = manager->words.head, *next; at; at = next) {
		Word *word = at->data;

		next = at->next;
		if (word->fd < 0)
			continue;
		word_free(word);
		g_queue_delete_link(&manager->words, at);
	}
}

void sf_service_manager_drop(SfServiceManager *manager, const SfPlan *plan)
{
	if (!manager->is_there)
		return;
	withdraw_descriptors(manager);
	for (guint i = 0; i < plan->targets->len; i++) {
		const SfTarget *target = g_ptr_array_index(plan->targets, i);
		say(manager, sf_fdstore_forget_text(target->device), -1);
	}
	begin_telling(manager);
}

void sf_service_manager_drop_inherited(SfServiceManager *manager)
{
	g_autoptr(GPtrArray) texts = sf_fdstore_clear();

	if (!manager->is_there)
		return;
	for (guint i = 0; i < texts->len; i++)
		say(manager, g_strdup(g_ptr_array_index(texts, i)), -1);
	begin_telling(manager);
}
