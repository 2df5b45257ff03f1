# SPDX-License-Identifier: LGPL-2.1-or-later
"""Filesystems that a case may mount, cover, move and unmount as it likes, in a guest that others share."""

# Type -> (the least size in MiB, how it is made). By their paths: the guest's shell prefers its own mke2fs.
MKFS = {
    "ext4": (16, "/usr/sbin/mke2fs -q -F -t ext4 -E lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": (320, "/usr/sbin/mkfs.xfs -q -f"),
    "btrfs": (128, "/usr/sbin/mkfs.btrfs -q -f"),
}


class Scratch:
    """Makes filesystems in files on the guest's tmpfs (nothing that freezes lies below them), and takes all away."""

    def __init__(self, guest):
        self.guest = guest
        self.undo = []

    def folder(self, path):
        self.guest.run(["mkdir", "-p", path])
        self.undo.append(f"rmdir '{path}'")
        return path

    def file(self, path, fstype="ext4", mib=None):
        """A file with a fresh filesystem in it."""
        least, mkfs = MKFS[fstype]
        self.guest.run(f"truncate -s {mib or least}M '{path}' && {mkfs} '{path}'")
        self.undo.append(f"rm -f '{path}'")
        return path

    def loop(self, path):
        """A loop device on a file: its name."""
        device = self.guest.run(["losetup", "-f", "--show", path]).stdout.strip()
        self.undo.append(f"/usr/sbin/losetup -d {device}")
        return device

    def mount(self, path, *argv):
        """Mounts at @path, a folder of its own; all that lies on top of each other goes at the end."""
        self.folder(path)
        self.undo.append(f"while mountpoint -q '{path}'; do umount '{path}' || break; done; ! mountpoint -q '{path}'")
        self.guest.run(["mount", *argv, path])
        return path

    def device(self, fstype="ext4", mib=None):
        """A loop device with a fresh filesystem, not mounted."""
        return self.loop(self.file(f"/run/scratch-{len(self.undo)}.img", fstype, mib))

    def filesystem(self, path, fstype="ext4", mib=None):
        """A fresh filesystem, mounted: its device."""
        device = self.device(fstype, mib)
        self.mount(path, "-t", fstype, device)
        return device

    def clean_up(self):
        for command in reversed(self.undo):
            # A superblock lives a moment longer than its last mount.
            self.guest.run(f"n=0; until {{ {command}; }} 2>/dev/null || [ $n -ge 50 ]; do n=$((n + 1)); usleep 100000; done")
