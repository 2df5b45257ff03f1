/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/configuration.h"
#include "agent/key-file.h"

/* For agent/configuration only: what stands between a key file and an SfConfig. */

/* Puts every key of @file into @config, which holds the defaults. @error: as sf_config_new() says
 */
bool sf_config_read_keys(SfConfig *config, const SfKeyFile *file,
			 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Adds @more (transfer none) to @list. An empty list is none, as for qemu-ga: its units pass
 * --allow-rpcs= where nothing is set. */
void sf_config_add_strings(char ***list, char **more);

/* The method of that name, or -1. */
int sf_method_find(const char *name);

void sf_channel_config_clear(SfChannelConfig *channel);
void sf_channel_config_free(SfChannelConfig *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SfChannelConfig, sf_channel_config_free)
