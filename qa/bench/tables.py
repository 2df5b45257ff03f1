# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rows of a long mount table: freeze, thaw, enumeration, memory, and the curve over the table's length."""

import contextlib

from bench import BOTH, OURS, THEIRS, settle

# Longer than this no row waits for an agent again: the next longer table is cut for it, and the output says so.
BEARABLE_MS = 60000


@contextlib.contextmanager
def long_table(bench, count):
    """Half bind mounts of a filesystem that is frozen, half tmpfs."""
    guest = bench.guest
    bench.say(f"{count} mounts")
    guest.run("mkdir -p /mnt/slice0/bind")
    guest.run(["qa-mounts", count, "/run/bench", "/mnt/slice0/bind"], timeout=1800)
    try:
        yield
    finally:
        guest.run("umount -l /run/bench && rmdir /run/bench", timeout=600)


def one_freeze(turn, row):
    settle()
    took, parts = turn.freeze()
    turn.note(f"freeze, {row}, ms", took)
    for part, value in parts.items():
        turn.note(f"freeze, {row}, {part}-ms", value)
    turn.note(f"thaw, {row}, ms", turn.thaw())
    return took


def many_mounts(turn, count):
    for _ in range(turn.sizes.freezes):
        one_freeze(turn, f"{count} mounts")
    settle()
    turn.note(f"memory (PSS) after a freeze with {count} mounts, KiB", turn.pss_kib())


def enumerate_mounts(turn, count):
    turn.note(f"guest-get-fsinfo with {count} mounts, ms", turn.call("guest-get-fsinfo")[0])
    if turn.is_ours:
        turn.note(f"snapfreeze-plan with {count} mounts, ms", turn.call("snapfreeze-plan")[0])
    settle()
    turn.note(f"memory (PSS) after enumerating {count} mounts, KiB", turn.pss_kib())


def curve(turn, count, slow):
    took = one_freeze(turn, f"curve: {count} mounts")
    if took > BEARABLE_MS:
        slow.add(turn.name)


def mounts(bench):
    for count in bench.sizes.mounts:
        with long_table(bench, count):
            bench.in_turn(f"freeze with {count} mounts", many_mounts, count)
            bench.in_turn(f"enumerate {count} mounts", enumerate_mounts, count, rounds=1)


def curves(bench):
    slow = set()
    for count in bench.sizes.curve:
        variants = [variant for variant in BOTH if variant.name not in slow]
        with long_table(bench, count):
            bench.in_turn(f"curve at {count} mounts", curve, count, slow, rounds=1, variants=variants)
        for name in (THEIRS, OURS):
            if name not in [variant.name for variant in variants]:
                bench.remarks.append(f"curve: {name} was cut at {count} mounts: the shorter table took it longer than "
                                     f"{BEARABLE_MS / 1000:.0f} s")
