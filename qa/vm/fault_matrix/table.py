# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults of the mount table, and other processes that freeze and thaw what is ours."""

import disks

from . import own
from .cell import Failed
from .fault import ANY, Fault, only
from .own import OWN
from .stages import HOLD

AFTER_PLAN = {None: True, "planning": False, "hooks": False, "flush": False, "thawing": False}
OTHER = "/mnt/ext4-b"  # the last but one to be frozen


def mount_busy(cell):
    """umount: refused where the agent holds it open."""
    job = cell.guest.run(["umount", OWN], check=False)
    if job.returncode != 0 and "busy" not in job.stderr:
        raise Failed(f"umount: {job.stderr}")


def mount_own(cell):
    cell.guest.run(["mount", "-t", "ext4", "/dev/mapper/own", OWN])


def mount_read_only(cell):
    cell.guest.run(["mount", "-o", "ro", "-t", "ext4", own.device(cell), OWN])


def remount(words):
    def inject(cell):
        # Of a frozen superblock the kernel refuses it.
        job = cell.guest.run(["mount", "-o", f"remount,{words}", OWN], check=False)
        if job.returncode != 0 and "busy" not in job.stderr:
            raise Failed(f"remount: {job.stderr}")
    return inject


def begin_storm(cell):
    cell.scratch["storm"] = storm = cell.guest.spawn(["qa-storm", "/mnt/storm", 1000])
    storm.wait_output("mounting")


def end_storm(cell):
    storm = cell.scratch.get("storm")
    if storm:
        storm.kill(15)
        storm.wait(60)
        # Written by qa-storm: "N mounts in M ms".
        count, ms = (int(word) for word in storm.stdout.splitlines()[-1].split()[::3])
        cell.times["mounts a second"] = round(count * 1000 / ms)
    cell.guest.run("rmdir /mnt/storm")


def freeze_other(cell):
    """Another process freezes one of the same filesystems: refused where we have it, or are about to."""
    cell.scratch["foreign"] = cell.guest.run(["qa-freeze", "freeze", OTHER], check=False).returncode == 0


def thaw_other(cell):
    if cell.scratch.pop("foreign", False):
        # A short foreign freeze is waited for: this one lasts until the host has its answer.
        if not own.hear_freeze(cell):
            # What lies on it hangs with it, where it has something to flush.
            own.check_named(cell.freeze_reply, OTHER, *(path for path, below in disks.EDGES if below == OTHER))
        job = cell.guest.run(["qa-freeze", "thaw", OTHER], check=False)
        if job.returncode != 0:
            raise Failed(f"2: what another process had frozen was thawed: {job.stderr}")


def thaw_ours(cell):
    paths = [path for path in cell.in_state("frozen") if path != HOLD]
    assert paths, "nothing of ours is frozen"
    cell.guest.run(["qa-freeze", "thaw", paths[0]])


def own_ext4(cell):
    own.mounted(cell)


def with_folder(cell):
    cell.guest.run("mkdir -p /mnt/storm")


NOT_FROZEN = "nothing of ours is frozen"
FAULTS = [
    Fault("unmounted", "table", mount_busy, prepare=own_ext4, clean_up=own.take_away, ends=False, loses=False,
          worst="planning", except_for=lambda cell: [OWN]),
    Fault("unmounted-lazily", "table", lambda cell: cell.guest.run(["umount", "-l", OWN]), prepare=own_ext4,
          clean_up=own.take_away, ends=False, loses=False, worst="flush", except_for=lambda cell: [OWN]),
    Fault("remounted-read-only", "table", remount("ro"), prepare=own_ext4, clean_up=own.take_away, ends=False,
          loses=ANY, worst="freezing-middle", except_for=lambda cell: [OWN]),
    Fault("remounted-read-write", "table", remount("rw"), prepare=mount_read_only, clean_up=own.take_away, ends=False,
          loses=AFTER_PLAN, worst="freezing-first"),
    Fault("mounted", "table", mount_own, prepare=lambda cell: own.device(cell), clean_up=own.take_away, ends=False,
          loses=AFTER_PLAN, worst="frozen"),
    Fault("1000-mounts-a-second", "table", begin_storm, prepare=with_folder, clean_up=end_storm, ends=False,
          loses=False, worst="planning", is_background=True),
    Fault("frozen-by-another", "table", freeze_other, heal=thaw_other, ends=False, worst="freezing-middle",
          except_for=lambda cell: [OTHER] if cell.scratch.get("foreign") else [],
          loses={"planning": True, "hooks": True, "flush": True, "freezing-first": True, "freezing-middle": True,
                 "freezing-last": False, "frozen": False, "thawing": False}),
    Fault("thawed-by-another", "table", thaw_ours, ends=False, worst="frozen",
          senseless=only(("freezing-middle", "freezing-last", "frozen"), NOT_FROZEN)),
]
