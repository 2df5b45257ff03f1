/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/errand.h"

/* The files that hosts have open, at most 64. Whatever may block is done by an errand; a child has
 * the same file, and so the same place in it. */
typedef struct SfFiles SfFiles;

/* What became of an operation. */
typedef struct {
	int64_t handle;      /* of an opened file */
	const uint8_t *data; /* what was read */
	size_t count;        /* how much was read or written */
	int64_t position;    /* after a seek */
	bool is_at_end;      /* a read has come to the end */
} SfFileResult;

/* @error: (nullable): %NULL: it is done */
typedef void (*SfFileDone)(const SfFileResult *result, const GError *error, gpointer user_data);

/* @errands: must outlive it */
SfFiles *sf_files_new(SfErrands *errands);
void sf_files_free(SfFiles *files);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfFiles, sf_files_free)

/* Each calls @done once, now or later. @mode: as fopen(3) has it. */
void sf_files_open(SfFiles *files, const char *path, const char *mode, SfFileDone done,
		   gpointer user_data);
void sf_files_close(SfFiles *files, int64_t handle, SfFileDone done, gpointer user_data);
void sf_files_read(SfFiles *files, int64_t handle, size_t count, SfFileDone done,
		   gpointer user_data);
void sf_files_write(SfFiles *files, int64_t handle, const void *data, size_t count, SfFileDone done,
		    gpointer user_data);
/* @whence: as lseek(2) has it */
void sf_files_seek(SfFiles *files, int64_t handle, int64_t offset, int whence, SfFileDone done,
		   gpointer user_data);
bool sf_files_has(const SfFiles *files, int64_t handle, GError **error) G_GNUC_WARN_UNUSED_RESULT;
