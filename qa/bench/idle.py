# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rows of an idle guest: start, ping, memory, wake-ups, and a freeze of few and of many filesystems."""

import time
from pathlib import Path

import disks
from bench import BOTH, Turn, settle

SLICE_MIB = 16


def start(turn):
    turn.note("start to first answer, ms", turn.started_ms)
    for _ in range(20):
        turn.note("guest-ping, ms", turn.call("guest-ping")[0])
    turn.note("memory (PSS) idle, KiB", turn.pss_kib())
    turn.freeze()
    turn.thaw()
    settle()
    turn.note("memory (PSS) after a freeze, KiB", turn.pss_kib())


def wake_ups(bench):
    """The one row in which both run at the same time, each on a port of its own: to count takes long, and disturbs none."""
    seconds = bench.sizes.wake_seconds
    theirs, ours = BOTH
    bench.say("wake-ups: both")
    with Turn(bench, theirs) as first, Turn(bench, ours, "test") as second:
        for word in ("open", "closed"):
            if word == "closed":
                first.agent.port.close()
                second.agent.port.close()
            # The end of what was asked before is not idleness.
            settle()
            before = [turn.switches() for turn in (first, second)]
            time.sleep(seconds)
            for turn, count in zip((first, second), before):
                turn.note(f"wake-ups in {seconds} s, host side {word}", turn.switches() - count)


def freeze(turn, row):
    for _ in range(turn.sizes.freezes):
        settle()
        took, parts = turn.freeze()
        turn.note(f"freeze, {row}, ms", took)
        for part in ("flush", "freeze"):
            if parts:
                turn.note(f"freeze, {row}, {part}-ms", parts[part])
        turn.note(f"thaw, {row}, ms", turn.thaw())


def slices(path, mib):
    """A disk that holds one small ext4 after the other: made once, not by each guest."""
    template = disks.ext4(Path(f"{path}.template"), SLICE_MIB).read_bytes()
    page = 4096
    with open(path, "wb") as file:
        file.truncate(mib << 20)
        for begin in range(0, mib << 20, len(template)):
            for at in range(0, len(template), page):
                if template[at:at + page].strip(b"\0"):
                    file.seek(begin + at)
                    file.write(template[at:at + page])
    Path(f"{path}.template").unlink()


def mount_slices(guest, begin, end):
    """Plain ext4 filesystems, each on a slice of one disk."""
    sectors = SLICE_MIB * 2048
    guest.run(f"""set -e
        for n in $(seq {begin} {end - 1}); do
            echo "0 {sectors} linear /dev/qa/slices $((n * {sectors}))" | dmsetup --noudevsync create slice$n
            [ -e /dev/mapper/slice$n ] || dmsetup mknodes
            mkdir -p /mnt/slice$n
            mount -t ext4 /dev/mapper/slice$n /mnt/slice$n
        done""", timeout=600)


def freeze_many(bench, mounted):
    """Rows for each number of filesystems; @mounted are there. Returns how many are now."""
    for count in bench.sizes.filesystems:
        if count > mounted:
            mount_slices(bench.guest, mounted, count)
            mounted = count
        bench.in_turn(f"freeze of {count} filesystems", freeze, f"{count} filesystems")
    return mounted
