/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

/* A connection to QEMU's monitor. What goes wrong with it is an error of %SF_CLIENT_ERROR; what
 * QEMU refuses one of %SF_ERROR, "QEMU refused COMMAND: …". */
typedef struct SfQmp SfQmp;

/* QEMU tells of something by itself. @data (nullable) belongs to the caller. */
typedef void (*SfQmpListener)(const char *event, JsonObject *data, gpointer user_data);

/* Connects, reads the greeting and leaves the mode that only negotiates. */
SfQmp *sf_qmp_connect(const char *path, unsigned int timeout_ms,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sf_qmp_free(SfQmp *qmp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfQmp, sf_qmp_free)

/* Each event that comes, from within the functions below; none is kept. */
void sf_qmp_listen(SfQmp *qmp, SfQmpListener listener, gpointer user_data);

/* Can be read when there is something to take. */
int sf_qmp_fd(const SfQmp *qmp);

/* Sends a command, whose answer sf_qmp_take() will have. One at a time: what is still to come for
 * an earlier one is passed over. @arguments: (transfer full) (nullable) */
bool sf_qmp_send(SfQmp *qmp, const char *command, JsonObject *arguments, unsigned int timeout_ms,
		 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * sf_qmp_take:
 * @out_reply: (transfer full): what the command returned
 *
 * Reads what there is without waiting.
 *
 * Returns: whether all is well; *@out_reply is %NULL as long as no answer has come
 */
bool sf_qmp_take(SfQmp *qmp, JsonNode **out_reply, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Waits until something comes, and tells the listener of events. Only while no answer is awaited.
 */
bool sf_qmp_wait(SfQmp *qmp, int64_t deadline_us, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Sends, and waits for the answer. @arguments: (transfer full) (nullable) */
JsonNode *sf_qmp_call(SfQmp *qmp, const char *command, JsonObject *arguments,
		      unsigned int timeout_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same where only success counts. */
bool sf_qmp_do(SfQmp *qmp, const char *command, JsonObject *arguments, unsigned int timeout_ms,
	       GError **error) G_GNUC_WARN_UNUSED_RESULT;
