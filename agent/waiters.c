/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the list of those who wait. Its invariant: each is answered at most once. Called by session.
 */
#include "config.h"

#include "agent/waiters.h"

typedef struct {
	SfThawDone done;
	gpointer user_data;
} Thaw;

void sf_waiters_init(SfWaiters *waiters)
{
	*waiters = (SfWaiters){.thaws = g_array_new(FALSE, FALSE, sizeof(Thaw))};
}

void sf_waiters_clear(SfWaiters *waiters)
{
	g_clear_pointer(&waiters->thaws, g_array_unref);
}

void sf_waiters_set_freeze(SfWaiters *waiters, SfFreezeDone done, gpointer user_data)
{
	waiters->freeze_done = done;
	waiters->freeze_data = user_data;
}

void sf_waiters_set_extend(SfWaiters *waiters, SfFreezeDone done, gpointer user_data)
{
	waiters->extend_done = done;
	waiters->extend_data = user_data;
}

void sf_waiters_add_thaw(SfWaiters *waiters, SfThawDone done, gpointer user_data)
{
	Thaw thaw = {done, user_data};

	g_array_append_val(waiters->thaws, thaw);
}

void sf_waiters_answer_freeze(SfWaiters *waiters, const GError *error)
{
	SfFreezeDone done = g_steal_pointer(&waiters->freeze_done);

	if (done)
		done(error, waiters->freeze_data);
}

void sf_waiters_answer_extend(SfWaiters *waiters, const GError *error)
{
	SfFreezeDone done = g_steal_pointer(&waiters->extend_done);

	if (done)
		done(error, waiters->extend_data);
}

void sf_waiters_answer_thaws(SfWaiters *waiters, bool was_frozen, const GError *error)
{
	g_autoptr(GArray) thaws = g_steal_pointer(&waiters->thaws);

	waiters->thaws = g_array_new(FALSE, FALSE, sizeof(Thaw));
	for (guint i = 0; i < thaws->len; i++) {
		const Thaw *thaw = &g_array_index(thaws, Thaw, i);
		thaw->done(was_frozen, error, thaw->user_data);
	}
}
