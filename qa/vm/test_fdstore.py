# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases about the service manager: what the agent tells it, the file descriptors that it keeps for the next start, and
its watchdog. qa-manager stands in for it."""

import contextlib

import pytest

import disks
from holding import told
from ports import Timeout

NOTIFY = "/run/qa-notify"


class Manager:
    """qa-manager and the agent that it starts."""

    def __init__(self, guest, agent):
        self.guest = guest
        self.agent = agent
        self.job = guest.spawn(["qa-manager", NOTIFY, agent.path])

    def lines(self, word):
        return [line.partition(" ")[2] for line in self.job.stdout.splitlines() if line.startswith(word + " ")]

    def wait_count(self, word, count):
        self.guest.wait_for(lambda: len(self.lines(word)) >= count, what=f"{count} times '{word}' in {self.job.stdout}")
        return self.lines(word)

    @property
    def pid(self):
        return int(self.lines("started")[-1])

    def kill_both(self):
        """Agent, its children and freezer at once: stopped, so that none learns of another's death. Returns when all
        are gone."""
        self.guest.run("all=$(pidof snapfreeze-agent snapfreeze-freezer); kill -STOP $all; kill -9 $all")
        self.guest.wait_for("! pidof snapfreeze-agent snapfreeze-freezer")
        self.wait_count("ended", len(self.lines("started")))

    def start_again(self):
        self.job.write("start\n")
        self.wait_count("started", len(self.lines("ended")) + 1)


@pytest.fixture
def managed(guest, make_agent):
    agent = make_agent(guest)
    manager = Manager(guest, agent)
    agent.job = manager.job  # so that whoever waits for the agent's answer sees its end
    yield manager
    agent.port.close()
    guest.run("kill -TERM $(pidof snapfreeze-agent) 2>/dev/null; :")
    with contextlib.suppress(Timeout):
        guest.wait_for("! pidof snapfreeze-agent snapfreeze-freezer", timeout=30)
    manager.job.close_input()
    manager.job.wait()


def numbers(guest, *mountpoints):
    """The names by which the descriptors of these filesystems lie in the store."""
    table = {mount["mountpoint"]: mount["device"] for mount in guest.mounts()}
    return {"frozen-" + table[path].replace(":", "-") for path in mountpoints}


def test_it_says_when_it_is_ready_and_when_it_stops(guest, managed):
    managed.agent.wait_answer()
    assert managed.lines("message")[0] == "READY=1"
    guest.run(["kill", managed.pid])
    managed.wait_count("ended", 1)
    assert managed.lines("ended") == ["0"]
    assert managed.lines("message")[-1] == "STOPPING=1"


def test_the_store_holds_each_frozen_filesystem_while_it_is_frozen_and_no_longer(guest, managed):
    agent = managed.agent
    agent.wait_answer()
    paths = ["/mnt/ext4-a", "/mnt/xfs", "/mnt/btrfs-one"]
    for _ in range(2):
        before = len(managed.lines("stored"))
        assert agent.call("guest-fsfreeze-freeze-list", mountpoints=paths) == 3
        assert set(managed.wait_count("stored", before + 3)[before:]) == numbers(guest, *paths)
        assert agent.thaw() == 3
        assert set(managed.wait_count("removed", before + 3)[before:]) == numbers(guest, *paths)
    # A freeze that fails leaves nothing behind either.
    guest.run(["qa-freeze", "freeze", "/mnt/xfs"])
    try:
        reply = agent.port.raw_call("guest-fsfreeze-freeze-list", mountpoints=paths)
        assert "/mnt/xfs" in reply["error"]["desc"]
    finally:
        guest.run(["qa-freeze", "thaw", "/mnt/xfs"])
    guest.wait_for(lambda: len(managed.lines("removed")) == len(managed.lines("stored")) > 6)


def test_a_manager_that_is_late_misses_nothing(guest, managed):
    """Its queue holds fewer messages than there are filesystems."""
    agent = managed.agent
    count = len(disks.PLANNED) + len(disks.SYNCED)
    agent.wait_answer()
    guest.run(["kill", "-STOP", managed.job.pid])
    try:
        assert agent.freeze() == len(disks.PLANNED)
    finally:
        guest.run(["kill", "-CONT", managed.job.pid])
    stored = set(managed.wait_count("stored", count))
    assert len(stored) == count
    guest.run(["kill", "-STOP", managed.job.pid])
    try:
        assert agent.thaw() == len(disks.PLANNED)
    finally:
        guest.run(["kill", "-CONT", managed.job.pid])
    guest.wait_for(lambda: set(managed.lines("removed")) == stored)
    assert managed.lines("message").count("WATCHDOG_USEC=0") == 1


def test_it_is_watched_as_long_as_a_freeze_is_under_way(guest, managed):
    agent = managed.agent
    agent.wait_answer()
    assert "WATCHDOG_USEC=20000000" not in managed.lines("message")
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=["/mnt/linear"]) == 1
    messages = managed.wait_count("message", 8)
    assert messages.index("WATCHDOG_USEC=20000000") < messages.index("FDSTORE=1")
    assert messages.count("WATCHDOG=1") >= 2
    assert agent.thaw() == 1
    guest.wait_for(lambda: managed.lines("message")[-1] == "WATCHDOG_USEC=0")


def test_an_agent_that_is_stopped_while_its_freezer_is_dead_is_ended_and_the_next_one_thaws(guest, managed):
    agent = managed.agent
    agent.wait_answer()
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=["/mnt/linear"]) == 1
    agent.port.close()
    guest.run(f"kill -STOP {managed.pid}; kill -9 $(pidof snapfreeze-freezer)")
    assert guest.blocked(["/mnt/linear"], timeout=2) == ["/mnt/linear"], "nobody is there to thaw it"
    managed.wait_count("watchdog", 1)
    assert managed.wait_count("ended", 1) == ["-9"]
    managed.start_again()
    agent.wait_answer()
    assert guest.blocked(["/mnt/linear"], timeout=30) == []
    told(agent, "agent and freezer died")
    # What watches it is off again: it may be stopped while it rests.
    assert managed.lines("message").count("WATCHDOG_USEC=0") == 1


@pytest.mark.parametrize("way", ["covered", "unmounted"])
def test_when_both_died_the_next_start_thaws_what_no_mount_point_leads_to(guest, managed, way):
    agent = managed.agent
    agent.wait_answer()
    device = guest.sh("readlink -f /dev/qa/letters")
    path = "/mnt/grün-日本"
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=[path, "/mnt/linear"]) == 2
    managed.wait_count("stored", 2)
    agent.port.close()
    guest.run(["mount", "-t", "tmpfs", "cover", path] if way == "covered" else ["umount", "-l", path])
    try:
        managed.kill_both()
        assert guest.blocked(["/mnt/linear"], timeout=2) == ["/mnt/linear"], "nobody is there to thaw it"
        managed.start_again()
        agent.wait_answer()
        guest.wait_for(lambda: agent.status() == "thawed")
    finally:
        if way == "covered":
            guest.run(["umount", path])
        else:
            guest.run(["mount", "-t", "ext4", device, path], timeout=60)
    assert set(guest.access([path, "/mnt/linear"], timeout=30).values()) == {"done"}
    # The descriptors are closed everywhere: else nobody could ever unmount it.
    guest.wait_for(lambda: len(managed.lines("removed")) == 2)
    guest.run(["umount", path])
    guest.run(["mount", "-t", "ext4", device, path])
    # What froze it before is told to the host that did.
    reply = agent.port.raw_call("guest-fsfreeze-thaw")
    assert "may be inconsistent" in reply["error"]["desc"]


def test_a_start_with_stored_descriptors_and_nothing_frozen_lets_them_go(guest, managed):
    agent = managed.agent
    agent.wait_answer()
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=["/mnt/linear"]) == 1
    managed.wait_count("stored", 1)
    agent.port.close()
    managed.kill_both()
    guest.run([agent.path, "--recover"])
    assert guest.blocked(["/mnt/linear"], timeout=30) == []
    managed.start_again()
    agent.wait_answer()
    assert managed.wait_count("removed", 1) == managed.lines("stored")
    assert agent.status() == "thawed"
    held = guest.sh(f"ls -l /proc/{managed.pid}/fd")
    assert "/mnt/" not in held
