# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest that cells share: the layout of disks.py, and what the matrix needs beside it.

/mnt/hold     ext4 on a device-mapper device of its own ("hold"), mounted last: the first to be frozen
/mnt/witness  ext4, frozen by another process and left out by configuration: nobody may ever thaw it
"""

import disks
from freeze_trace import FreezeTrace
from guest import Guest

from .stages import HOLD

WITNESS = "/mnt/witness"
CGROUPS = "/run/cgroup"  # the unified hierarchy; freezer-1 is the old freezer's, which keeps even SIGKILL waiting
FREEZER_1 = "/run/freezer-1"

SET_UP = f"""set -e
truncate -s 32M /run/hold.img
truncate -s 16M /run/witness.img
hold=$(/usr/sbin/losetup -f --show /run/hold.img)
echo 0 65536 linear $hold 0 | dmsetup --noudevsync create hold
[ -e /dev/mapper/hold ] || dmsetup mknodes
mkdir -p {HOLD} {WITNESS} {CGROUPS} {FREEZER_1}
mke2fs="/usr/sbin/mke2fs -q -F -t ext4 -E lazy_itable_init=0,lazy_journal_init=0"
$mke2fs /run/witness.img
witness=$(/usr/sbin/losetup -f --show /run/witness.img)
mount -t ext4 $witness {WITNESS}
$mke2fs /dev/mapper/hold
mount -t ext4 /dev/mapper/hold {HOLD}
mount -t cgroup2 none {CGROUPS}
mount -t cgroup -o freezer none {FREEZER_1}
sync
qa-freeze freeze {WITNESS}
"""


class Arena:
    """One machine, from start() to stop(). .is_broken: a cell left it unusable, so the next one needs another."""

    def __init__(self, builddir, needs=(), keep=False):
        self.builddir = builddir
        self.needs = needs
        self.keep = keep
        self.guest = None
        self.is_broken = False

    def start(self):
        extra = [disks.empty(*need, bus="scsi" if need[0].startswith("scsi") else "blk") for need in self.needs]
        self.guest = Guest(disks.layout() + extra, builddir=self.builddir, keep=self.keep).start()
        try:
            self.guest.run("/qa/set-up-disks", timeout=300)
            self.guest.run(SET_UP, timeout=120)
            self.trace = FreezeTrace(self.guest).__enter__()
            self.planned = [*disks.PLANNED, HOLD]
            self.mounts = self._mounts()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        if self.guest:
            self.guest.stop()
        self.guest = None

    def _mounts(self):
        return self.guest.sh("cut -d' ' -f3- /proc/self/mountinfo")

    def witness_is_frozen(self):
        """Asked without a process that would hang on it: a second freeze is refused. Freezes it again where it was
        not."""
        job = self.guest.run(["qa-freeze", "freeze", WITNESS], check=False)
        return job.returncode == 1 and "EBUSY" in job.stderr

    def uncleanness(self, agent_goes_on=False):
        """What a cell left behind: "" for nothing."""
        words = self.guest.access(self.planned, timeout=20)
        bad = {path: word for path, word in words.items() if word != "done"}
        if bad:
            return f"left unusable: {bad}"
        left = self.guest.sh("pidof snapfreeze-agent snapfreeze-freezer; :")
        if left and not agent_goes_on:
            return f"left running: {left}"
        if self._mounts() != self.mounts:
            return "the mount table was changed"
        return ""
