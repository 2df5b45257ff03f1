/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns the reasons why a superblock is not frozen, and the entries that say so. Called by plan. */
#include "config.h"

#include "agent/filter.h"
#include "agent/left-out.h"
#include "agent/namespaces.h"

static const struct {
	const char *name, *text;
	bool is_uncovered;
} reasons[] = {
	[SF_LEFT_OUT_PSEUDO] = {"pseudo", "pseudo filesystem", false},
	[SF_LEFT_OUT_NETWORK] = {"network", "network filesystem", true},
	[SF_LEFT_OUT_FUSE] = {"fuse", "FUSE filesystem", true},
	[SF_LEFT_OUT_OVERLAY] = {"overlay", "overlay, freeze the filesystem of its upper folder",
				 false},
	[SF_LEFT_OUT_READ_ONLY] = {"read-only", "mounted read-only", false},
	[SF_LEFT_OUT_UNSUPPORTED] = {"unsupported", "the kernel has no freeze for its type", true},
	[SF_LEFT_OUT_EXCLUDED] = {"excluded", "excluded by configuration", true},
	[SF_LEFT_OUT_NOT_NAMED] = {"not-named", "not named", true},
	[SF_LEFT_OUT_NAMESPACE] = {"other-namespace",
				   "mounted in another namespace only, which the configuration "
				   "leaves out",
				   true},
};

const char *sf_left_out_reason_name(SfLeftOutReason reason)
{
	return reasons[reason].name;
}

const char *sf_left_out_reason_text(SfLeftOutReason reason)
{
	return reasons[reason].text;
}

bool sf_left_out_reason_is_uncovered(SfLeftOutReason reason)
{
	return reasons[reason].is_uncovered;
}

static bool find_by_kind(SfFsKind kind, SfLeftOutReason *out_reason)
{
	switch (kind) {
	case SF_FSKIND_LOCAL:
		return false;
	case SF_FSKIND_MEMORY:
	case SF_FSKIND_PSEUDO:
	case SF_FSKIND_AUTOFS:
		*out_reason = SF_LEFT_OUT_PSEUDO;
		return true;
	case SF_FSKIND_NETWORK:
		*out_reason = SF_LEFT_OUT_NETWORK;
		return true;
	case SF_FSKIND_FUSE:
		*out_reason = SF_LEFT_OUT_FUSE;
		return true;
	case SF_FSKIND_OVERLAY:
		*out_reason = SF_LEFT_OUT_OVERLAY;
		return true;
	case SF_FSKIND_UNSUPPORTED:
		*out_reason = SF_LEFT_OUT_UNSUPPORTED;
		return true;
	}
	return false;
}

bool sf_left_out_find_reason(const SfPlanSource *source, const GPtrArray *superblock,
			     SfLeftOutReason *out_reason)
{
	const SfMount *first = g_ptr_array_index(superblock, 0);

	if (find_by_kind(first->kind, out_reason))
		return true;
	/* Of the superblock, not of the mount: a read-only bind mount of a writable one is written
	 * through its other mounts. */
	if (first->superblock_read_only) {
		*out_reason = SF_LEFT_OUT_READ_ONLY;
		return true;
	}
	if (!sf_filter_keeps(source->include, source->exclude, superblock)) {
		*out_reason = SF_LEFT_OUT_EXCLUDED;
		return true;
	}
	if (first->space && source->own_namespace_only) {
		*out_reason = SF_LEFT_OUT_NAMESPACE;
		return true;
	}
	return false;
}

SfLeftOut *sf_left_out_new(const GPtrArray *superblock, SfLeftOutReason reason)
{
	const SfMount *first = g_ptr_array_index(superblock, 0);
	SfLeftOut *left_out = g_new0(SfLeftOut, 1);

	left_out->device = first->device;
	left_out->mountpoint = g_strdup(first->path);
	left_out->space = sf_namespace_ref(first->space);
	left_out->fstype = g_strdup(first->fstype);
	left_out->source = g_strdup(first->source);
	left_out->reason = reason;
	return left_out;
}

void sf_left_out_free(SfLeftOut *left_out)
{
	g_free(left_out->mountpoint);
	sf_namespace_unref(left_out->space);
	g_free(left_out->fstype);
	g_free(left_out->source);
	g_free(left_out);
}
