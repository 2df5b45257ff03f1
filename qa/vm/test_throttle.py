# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where programs write as fast as the disks do, dirty memory is limited in steps until all is frozen, and the limits
that were in force come back to the letter, whatever dies. An ordinary guest's are never touched."""

import contextlib
import signal
from pathlib import Path

import pytest

import disks
import image
from agents import TEST_CHANNEL
from guest import Guest
from holding import ask, is_gone
from writers import Writers

NAMES = ("load-a", "load-b")
PATHS = [f"/mnt/{name}" for name in NAMES]
MIB = 1 << 20
DISK_RATE = 20 * 1000 * 1000
# So slow that a flush outlasts what a case does meanwhile, on any machine.
CRAWL = 2 * 1000 * 1000
MUCH = 150 * MIB
FREEZE = {"execute": "guest-fsfreeze-freeze"}
PATIENT = "[freeze]\nflush-timeout=300\nfreeze-timeout=300\n"
SETTINGS = ("dirty_bytes", "dirty_ratio", "dirty_background_bytes", "dirty_background_ratio")
FILES = " ".join(f"/proc/sys/vm/{name}" for name in SETTINGS)
# What was in force before, as it is written.
BY_RATIO = {"dirty_ratio": "40", "dirty_background_ratio": "10"}
BY_BYTES = {"dirty_bytes": str(320 * MIB + 7), "dirty_background_bytes": str(80 * MIB + 3)}
# Dirty memory that stays until somebody flushes.
KEPT = {"dirty_ratio": "70", "dirty_background_ratio": "60"}
MIXED = {"dirty_ratio": "40", "dirty_background_bytes": str(80 * MIB)}


class Machine:
    """A guest with two slow disks, and what is asked of it again and again."""

    def __init__(self, guest):
        self.guest = guest

    def limits(self):
        """Name -> value in force."""
        return dict(zip(SETTINGS, self.guest.sh(f"cat {FILES}").split()))

    def set(self, values):
        for name, value in values.items():
            self.guest.run(f"echo {value} >/proc/sys/vm/{name}")
        return self.limits()

    def dirty(self):
        return int(self.guest.sh("awk '/^nr_dirty |^nr_writeback / { n += $2 } END { print n }' /proc/vmstat")) * 4096

    def slow_down(self, rate):
        for name in NAMES:
            device = f"/machine/peripheral/disk-{name}/virtio-backend"
            said = self.guest.qmp("human-monitor-command", command_line=f"block_set_io_throttle {device} 0 0 {rate} 0 0 0")
            assert not said, said

    def is_lowered(self):
        return int(self.limits()["dirty_bytes"]) not in (0, int(BY_BYTES["dirty_bytes"]))

    def wait_lowered(self):
        self.guest.wait_for(self.is_lowered, 120, 0.01, "a lower limit")

    def wait_restored(self, before):
        self.guest.wait_for(lambda: self.limits() == before, 120, 0.1, f"{before}")


@pytest.fixture(scope="module")
def slow_guest(pytestconfig):
    try:
        with Guest([disks.empty(name, 768, disks.ext4) for name in NAMES],
                   builddir=Path(pytestconfig.getoption("--builddir")).resolve(),
                   keep=pytestconfig.getoption("--keep")) as guest:
            for name in NAMES:
                guest.run(f"mkdir -p /mnt/{name} && mount /dev/qa/{name} /mnt/{name}")
            yield guest
    except image.Unavailable as error:
        pytest.skip(f"no guest here: {error}")


@pytest.fixture
def machine(request, slow_guest):
    request.node.guest = slow_guest
    machine = Machine(slow_guest)
    machine.set(BY_RATIO)
    machine.slow_down(DISK_RATE)
    yield machine
    machine.slow_down(0)
    slow_guest.run("rm -f /mnt/load-*/*; sync", timeout=300)


@contextlib.contextmanager
def endless(machine):
    """Writers without pause on both disks, and much that is dirty by now."""
    writers = Writers(machine.guest, [f"{path}/big" for path in PATHS], "-b", MIB, "-w", 600 * MIB, log="/run/big.log")
    try:
        machine.guest.wait_for(lambda: machine.dirty() > MUCH, 300, 0.3, "dirty memory")
        yield writers
    finally:
        machine.slow_down(0)
        # Nobody must wait for a filesystem that a failed case has left frozen.
        machine.guest.run("for path in /mnt/load-*; do qa-freeze thaw $path; done", check=False)
        writers.stop(300)


@contextlib.contextmanager
def watched(machine):
    """Collects all that was in force, in order, without repetitions: tuples in the order of SETTINGS."""
    job = machine.guest.spawn(f"while :; do cat {FILES} | tr '\\n' ' '; echo; usleep 20000; done")
    seen = []
    try:
        yield seen
    finally:
        job.kill(signal.SIGKILL)
        job.wait()
        # The last line may have been cut off.
        seen += dict.fromkeys(tuple(line.split()) for line in job.stdout.splitlines()[:-1])


def begin_freeze(agent):
    agent.port.open()
    agent.port.send(FREEZE)


def begin_long_freeze(machine, agent):
    """As begin_freeze(), with a flush that goes on until the disks are made faster."""
    machine.slow_down(CRAWL)
    begin_freeze(agent)


def begin_limited_freeze(machine, agent):
    """The same, with limits that have come down: on disks that crawl from the beginning the load passes for a trickle,
    which is no reason to limit anything."""
    begin_freeze(agent)
    machine.wait_lowered()
    machine.slow_down(CRAWL)


def wait_flushing(machine):
    """Waits until one of the freezer's threads waits for a disk."""
    stacks = "cat /proc/$(pidof snapfreeze-freezer)/task/*/stack; :"
    machine.guest.wait_for(lambda: "syncfs" in machine.guest.sh(stacks), 60, what="the flush")


@pytest.mark.parametrize("in_force", [BY_BYTES, MIXED], ids=["bytes", "mixed"])
def test_under_an_endless_load_the_limit_comes_down_in_steps_and_goes_back(machine, make_agent, in_force):
    before = machine.set(in_force)
    agent = make_agent(machine.guest).start(config=PATIENT)
    with endless(machine):
        with watched(machine) as seen:
            answer = ask(agent, "snapfreeze-freeze")
            assert machine.limits() == before, "as soon as it is answered"
        thawed = ask(agent, "snapfreeze-thaw")
    assert answer["frozen"] == len(NAMES) and thawed["consistent"] is True, thawed
    values = dict.fromkeys(int(value) for value, *_ in seen)
    steps = [value for value in values if value not in (0, int(before["dirty_bytes"]))]
    assert len(steps) >= 5 and steps == sorted(steps, reverse=True), steps
    assert steps[0] > MUCH / 2, "no cliff"
    assert steps[-1] < 64 * MIB, steps
    assert "warning" not in agent.job.stderr


def test_an_idle_guest_and_one_with_a_finite_load_are_left_alone(machine, make_agent):
    before = machine.set(KEPT)
    agent = make_agent(machine.guest).start(config=PATIENT)
    with watched(machine) as seen:
        agent.freeze()
        agent.thaw()
        # Small files that are synced all the while: all that is written then was dirtied just before.
        writers = Writers(machine.guest, [f"{PATHS[1]}/small"], "-s", "-r", 51200)
        machine.guest.run(f"dd if=/dev/zero of={PATHS[0]}/finite bs=1M count=250", timeout=300)
        assert machine.dirty() > 100 * MIB, "much, and nobody adds to it"
        agent.freeze()
        agent.thaw()
        writers.stop(300)
    assert seen == [tuple(before.values())]


def test_it_can_be_switched_off(machine, make_agent):
    before = machine.limits()
    agent = make_agent(machine.guest).start(config=PATIENT + "flush-throttle=false\n")
    with endless(machine), watched(machine) as seen:
        begin_long_freeze(machine, agent)
        wait_flushing(machine)
        machine.guest.run("sleep 2")  # as long as another takes for its first step
        machine.slow_down(0)
        assert agent.port.read_reply(600)["return"] == len(NAMES)
        agent.thaw()
    assert seen == [tuple(before.values())]


@pytest.mark.parametrize("victim, in_force", [("agent", BY_RATIO), ("freezer", BY_BYTES)], ids=["agent", "freezer"])
def test_one_that_dies_meanwhile_leaves_the_other_to_restore(machine, make_agent, victim, in_force):
    before = machine.set(in_force)
    agent = make_agent(machine.guest).start(config=PATIENT)
    with endless(machine):
        begin_limited_freeze(machine, agent)
        machine.guest.run(["kill", "-9", str(agent.pid if victim == "agent" else agent.freezer_pid)])
        machine.wait_restored(before)
        machine.slow_down(0)
        if victim == "agent":
            agent.job.wait(60)
            agent.restart()
        else:
            assert "freezer is gone" in agent.port.read_reply(120)["error"]["desc"]
        # Its freezer may still be on its way out. And it stays so.
        machine.guest.wait_for(lambda: agent.call("snapfreeze-status")["state"] in ("thawed", "expired"), 120)
        assert machine.limits() == before


@pytest.mark.parametrize("by", ["recovery", "restart"])
def test_both_die_meanwhile_and_the_next_start_restores(machine, make_agent, by):
    before = machine.limits()
    agent = make_agent(machine.guest).start(config=PATIENT)
    with endless(machine):
        begin_limited_freeze(machine, agent)
        both = f"{agent.freezer_pid} {agent.pid}"
        machine.guest.run(f"kill -STOP {both}; kill -9 {both}")
        machine.slow_down(0)
        agent.job.wait(60)
        agent.port.close()
        machine.guest.wait_for(lambda: all(is_gone(machine.guest, pid) for pid in both.split()), 300)
        assert machine.is_lowered(), "nobody is left"
        if by == "recovery":
            machine.guest.run([agent.path, "-c", "/run/agent.conf", "--recover"])
            assert machine.limits() == before
            agent.restart()
        else:
            agent.restart()
            assert machine.limits() == before
        agent.port.close()


def test_both_die_while_frozen_and_nothing_is_left_to_restore(machine, make_agent):
    before = machine.limits()
    agent = make_agent(machine.guest).start(config=PATIENT)
    with endless(machine):
        agent.freeze()
        both = f"{agent.freezer_pid} {agent.pid}"
        machine.guest.run(f"kill -STOP {both}; kill -9 {both}")
        agent.job.wait(60)
        assert machine.limits() == before
        machine.set({"dirty_ratio": "33"})
        agent.restart()
        assert machine.limits() == {**before, "dirty_ratio": "33"}
        agent.port.close()


def test_a_hung_agent_slows_nobody_down_for_long(machine, make_agent):
    before = machine.limits()
    agent = make_agent(machine.guest).start(config=PATIENT)
    with endless(machine):
        begin_limited_freeze(machine, agent)
        agent.signal(signal.SIGSTOP)
        machine.wait_restored(before)
        agent.signal(signal.SIGCONT)
        machine.slow_down(0)
        # It may hold the freezer for dead, of which it has not heard for so long; but it lowers nothing again.
        agent.port.read_reply(600)
        assert machine.limits() == before
        agent.call("guest-fsfreeze-thaw", 120)
        assert machine.limits() == before


def test_a_value_that_somebody_sets_meanwhile_stays(machine, make_agent):
    before = machine.limits()
    agent = make_agent(machine.guest).start(config=PATIENT)
    theirs = str(222 * MIB)
    with endless(machine):
        begin_limited_freeze(machine, agent)
        machine.set({"dirty_bytes": theirs})
        machine.guest.wait_for(lambda: "somebody else has set" in agent.job.stderr, what="that the agent sees it")
        machine.slow_down(0)
        assert agent.port.read_reply(600)["return"] == len(NAMES)
        assert machine.limits() == {**before, "dirty_bytes": theirs, "dirty_ratio": "0"}
        agent.thaw()
    assert machine.limits() == {**before, "dirty_bytes": theirs, "dirty_ratio": "0"}


@pytest.mark.parametrize("how", ["thaw", "timeout", "stop"])
def test_a_flush_that_is_given_up_restores(machine, make_agent, how):
    before = machine.limits()
    timeout = "[freeze]\nflush-timeout=10\n" if how == "timeout" else PATIENT
    agent = make_agent(machine.guest).start(config=timeout + TEST_CHANNEL)
    with endless(machine):
        begin_limited_freeze(machine, agent)
        other = machine.guest.agent_port("test").open()
        if how == "thaw":
            other.send({"execute": "guest-fsfreeze-thaw"})
        elif how == "stop":
            agent.signal(signal.SIGTERM)
        machine.wait_restored(before)
        machine.slow_down(0)
        if how == "thaw":
            other.read_reply(120)  # an error where the flush still waited for its disk
        if how == "stop":
            assert agent.job.wait(120).returncode == 0
        else:
            assert "error" in agent.port.read_reply(120)
        other.close()


def test_settings_that_cannot_be_written_are_done_without(machine, make_agent):
    before = machine.limits()
    machine.guest.run("mount --bind /proc/sys/vm /proc/sys/vm && mount -o remount,ro,bind /proc/sys/vm")
    try:
        agent = make_agent(machine.guest).start(config=PATIENT)
        with endless(machine):
            begin_freeze(agent)
            machine.guest.wait_for(lambda: "dirty memory is not limited" in agent.job.stderr, 120, 0.2)
            machine.slow_down(0)
            assert agent.port.read_reply(600)["return"] == len(NAMES)
            agent.thaw()
            agent.freeze()
            agent.thaw()
        assert agent.job.stderr.count("dirty memory is not limited") == 1
        assert machine.limits() == before
    finally:
        machine.guest.run("umount /proc/sys/vm")


def test_a_rehearsal_touches_no_setting(machine, make_agent):
    before = machine.limits()
    agent = make_agent(machine.guest).start("--rehearse", config=PATIENT)
    with endless(machine), watched(machine) as seen:
        begin_long_freeze(machine, agent)
        wait_flushing(machine)
        machine.guest.run("sleep 2")
        machine.slow_down(0)
        agent.port.read_reply(600)
        agent.call("guest-fsfreeze-thaw", 120)
    assert seen == [tuple(before.values())]
