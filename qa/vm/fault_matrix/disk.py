# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults of disks: one that takes no I/O, one that fails, one that is full, one that is gone, and servers of network
and FUSE filesystems that do not answer."""

import tempfile
from pathlib import Path

import disks
from scratch import MKFS

from . import own
from .cell import Failed
from .fault import ANY, Fault, only
from .own import OWN
from .stages import HOLD

LINEAR = "/mnt/linear"
FUSE = "/mnt/fuse"
SHORT = {"freeze": "flush-timeout=6\nfreeze-timeout=6"}


# ---- what hangs

def hear_of_hanging(cell, path):
    """While @path hangs: the host is answered and the others are thawed, whether the freeze came to its end or not."""
    if cell.stage == "after":
        return
    if own.hear_freeze(cell):
        own.hear_thaw(cell)
        own.check_named(cell.thaw_reply, path)
    else:
        own.check_named(cell.freeze_reply, path)
    own.check_others(cell, path)
    cell.control.call("snapfreeze-status", 60)


def suspend_linear(cell):
    # When the stage is reached, only HOLD is left to thaw: then that one is the device that hangs.
    if cell.stage == "thawing":
        hear_of_hanging(cell, HOLD)
    else:
        own.suspend(cell, "linear")
        cell.scratch["hangs"] = LINEAR


def resume_linear(cell):
    try:
        if "hangs" in cell.scratch:
            hear_of_hanging(cell, cell.scratch.pop("hangs"))
    finally:
        own.resume(cell, "linear")


def serve_nbd(cell):
    image = "/run/nbd.img"
    least, mkfs = MKFS["ext4"]
    cell.guest.run(f"modprobe nbd && mkdir -p {OWN} && truncate -s {least}M {image} && {mkfs} {image}")
    server = cell.scratch["nbd"] = cell.guest.spawn(["qa-nbd", "/dev/nbd0", image])
    server.wait_output("serving")
    cell.guest.run(["mount", "-t", "ext4", "/dev/nbd0", OWN])


def stop_nbd(cell):
    if cell.stage == "thawing":
        hear_of_hanging(cell, HOLD)
    else:
        cell.guest.run(["kill", "-USR1", str(cell.scratch["nbd"].pid)])
        cell.guest.wait_for("grep -q '(qa-nbd) T' /proc/[0-9]*/stat", what="the server's stop", interval=0.02)
        cell.scratch["hangs"] = OWN


def go_on_nbd(cell):
    try:
        if "hangs" in cell.scratch:
            hear_of_hanging(cell, cell.scratch.pop("hangs"))
    finally:
        cell.guest.run(["kill", "-USR2", str(cell.scratch["nbd"].pid)])


def end_nbd(cell):
    server = cell.scratch.get("nbd")
    if server:
        cell.guest.run(["kill", "-USR2", str(server.pid)])
        # Held open by the agent until what it had frozen is thawed.
        cell.guest.wait_for(f"! mountpoint -q {OWN} || umount {OWN}")
        server.kill(15)
        server.wait(60)
    cell.guest.run(f"rm -f /run/nbd.img; rmdir {OWN}")


# ---- what fails

def replace_table(cell, target):
    cell.guest.run(f"""set -e
        dmsetup suspend --nolockfs --noflush --noudevsync own
        echo "0 $(blockdev --getsz /dev/mapper/own) {target}" | dmsetup load own
        dmsetup resume --noudevsync own""")


def break_own(cell):
    cell.scratch["loop"] = cell.guest.sh("/usr/sbin/losetup -j /run/own.img | cut -d: -f1")
    replace_table(cell, "error")


def mend_own(cell):
    """The disk is back; what had been mounted on it may be of no use any more, so it is mounted anew, where nothing
    of it is frozen."""
    replace_table(cell, f"linear {cell.scratch['loop']} 0")
    cell.guest.run(["umount", "-l", OWN])


def fill_own(cell):
    job = cell.guest.run(f"dd if=/dev/zero of={OWN}/all bs=64k; dd if=/dev/zero of={OWN}/rest bs=512", check=False)
    if "No space left" not in job.stderr:
        raise Failed(f"the filesystem is not full: {job.stderr}")


# ---- what is gone

def plug_on(bus):
    def plug(cell):
        folder = cell.scratch["folder"] = tempfile.TemporaryDirectory()
        cell.guest.plug("gone", disks.ext4(Path(folder.name) / "gone", 16), bus=bus)
        cell.guest.run(f"mkdir -p {OWN}; mount -t ext4 $(readlink -f /dev/qa/gone) {OWN}")
    return plug


def unplug(cell):
    """A virtio-blk disk goes when the guest lets it: some seconds after it was asked."""
    cell.scratch["unplugged"] = True
    cell.guest.qmp("device_del", id="disk-gone")
    cell.guest.qmp_port.wait_event("DEVICE_DELETED", lambda data: data.get("device") == "disk-gone", 60)


def forget_plugged(cell):
    if "folder" not in cell.scratch:
        return
    cell.guest.run(f"while mountpoint -q {OWN}; do umount -l {OWN} || break; done; rmdir {OWN}")
    if "unplugged" not in cell.scratch:
        unplug(cell)
    cell.guest.qmp("blockdev-del", node_name="gone")
    cell.guest.run("name-devices")
    cell.scratch["folder"].cleanup()


# ---- what never answers

def mount_fuse(cell):
    cell.guest.run(f"modprobe fuse; mkdir -p {FUSE}")


def begin_fuse(cell):
    server = cell.scratch["fuse"] = cell.guest.spawn(["qa-fuse", FUSE])
    server.wait_output("mounted")
    # The proof that it hangs, all the time.
    cell.scratch["hanging"] = cell.guest.spawn(["stat", "-f", FUSE])


def end_fuse(cell):
    server, hanging = cell.scratch.get("fuse"), cell.scratch.get("hanging")
    if hanging:
        assert hanging.poll() is None, "statfs was answered: this proves nothing"
    if server:
        server.kill()
        server.wait(30)
        hanging.wait(30)
    cell.guest.run(f"umount -l {FUSE}; rmdir {FUSE}")


def own_of(fstype):
    return lambda cell: own.mounted(cell, fstype)


FULL = only(("planning", "hooks", "flush", "after"), "what is frozen, or is being frozen, takes no data that fills it")
FAULTS = [
    Fault("dm-suspended", "disk", suspend_linear, heal=resume_linear, ends=False, worst="frozen", config=SHORT,
          loses={None: True, "freezing-last": ANY, "frozen": ANY, "thawing": ANY}),
    Fault("nbd-server-hangs", "disk", stop_nbd, prepare=serve_nbd, clean_up=end_nbd, heal=go_on_nbd, ends=False,
          worst="freezing-first", config=SHORT,
          loses={None: True, "freezing-middle": ANY, "freezing-last": ANY, "frozen": ANY, "thawing": ANY}),
    *(Fault(f"dm-error-{fstype}", "disk", break_own, prepare=own_of(fstype), clean_up=own.take_away, heal=mend_own,
            ends=False, worst="freezing-first", loses={None: ANY, "thawing": False}, except_for=lambda cell: [OWN])
      for fstype in ("ext4", "xfs", "btrfs")),
    *(Fault(f"full-{fstype}", "disk", fill_own, prepare=own_of(fstype), clean_up=own.take_away, ends=False,
            worst="flush", loses=False, senseless=FULL, except_for=lambda cell: [OWN])
      for fstype in ("ext4", "xfs", "btrfs")),
    *(Fault(f"unplugged-{bus}", "disk", unplug, prepare=plug_on(bus), clean_up=forget_plugged,
            heal=lambda cell: cell.guest.run(["umount", "-l", OWN]), ends=False, worst="frozen",
            loses={None: True, "thawing": False, "planning": ANY}, except_for=lambda cell: [OWN])
      for bus in ("scsi", "blk")),
    Fault("fuse-hangs", "disk", begin_fuse, prepare=mount_fuse, clean_up=end_fuse, ends=False, worst="planning",
          loses=False, is_background=True),
]
