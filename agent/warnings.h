/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "agent/mounts.h"
#include "agent/plan.h"

/* (transfer full): of char*, for people: what makes a plan from @mounts less than it promises. */
GPtrArray *sf_warnings_find(const SfPlanSource *source, const SfMounts *mounts);
