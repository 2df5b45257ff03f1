/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/mounts: reading the table, what a path leads to, and that large tables cost little. */
#include "config.h"

#include <string.h>

#include "agent/mounts.h"
#include "qa/unit/fake-machine.h"

static SfMounts *read_table(const char *text)
{
	g_autoptr(FakeMachine) machine = fake_machine_new(text);
	g_autoptr(GError) error = NULL;
	SfMounts *mounts = sf_mounts_read(machine->mountinfo, &error);

	g_assert_no_error(error);
	return mounts;
}

static const SfMount *find_id(const SfMounts *mounts, int id)
{
	for (guint i = 0; i < mounts->mounts->len; i++) {
		const SfMount *mount = g_ptr_array_index(mounts->mounts, i);

		if (mount->id == id)
			return mount;
	}
	g_assert_not_reached();
}

/* @ids: those that must be visible, and no others, in table order. */
static void assert_visible(const char *text, const char *ids)
{
	g_autoptr(SfMounts) mounts = read_table(text);
	g_autoptr(GString) seen = g_string_new(NULL);

	for (guint i = 0; i < mounts->mounts->len; i++) {
		const SfMount *mount = g_ptr_array_index(mounts->mounts, i);

		if (mount->visible)
			g_string_append_printf(seen, "%s%d", seen->len > 0 ? " " : "", mount->id);
	}
	g_assert_cmpstr(seen->str, ==, ids);
}

static void test_fields(void)
{
	g_autoptr(SfMounts) mounts = read_table(
		"20 1 253:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,discard\n"
		"36 20 0:45 /@home /mnt/a\\040b\\134c ro,noatime shared:5 master:2 - btrfs "
		"/dev/mapper/vg-x rw,subvol=/@home\n"
		"37 20 7:0 / /snap\\011x ro - squashfs /dev/loop0 ro,errors=continue\n"
		"39 20 0:45 /@srv /srv rw - btrfs /dev/vdb ro,subvol=/@srv\n"
		"38 20 0:50 / /odd (x) rw - tmpfs  rw,size=1k\n");
	const SfMount *btrfs = find_id(mounts, 36);
	const SfMount *squashfs = find_id(mounts, 37);

	g_assert_cmpuint(mounts->mounts->len, ==, 5);
	g_assert_cmpint(btrfs->parent, ==, 20);
	g_assert_cmpuint(btrfs->device, ==, SF_DEVICE(0, 45));
	g_assert_cmpstr(btrfs->subtree, ==, "/@home");
	g_assert_cmpstr(btrfs->path, ==, "/mnt/a b\\c");
	g_assert_cmpstr(btrfs->fstype, ==, "btrfs");
	g_assert_cmpstr(btrfs->source, ==, "/dev/mapper/vg-x");
	g_assert_cmpstr(btrfs->super_options, ==, "rw,subvol=/@home");
	/* "ro" of the mount is not "ro" of the superblock. */
	g_assert_false(btrfs->superblock_read_only);
	g_assert_true(squashfs->superblock_read_only);
	g_assert_cmpstr(squashfs->path, ==, "/snap\tx");
	/* The same superblock need not be told of in the same words. */
	g_assert_cmpstr(find_id(mounts, 39)->source, ==, "/dev/vdb");
	g_assert_cmpstr(find_id(mounts, 39)->super_options, ==, "ro,subvol=/@srv");
	g_assert_true(find_id(mounts, 39)->superblock_read_only);
	g_assert_cmpuint(find_id(mounts, 20)->device, ==, SF_DEVICE(253, 1));
	g_assert_cmpint(find_id(mounts, 20)->kind, ==, SF_FSKIND_LOCAL);
	g_assert_cmpint(find_id(mounts, 38)->kind, ==, SF_FSKIND_MEMORY);
}

static void test_errors(void)
{
	g_autoptr(FakeMachine) machine =
		fake_machine_new("20 1 253:1 / / rw - ext4 /dev/vda1 rw\n21 20 rubbish\n");
	g_autoptr(GError) damaged = NULL;
	g_autoptr(GError) missing = NULL;

	/* A line that is skipped may be a filesystem that is not frozen. */
	g_assert_null(sf_mounts_read(machine->mountinfo, &damaged));
	g_assert_nonnull(damaged);
	g_assert_null(sf_mounts_read("/nonexistent/mountinfo", &missing));
	g_assert_nonnull(strstr(missing->message, "No such file"));
}

static void test_indices(void)
{
	g_autoptr(SfMounts) mounts = read_table("20 1 253:1 / / rw - ext4 /dev/vda1 rw\n"
						"21 20 253:2 / /srv rw - ext4 /dev/vda2 rw\n"
						"22 20 253:1 /opt /x rw - ext4 /dev/vda1 rw\n"
						"23 21 0:9 / /srv rw - tmpfs tmpfs rw\n");
	const GPtrArray *root = sf_mounts_of_device(mounts, SF_DEVICE(253, 1));

	g_assert_cmpuint(root->len, ==, 2);
	g_assert_cmpint(((SfMount *)g_ptr_array_index(root, 0))->id, ==, 20);
	g_assert_cmpint(((SfMount *)g_ptr_array_index(root, 1))->id, ==, 22);
	g_assert_null(sf_mounts_of_device(mounts, SF_DEVICE(1, 1)));

	g_assert_cmpint(sf_mounts_at_path(mounts, "/srv")->id, ==, 23);
	g_assert_cmpint(sf_mounts_at_path(mounts, "/srv")->same_path->id, ==, 21);
	g_assert_null(sf_mounts_at_path(mounts, "/srv")->same_path->same_path);
	g_assert_null(sf_mounts_at_path(mounts, "/srv/deep"));
	g_assert_cmpint(sf_mounts_find_holder(mounts, "/srv/deep/file")->id, ==, 23);
	g_assert_cmpint(sf_mounts_find_holder(mounts, "/srvx")->id, ==, 20);
	g_assert_cmpint(sf_mounts_find_holder(mounts, "/x/y")->id, ==, 22);
	g_assert_cmpint(sf_mounts_find_holder(mounts, "/")->id, ==, 20);
}

#define ROOT "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"

static void test_covered(void)
{
	/* Over the very mount point: the lower and all that hangs on it are gone from sight. */
	assert_visible(ROOT "21 20 8:2 / /a rw - ext4 /dev/sda2 rw\n"
			    "22 21 8:3 / /a/b rw - ext4 /dev/sda3 rw\n"
			    "23 21 8:4 / /a rw - ext4 /dev/sda4 rw\n"
			    "24 23 8:5 / /a/b rw - ext4 /dev/sda5 rw\n",
		       "20 23 24");
	/* Over a folder above: moved there, as the parent tells. "/ab" is not below "/a". */
	assert_visible(ROOT "21 20 8:2 / /a/b rw - ext4 /dev/sda2 rw\n"
			    "22 20 8:3 / /a rw - ext4 /dev/sda3 rw\n"
			    "23 20 8:4 / /ab rw - ext4 /dev/sda4 rw\n"
			    "24 20 8:5 / /a-b rw - ext4 /dev/sda5 rw\n"
			    "25 21 8:6 / /a/b/c rw - ext4 /dev/sda6 rw\n",
		       "20 22 23 24");
	/* The same below the one above: reached through it, so visible. */
	assert_visible(ROOT "22 20 8:3 / /a rw - ext4 /dev/sda3 rw\n"
			    "21 22 8:2 / /a/b rw - ext4 /dev/sda2 rw\n",
		       "20 22 21");
	/* Two with the same parent and path: the later one is on top. */
	assert_visible(ROOT "21 20 8:2 / /a rw - ext4 /dev/sda2 rw\n"
			    "22 20 8:3 / /a rw - ext4 /dev/sda3 rw\n",
		       "20 22");
	/* Children may come before their parents. */
	assert_visible("24 23 8:5 / /a/b rw - ext4 /dev/sda5 rw\n"
		       "23 20 8:4 / /a rw - ext4 /dev/sda4 rw\n" ROOT,
		       "24 23 20");
}

/* The process's root stays where it was, whatever is mounted over "/" (tried on Linux 6). */
static void test_above_root(void)
{
	assert_visible(ROOT "21 20 8:2 / /a rw - ext4 /dev/sda2 rw\n"
			    "22 20 8:3 / / rw - ext4 /dev/sda3 rw\n"
			    "23 22 8:4 / /a rw - ext4 /dev/sda4 rw\n",
		       "20 21");
}

static void test_damaged(void)
{
	/* Parents in a ring, an id that names itself or comes twice: an answer, no endless loop. */
	assert_visible(ROOT "21 22 8:2 / /a rw - ext4 /dev/sda2 rw\n"
			    "22 21 8:3 / /a/b rw - ext4 /dev/sda3 rw\n"
			    "23 20 8:4 / /c rw - ext4 /dev/sda4 rw\n"
			    "23 20 8:4 / /d rw - ext4 /dev/sda4 rw\n",
		       "20 23 23");
	assert_visible("20 20 8:1 / / rw - ext4 /dev/sda1 rw\n"
		       "21 20 8:2 / /a rw - ext4 /dev/sda2 rw\n",
		       "20 21");
	assert_visible("", "");
}

static void test_dangers(void)
{
	g_autoptr(SfMounts) mounts =
		read_table(ROOT "21 20 0:9 / /nfs rw - nfs4 host:/x rw\n"
				"22 21 8:2 / /nfs/a rw - ext4 /dev/sda2 rw\n"
				"23 22 8:3 / /nfs/a/b rw - ext4 /dev/sda3 rw\n"
				"24 20 0:10 / /auto rw - autofs systemd-1 rw\n"
				"25 24 8:4 / /auto rw - ext4 /dev/sda4 rw\n"
				"26 20 0:11 / /fuse rw - fuse.sshfs h: rw\n"
				"27 26 8:5 / /fuse/a rw - ext4 /dev/sda5 rw\n");

	g_assert_false(find_id(mounts, 21)->is_behind_remote);
	g_assert_true(find_id(mounts, 22)->is_behind_remote);
	g_assert_true(find_id(mounts, 23)->is_behind_remote);
	g_assert_true(find_id(mounts, 27)->is_behind_remote);
	g_assert_true(find_id(mounts, 25)->is_behind_autofs);
	g_assert_false(find_id(mounts, 25)->is_behind_remote);
	g_assert_true(find_id(mounts, 25)->visible);
	g_assert_false(find_id(mounts, 20)->is_behind_autofs);
}

/* A folder whose name only looks like the kernel's remark, as Linux prints it. */
static void test_called_deleted(void)
{
	g_autoptr(SfMounts) mounts =
		read_table(ROOT "21 20 8:2 / /x\\040(deleted) rw - ext4 /dev/sda2 rw\n");

	g_assert_cmpstr(find_id(mounts, 21)->path, ==, "/x (deleted)");
	g_assert_true(find_id(mounts, 21)->is_deleted);
	g_assert_true(find_id(mounts, 21)->visible);
}

/* A container host: bind mounts of folders of one filesystem, every hundredth covered by the next.
 */
static char *make_table(guint n)
{
	GString *text = g_string_new(ROOT "21 20 8:2 / /srv rw - ext4 /dev/sda2 rw\n");

	for (guint i = 0; i < n; i++) {
		guint id = 1000 + i;
		bool covers = i % 100 == 99;

		g_string_append_printf(text,
				       "%u %u 8:1 /vol/%u /srv/tree/%u rw,relatime shared:1 - ext4 "
				       "/dev/sda1 rw,discard\n",
				       id, covers ? id - 1 : 21, i, covers ? i - 1 : i);
	}
	return g_string_free(text, FALSE);
}

static void check_large(guint n)
{
	g_autofree char *text = make_table(n);
	g_autoptr(FakeMachine) machine = fake_machine_new(text);
	g_autoptr(GError) error = NULL;
	g_autoptr(SfMounts) mounts = NULL;
	guint visible = 0;
	gint64 start = g_get_monotonic_time();

	mounts = sf_mounts_read(machine->mountinfo, &error);
	g_assert_no_error(error);
	g_test_message("%u mounts read in %.1f ms", n, (g_get_monotonic_time() - start) / 1000.0);
	g_assert_cmpuint(mounts->mounts->len, ==, n + 2);
	for (guint i = 0; i < mounts->mounts->len; i++)
		visible += ((SfMount *)g_ptr_array_index(mounts->mounts, i))->visible;
	g_assert_cmpuint(visible, ==, n + 2 - n / 100);
	g_assert_cmpuint(sf_mounts_of_device(mounts, SF_DEVICE(8, 1))->len, ==, n + 1);
	/* None is cut in two where one piece of the table ends and the next begins. */
	for (guint i = 0; i < n; i++) {
		const SfMount *mount = g_ptr_array_index(mounts->mounts, i + 2);
		g_autofree char *subtree = g_strdup_printf("/vol/%u", i);

		g_assert_cmpint(mount->id, ==, 1000 + i);
		g_assert_cmpstr(mount->subtree, ==, subtree);
	}
}

static void test_large(void)
{
	check_large(1000);
	check_large(10000);
	check_large(50000);
}

/* By the first line that it sees libmount judges what kind of table this is; the second of these
 * is one of /etc/fstab, and comes first in its piece. */
static void test_damaged_behind_long_line(void)
{
	g_autofree char *name = g_strnfill(100000, 'n');
	g_autofree char *good = g_strdup_printf("20 1 8:1 / /%s rw - ext4 /dev/sda1 rw\n", name);
	g_autofree char *text = g_strconcat(good, "x /a ext4 rw\n", NULL);
	g_autoptr(FakeMachine) machine = fake_machine_new(text);
	g_autoptr(SfMounts) mounts = read_table(good);

	g_assert_cmpuint(strlen(find_id(mounts, 20)->path), ==, 100001);
	g_assert_null(sf_mounts_read(machine->mountinfo, NULL));
}

/* Each mount over the one before: a climb that recursion would not survive. */
static void test_tall(void)
{
	g_autoptr(GString) text = g_string_new(ROOT);
	g_autoptr(SfMounts) mounts = NULL;
	const guint n = 50000;

	for (guint i = n; i > 0; i--)
		g_string_append_printf(text, "%u %u 8:2 / /a rw - ext4 /dev/sda2 rw\n", 100 + i,
				       i == 1 ? 20 : 100 + i - 1);
	mounts = read_table(text->str);
	g_assert_true(find_id(mounts, 100 + n)->visible);
	g_assert_false(find_id(mounts, 100 + n - 1)->visible);
	g_assert_cmpint(sf_mounts_find_holder(mounts, "/a/x")->id, ==, 100 + n);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mounts/fields", test_fields);
	g_test_add_func("/mounts/errors", test_errors);
	g_test_add_func("/mounts/indices", test_indices);
	g_test_add_func("/mounts/covered", test_covered);
	g_test_add_func("/mounts/above-root", test_above_root);
	g_test_add_func("/mounts/damaged", test_damaged);
	g_test_add_func("/mounts/dangers", test_dangers);
	g_test_add_func("/mounts/called-deleted", test_called_deleted);
	g_test_add_func("/mounts/large", test_large);
	g_test_add_func("/mounts/damaged-behind-long-line", test_damaged_behind_long_line);
	g_test_add_func("/mounts/tall", test_tall);
	return g_test_run();
}
