# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rows under load: two throttled disks, writers on each, a freeze that is held for a moment, and every writer's stalls.

A run has three kinds of writers on each disk: small plain writes, small writes each with an fsync, and the big ones that
make the pages dirty. Times are the guest's.
"""

import time

import stalls
from bench import BOTH, UNLIMITED
from writers import Writers

NAMES = ("load-a", "load-b")
SMALL_RATE = 51200  # bytes a second, in records of 512
BIG_RECORD = 128 << 10
# Between its lower and its upper limit of dirty memory the kernel slows writers down; the middle of that, for MUCH below.
HELD_BACK = 0.7
STEADY_SECONDS = 8
FILL_SECONDS = 60
# Shorter ones are not worth their way to the host.
SHORTEST_MS = 2
HOLD_SECONDS = 1
MKFS = {
    "ext4": "/usr/sbin/mke2fs -q -F -t ext4 -E lazy_itable_init=0,lazy_journal_init=0",
    "xfs": "/usr/sbin/mkfs.xfs -q -f",
    "btrfs": "/usr/sbin/mkfs.btrfs -q -f",
}
# Dirty memory as the row wants it; what is not named stays at the kernel's default.
KEEP_ALL = {"dirty_background_ratio": 60, "dirty_ratio": 70, "dirty_expire_centisecs": 60000}
MUCH = {"dirty_ratio": 40}


class Kind:
    """Writers of one kind, a file on each disk; what they wrote, without the short ones."""

    def __init__(self, guest, name, *options):
        self.guest = guest
        self.name = name
        self.log = f"/run/bench-{name}.log"
        self.writers = Writers(guest, [f"/mnt/{disk}/{name}" for disk in NAMES], *options, log=self.log)

    def wait_until_all_wrote(self, since_ms, timeout=300):
        """Until each file has a write that began after @since_ms."""
        script = f"awk '$3 > {since_ms * 1e6:.0f} {{ seen[$1] = 1 }} END {{ for (i in seen) n++; print n + 0 }}' {self.log}"
        self.guest.wait_for(lambda: int(self.guest.sh(f"[ -e {self.log} ] && {script} || echo 0")) == len(NAMES), timeout,
                            0.3, f"a write by each writer ({self.name})")

    def writes(self):
        """File -> [(begin, end)] in ms."""
        found = {disk: [] for disk in NAMES}
        for line in self.guest.sh(f"awk '$4 - $3 > {SHORTEST_MS * 1e6:.0f}' {self.log}", timeout=300).splitlines():
            index, _, begin, end = map(int, line.split())
            found[NAMES[index]].append((begin / 1e6, end / 1e6))
        return found


class Clock:
    """The guest's clock, as the host can read it."""

    def __init__(self, guest):
        best = None
        for _ in range(5):
            begin = time.monotonic()
            job = guest.run(["true"])
            took = time.monotonic() - begin
            if best is None or took < best[0]:
                best = (took, job.start_ns / 1e6 - (begin + took / 2) * 1000)
        self.offset_ms = best[1]

    def now_ms(self):
        return time.monotonic() * 1000 + self.offset_ms


def throttle(guest, rate):
    for name in NAMES:
        device = f"/machine/peripheral/disk-{name}/virtio-backend"
        said = guest.qmp("human-monitor-command", command_line=f"block_set_io_throttle {device} 0 0 {rate} 0 0 0")
        assert not said, said


def set_limits(guest, limits):
    """Sets vm.dirty_*; returns what they were."""
    old = {name: guest.sh(f"cat /proc/sys/vm/{name}") for name in limits}
    for name, value in limits.items():
        guest.run(f"echo {value} >/proc/sys/vm/{name}")
    return old


def dirty_mib(guest):
    return int(guest.sh("awk '/^Dirty:|^Writeback:/ { n += $2 } END { print int(n / 1024) }' /proc/meminfo"))


def fill_once(guest, sizes):
    """So many dirty pages on each disk, and no more."""
    jobs = [guest.spawn(["dd", "if=/dev/zero", f"of=/mnt/{name}/big", "bs=1M", f"count={sizes.dirty_mib}"]) for name in NAMES]
    for job in jobs:
        job.wait(300)


def threshold_mib(guest):
    """How much dirty memory the kernel allows now, before it makes every writer wait."""
    return int(guest.sh("awk '/^nr_dirty_threshold/ { print int($2 / 256) }' /proc/vmstat"))


def wait_until_held_back(guest):
    """Until the kernel makes the endless writers wait, or until what is dirty grows no more: a filesystem may write back
    earlier than it must."""
    most, grown, deadline = 0, time.monotonic(), time.monotonic() + FILL_SECONDS
    while time.monotonic() < min(deadline, grown + STEADY_SECONDS):
        now = dirty_mib(guest)
        if now > HELD_BACK * threshold_mib(guest):
            return
        if now > most * 1.05:
            most, grown = now, time.monotonic()
        time.sleep(0.3)


class Run:
    """One run under load, from the first write to the last look."""

    def __init__(self, turn, endless):
        self.turn = turn
        self.guest = turn.guest
        self.endless = endless
        self.kinds = []

    def wait_until_all_wrote(self, since_ms):
        for kind in self.kinds:
            kind.wait_until_all_wrote(since_ms)

    def freeze_and_thaw(self):
        """The times of what the host does."""
        clock = Clock(self.guest)
        self.dirty = dirty_mib(self.guest)
        self.asked = clock.now_ms()
        self.took, self.parts = self.turn.freeze()
        self.frozen = clock.now_ms()
        time.sleep(HOLD_SECONDS)
        self.thaw_asked = clock.now_ms()
        self.thaw_took = self.turn.thaw()
        self.wait_until_all_wrote(self.thaw_asked + self.thaw_took)
        time.sleep(self.turn.sizes.after_seconds)
        self.end = clock.now_ms()

    def carry_out(self):
        try:
            self.write_and_freeze()
        finally:
            throttle(self.guest, 0)
            for kind in self.kinds:
                kind.writers.stop(300)
        return self

    def write_and_freeze(self):
        guest, sizes = self.guest, self.turn.sizes
        throttle(guest, sizes.rate)
        for kind, options in (("plain", ()), ("fsync", ("-s",))):
            self.kinds.append(Kind(guest, kind, "-r", SMALL_RATE, *options))
        for kind in self.kinds:
            kind.writers.wait_records(20, 300)
        if self.endless:
            self.kinds.append(Kind(guest, "endless", "-b", BIG_RECORD, "-w", sizes.endless_mib << 20))
            # Slower disks, so that memory fills up on a busy machine too, and sooner.
            throttle(guest, sizes.rate // 10)
            wait_until_held_back(guest)
            throttle(guest, sizes.rate)
            self.wait_until_all_wrote(Clock(guest).now_ms())
        else:
            fill_once(guest, sizes)
        self.begin = Clock(guest).now_ms()
        time.sleep(sizes.before_seconds if self.endless else 1)
        self.freeze_and_thaw()

    def phases(self):
        flushed = None
        if self.parts:
            flushed = self.frozen - self.parts["freeze"]
        return stalls.phases(self.asked, flushed, self.frozen, self.thaw_asked, self.begin, self.end)

    def result(self):
        """For the table of stalls, for JSON and for the picture: times count from the freeze's request."""
        def since_asked(ms):
            return round(ms - self.asked, 1)
        writes = {kind.name: kind.writes() for kind in self.kinds}
        run_phases = self.phases()
        everyone = {name: [write for disk in files.values() for write in disk] for name, files in writes.items()}
        return {
            "phases": {name: (since_asked(begin), since_asked(end)) for name, begin, end in run_phases},
            "longest": {name: stalls.longest(all_writes, self.asked) for name, all_writes in everyone.items()},
            "by-phase": {name: stalls.by_phase(all_writes, run_phases) for name, all_writes in everyone.items()},
            "writes": {f"{name} {disk}": [(since_asked(begin), since_asked(end)) for begin, end in found if end > self.begin]
                       for name, files in writes.items() for disk, found in files.items()},
        }


def loaded(turn, load, row, limits, endless):
    guest = turn.guest
    guest.run(f"rm -f {' '.join(f'/mnt/{name}/*' for name in NAMES)}; sync", timeout=300)
    old = set_limits(guest, limits)
    try:
        run = Run(turn, endless).carry_out()
    finally:
        set_limits(guest, old)
        guest.run("sync", timeout=300)
    turn.note(f"{row}: dirty when the freeze is asked for, MiB", run.dirty)
    turn.note(f"{row}: freeze answers, ms", run.took)
    for part in ("flush", "freeze"):
        if run.parts:
            turn.note(f"{row}: {part}-ms", run.parts[part])
    result = run.result()
    for kind, longest in result["longest"].items():
        turn.note(f"{row}: longest stall, {kind}, ms", longest)
    turn.note(f"{row}: thaw answers, ms", run.thaw_took)
    turn.bench.stalls.setdefault(load, {}).setdefault(turn.name, []).append(result)


def with_disks(bench, fstype, measure):
    """Both disks made anew with @fstype, mounted for @measure."""
    for name in NAMES:
        bench.guest.run(f"{MKFS[fstype]} /dev/qa/{name} && mkdir -p /mnt/{name} && mount -t {fstype} /dev/qa/{name} /mnt/{name}")
    try:
        measure()
    finally:
        for name in NAMES:
            bench.guest.run(f"umount /mnt/{name}", timeout=300, check=False)


def finite(bench):
    sizes = bench.sizes
    row = f"{sizes.dirty_mib} MiB dirty on each of two disks at {sizes.rate // 1000000} MB/s"
    with_disks(bench, "ext4", lambda: bench.in_turn(row, loaded, "finite", row, KEEP_ALL, False))


def endless(bench, fstype, with_unlimited=False):
    row = f"endless writers, {fstype}"

    def measure():
        # One round less than of the others: this is what takes longest.
        rounds = bench.rounds if fstype == "ext4" else max(1, bench.rounds - 1)
        bench.in_turn(row, loaded, f"endless, {fstype}", row, MUCH, True, rounds=rounds, variants=BOTH)
        if with_unlimited:
            again = f"{row}, flush-throttle = false"
            bench.in_turn(again, loaded, f"endless, {fstype}, unlimited", again, MUCH, True, rounds=rounds,
                          variants=(UNLIMITED,))
    with_disks(bench, fstype, measure)
