# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rows of a long mount table: freeze, thaw, enumeration, memory, and the curve over the table's length."""

import contextlib

from bench import BOTH, OURS, THEIRS, settle

MANY, BINDS = "mounts", "bind mounts of a plain disk"
PLAIN_MIB = 16
# Longer than this no row waits for an agent again: the next longer table is cut for it, and the output says so.
BEARABLE_MS = 60000


@contextlib.contextmanager
def long_table(bench, count, source="/mnt/slice0/bind", *words):
    """Half bind mounts of @source, half tmpfs; with "bind" as a word of it only the former."""
    guest = bench.guest
    bench.say(f"{count} mounts")
    guest.run(["mkdir", "-p", source])
    guest.run(["qa-mounts", count, "/run/bench", source, *words], timeout=1800)
    try:
        yield
    finally:
        guest.run("umount -l /run/bench && rmdir /run/bench", timeout=600)


@contextlib.contextmanager
def plain_disk(bench):
    """A filesystem right on a disk of the machine, where the slices lie on device-mapper: qemu-ga looks at both per mount."""
    bench.guest.run("mkdir -p /mnt/plain && mount -t ext4 /dev/qa/plain /mnt/plain")
    try:
        yield
    finally:
        bench.guest.run("umount /mnt/plain && rmdir /mnt/plain")


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


def ask_fsinfo(turn, title):
    """The first call in this agent's life, and further ones, as of a host that asks every few seconds."""
    turn.note(f"guest-get-fsinfo with {title}, first call, ms", turn.line_ms("guest-get-fsinfo"))
    for _ in range(turn.sizes.calls):
        turn.note(f"guest-get-fsinfo with {title}, further calls, ms", turn.line_ms("guest-get-fsinfo"))
    settle()
    turn.note(f"memory (PSS) after guest-get-fsinfo with {title}, KiB", turn.pss_kib())


def ask_plan(turn, count):
    turn.note(f"snapfreeze-plan with {count} mounts, ms", turn.call("snapfreeze-plan")[0])


def curve(turn, count, slow):
    took = one_freeze(turn, f"curve: {count} mounts")
    if took > BEARABLE_MS:
        slow.add(turn.name)


def mounts(bench):
    for count in bench.sizes.mounts:
        with long_table(bench, count):
            bench.in_turn(f"freeze with {count} mounts", many_mounts, count)
            bench.in_turn(f"fsinfo of {count} mounts", ask_fsinfo, f"{count} {MANY}")
            bench.in_turn(f"plan of {count} mounts", ask_plan, count, rounds=1, variants=BOTH[1:])
        with plain_disk(bench), long_table(bench, count, "/mnt/plain/bind", "bind"):
            bench.in_turn(f"fsinfo of {count} bind mounts", ask_fsinfo, f"{count} {BINDS}")


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
