/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

/* (transfer full) (nullable): the answers of guest-get-vcpus, guest-get-memory-blocks and
 * guest-get-memory-block-info. @sys: such as "/sys". */
JsonArray *sf_vcpus_read(const char *sys, GError **error);
JsonArray *sf_memory_blocks_read(const char *sys, GError **error);
JsonObject *sf_memory_block_info_read(const char *sys, GError **error);

/* Puts one processor into the state @online; without an effect where it is in it. May block. */
bool sf_vcpu_set(const char *sys, int64_t id, bool online,
		 GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef enum {
	SF_MEMORY_SUCCESS,
	SF_MEMORY_NOT_FOUND,
	SF_MEMORY_NOT_SUPPORTED,
	SF_MEMORY_FAILED,
} SfMemoryResponse;

typedef struct {
	SfMemoryResponse response;
	int error; /* the errno of what failed */
} SfMemoryResult;

/* Puts one block of memory into the state @online. May block. */
SfMemoryResult sf_memory_block_set(const char *sys, int64_t index, bool online);
