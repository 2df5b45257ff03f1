# SPDX-License-Identifier: LGPL-2.1-or-later
"""The disks of the test guests, made as plain files on the host: no loop mount, no root.

guest/set-up-disks mounts them; what it makes of them is described here, for the cases to use.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import image
from guest import Disk

MIB = 1 << 20
# Every freezable, writable superblock of the layout: where it is, and its type, in mount order.
PLANNED = {
    "/mnt/ext4-a": "ext4",
    "/mnt/ext4-b": "ext4",
    "/mnt/xfs": "xfs",
    "/mnt/btrfs-one": "btrfs",
    "/mnt/linear": "ext4",
    "/mnt/loop": "ext4",
    "/mnt/loop-inner": "ext4",
    "/mnt/btrfs-loops": "btrfs",
    "/mnt/uncovered": "ext4",
    "/mnt/covered": "ext4",
    "/mnt/with space": "ext4",
    "/mnt/grün-日本": "ext4",
}
# (what must be frozen first, what holds its backing file)
EDGES = [
    ("/mnt/loop", "/mnt/xfs"),
    ("/mnt/loop-inner", "/mnt/loop"),
    ("/mnt/btrfs-loops", "/mnt/ext4-b"),
    ("/mnt/btrfs-loops", "/mnt/xfs"),
]
# More ways to the same superblocks.
ALIASES = {
    "/mnt/btrfs-two": "/mnt/btrfs-one",
    "/mnt/bind": "/mnt/ext4-a",
    "/mnt/bind-file": "/mnt/ext4-a",
    "/mnt/ro-bind": "/mnt/ext4-a",
}
# No freeze support: flushed only. And what is left out altogether.
SYNCED = {"/mnt/vfat": "vfat"}
LEFT_OUT = {"/mnt/overlay": "overlay", "/mnt/tmpfs": "tmpfs", "/mnt/read-only": "ext4"}
# /mnt/covered: first the disk `under`, which /mnt/uncovered shows too, then the disk `cover` on top.
# Disk of each, for copies and for the devices' names (/dev/qa/SERIAL in the guest).
SERIAL = {
    "/mnt/ext4-a": "ext4-a", "/mnt/ext4-b": "ext4-b", "/mnt/xfs": "xfs", "/mnt/btrfs-one": "btrfs",
    "/mnt/vfat": "vfat", "/mnt/linear": "linear", "/mnt/read-only": "read-only", "/mnt/uncovered": "under",
    "/mnt/covered": "cover", "/mnt/with space": "space", "/mnt/grün-日本": "letters",
}
ON_SCSI = ("ext4-b", "linear")
ROOT_PLANNED = {"/": "ext4", "/var/data": "ext4"}


def _sparse(path, mib):
    with open(path, "wb") as file:
        file.truncate(mib * MIB)
    return path


def tool(name):
    """The path of a program that only root has in its path."""
    image.need(name)
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _mkfs(*argv):
    image.output(tool(argv[0]), *argv[1:])


def ext4(path, mib, tree=None, label=None):
    _sparse(path, mib)
    # Lazy initialization would write behind the tests' back: no undisturbed freeze could be proved.
    _mkfs("mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
          *(["-L", label] if label else []), *(["-d", tree] if tree else []), path)
    return path


def xfs(path, mib, files=()):
    """@files: (name, source) copied into its root."""
    # mkfs writes each file in one piece and trusts that it fits into one allocation group.
    _sparse(path, mib)
    with tempfile.NamedTemporaryFile("w", suffix=".proto") as proto:
        proto.write("/\n0 0\nd--755 0 0\n" + "".join(f"{name} ---644 0 0 {source}\n" for name, source in files) + "$\n")
        proto.flush()
        _mkfs("mkfs.xfs", "-q", "-f", "-d", "agcount=2", "-p", proto.name, path)
    _mkfs("xfs_repair", "-n", "-f", path)
    return path


def btrfs(path, mib):
    _mkfs("mkfs.btrfs", "-q", "-f", _sparse(path, mib))
    return path


def _make_all(folder):
    """All the images of the layout, in @folder."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        scratch = Path(scratch)
        for name in ("inner", "outer", "a", "b"):
            (scratch / name).mkdir()
        ext4(scratch / "outer/inner.img", 16)
        ext4(scratch / "outer.img", 40, tree=scratch / "outer")
        pair = [_sparse(scratch / "b/btrfs-0.img", 120), _sparse(scratch / "btrfs-1.img", 120)]
        _mkfs("mkfs.btrfs", "-q", "-f", "-d", "single", "-m", "single", *pair)
        for name in ("dir", "lower"):
            (scratch / "a" / name).mkdir()
            (scratch / "a" / name / "file").write_text("content\n")
        for name in ("upper", "work"):
            (scratch / "b" / name).mkdir()
        (scratch / "file").write_text("content\n")
        shutil.copyfile(scratch / "file", scratch / "a/file")
        ext4(folder / "ext4-a", 128, tree=scratch / "a")
        ext4(folder / "ext4-b", 256, tree=scratch / "b")
        xfs(folder / "xfs", 512, [("outer.img", scratch / "outer.img"), ("btrfs-1.img", scratch / "btrfs-1.img")])
    btrfs(folder / "btrfs", 256)
    _mkfs("mkfs.fat", "-F", "16", _sparse(folder / "vfat", 32))
    ext4(folder / "linear", 48)
    for name in ("read-only", "under", "cover", "space", "letters"):
        ext4(folder / name, 16)


def _cached(name, make):
    """The folder of images that @make fills, kept by what this file says and by mkfs's versions."""
    seed = Path(__file__).read_bytes()
    for argv in (["mke2fs", "-V"], ["mkfs.xfs", "-V"], ["mkfs.btrfs", "--version"]):
        shown = subprocess.run([tool(argv[0]), *argv[1:]], capture_output=True)
        seed += shown.stdout + shown.stderr
    folder = image.cache_dir() / f"disks-{name}-{hashlib.sha256(seed).hexdigest()[:16]}"
    with image.locked("disks"):
        if not folder.exists():
            scratch = Path(tempfile.mkdtemp(dir=image.cache_dir()))
            try:
                make(scratch)
                scratch.chmod(0o755)
                scratch.rename(folder)
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
    return folder


def layout():
    """The disks of the layout above; guest.run("/qa/set-up-disks") mounts them."""
    folder = _cached("layout", _make_all)
    serials = ["ext4-a", "ext4-b", "xfs", "btrfs", "vfat", "linear", "read-only", "under", "cover", "space", "letters"]
    return [Disk(serial, folder / serial, "scsi" if serial in ON_SCSI else "blk") for serial in serials]


def root_disks():
    """For the variant with / on ext4 (append="qa.root=root"): the root disk, and one more for /var/data."""
    base = image.base()

    def make(folder):
        ext4(folder / "root", 512, tree=base.tree)
        ext4(folder / "data", 32)
    folder = _cached(f"root-{re.sub('^image-', '', base.key)}", make)
    return [Disk("root", folder / "root"), Disk("data", folder / "data")]


def empty(serial, mib, make=None, bus="blk", **options):
    """A disk of one's own: @make is ext4, xfs, btrfs, or None for a blank one."""
    def fill(folder):
        if make:
            make(folder / serial, mib, **options)
        else:
            _sparse(folder / serial, mib)
    return Disk(serial, _cached(f"{serial}-{mib}-{getattr(make, '__name__', 'blank')}", fill) / serial, bus)
