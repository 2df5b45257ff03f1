/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* A program that runs beside this one, and what it says. It inherits which signals are blocked, so
 * that an interrupt from the terminal does not end it in the middle. */
typedef struct SfChild SfChild;

/* @argv: the program's name is looked for in PATH. Its locale is C. */
SfChild *sf_child_start(const char *const *argv, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Kills it where it still runs. */
void sf_child_free(SfChild *child);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfChild, sf_child_free)

/* Can be read when sf_child_step() has something to do. */
int sf_child_fd(const SfChild *child);

/* Takes what it said, without waiting. Returns: whether it has ended */
bool sf_child_step(SfChild *child);

/* Waits for its end. Returns: false when the time was over */
bool sf_child_wait(SfChild *child, unsigned int timeout_ms);

/* Of one that has ended: whether it says that it succeeded; standard output; the last line of
 * standard error, without "error: ". (transfer none) */
bool sf_child_succeeded(const SfChild *child);
const char *sf_child_output(const SfChild *child);
const char *sf_child_complaint(SfChild *child);
