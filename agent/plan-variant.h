/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "agent/plan.h"

/* A plan on its way from the process that made it, with what a freeze needs: not the table, nor all
 * the mount points of a target, nor the warnings. Of what is left out only what the snapshot does
 * not cover, which the answer names: of the rest there may be ten thousand mounts. */
#define SF_PLAN_VARIANT_SPACE "m(tiayay)"
#define SF_PLAN_VARIANT_ROUTES "a(ayi" SF_PLAN_VARIANT_SPACE ")"
#define SF_PLAN_VARIANT_TARGET "(t" SF_PLAN_VARIANT_SPACE "ayayi" SF_PLAN_VARIANT_ROUTES "ayayatb)"
#define SF_PLAN_VARIANT_LEFT_OUT "(tay" SF_PLAN_VARIANT_SPACE "ayayu)"
#define SF_PLAN_VARIANT_TYPE "(a" SF_PLAN_VARIANT_TARGET "a(qq)a" SF_PLAN_VARIANT_LEFT_OUT "b)"

/* Returns: floating */
GVariant *sf_plan_to_variant(const SfPlan *plan);

/**
 * sf_plan_from_variant:
 * @variant: of that type
 * @error: domain %SF_ERROR: it has more than a plan may have, or contradicts itself
 *
 * Returns: (transfer full) (nullable)
 */
SfPlan *sf_plan_from_variant(GVariant *variant, GError **error) G_GNUC_WARN_UNUSED_RESULT;
