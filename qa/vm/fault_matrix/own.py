# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the faults of disks, memory and the mount table share: a filesystem of one's own, and looking at the others
while one of them hangs."""

from scratch import MKFS

from .assertions import SLACK_S
from .cell import Failed, describe

OWN = "/mnt/own"


def device(cell, fstype="ext4", name="own"):
    """A fresh filesystem on the device-mapper device @name, over a loop device in memory; not mounted."""
    mib, mkfs = MKFS[fstype]
    cell.guest.run(f"""set -e
        mkdir -p /mnt/{name}
        truncate -s {mib}M /run/{name}.img
        loop=$(/usr/sbin/losetup -f --show /run/{name}.img)
        echo 0 {mib * 2048} linear $loop 0 | dmsetup --noudevsync create {name}
        [ -e /dev/mapper/{name} ] || dmsetup mknodes
        {mkfs} /dev/mapper/{name}""")
    return f"/dev/mapper/{name}"


def mounted(cell, fstype="ext4", name="own"):
    """The same, mounted: the last one in the table, and so the first to be frozen."""
    cell.guest.run(["mount", "-t", fstype, device(cell, fstype, name), f"/mnt/{name}"])


def take_away(cell, name="own"):
    """All of it, in whatever state it is. The superblock lives a moment longer than its last mount."""
    cell.guest.run(f"""dmsetup resume --noudevsync {name}
        while mountpoint -q /mnt/{name}; do umount -l /mnt/{name} || break; done
        n=0
        until dmsetup remove --noudevsync {name} 2>/dev/null || [ $n -ge 100 ]; do n=$((n + 1)); usleep 50000; done
        loop=$(/usr/sbin/losetup -j /run/{name}.img | cut -d: -f1)
        [ -z "$loop" ] || /usr/sbin/losetup -d $loop
        rm -f /run/{name}.img
        rmdir /mnt/{name}
        ! dmsetup info {name} >/dev/null 2>&1""")


def suspend(cell, name="own"):
    cell.guest.run(["dmsetup", "suspend", "--nolockfs", "--noudevsync", name])


def resume(cell, name="own"):
    cell.guest.run(["dmsetup", "resume", "--noudevsync", name])


def check_others(cell, *but):
    """Assertion 1 while @but hang: nobody else waits for them."""
    paths = [path for path in cell.planned if path not in but]
    limit = cell.fault.promise_s + SLACK_S
    blocked = [path for path, word in cell.guest.access(paths, timeout=limit).items() if word != "done"]
    if blocked:
        raise Failed(f"1: not writable within {limit} s though only {but} hang: {blocked}")


def hear_freeze(cell, limit_s=60):
    """The answer to the host's freeze, while what the fault did still lasts."""
    if cell.freeze_reply is None:
        cell.freeze_reply = cell.host.read_reply(limit_s)
    return "return" in cell.freeze_reply


def hear_thaw(cell, limit_s=60):
    """The answer to the host's thaw, asked for here where it was not, while what the fault did still lasts."""
    if cell.thaw_asked_ns is None:
        cell.ask_thaw()
    if cell.thaw_reply is None:
        cell.thaw_reply = cell.host.read_reply(limit_s)
    return cell.thaw_reply


def check_named(reply, *paths):
    """An error that names what hangs: one of @paths."""
    if "error" not in reply or not any(f"'{path}'" in reply["error"]["desc"] for path in paths):
        raise Failed(f"3: '{paths[0]}' hangs, and the host was told {describe(reply)}")
