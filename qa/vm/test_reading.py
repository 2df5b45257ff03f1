# SPDX-License-Identifier: LGPL-2.1-or-later
"""While mount tables are read, however long that takes, the agent serves its other channels, its signals and whoever
gives the freeze up. A table that takes its time is a FIFO here, bound over a process's mountinfo."""

import signal

import pytest

import disks
from agents import TEST_CHANNEL
from holding import FREEZE, ask, kill_both, state
from ports import AgentError
from spaces import spaces

PLANNED = list(disks.PLANNED)
FIFO, TEXT = "/run/qa-table.fifo", "/run/qa-table.text"
THAW = {"execute": "snapfreeze-thaw"}

pytestmark = pytest.mark.agent(config=TEST_CHANNEL)


class SlowTable:
    """The mount table of a namespace of one's own, which nobody can read to its end before release()."""

    def __init__(self, guest, make_space):
        self.guest = guest
        self.make_space = make_space
        self.place = None

    def begin(self):
        self.place = f"/proc/{self.make_space().pid}/mountinfo"
        self.guest.run(f"cat {self.place} >{TEXT} && mkfifo {FIFO} && mount --bind {FIFO} {self.place}")
        return self

    def wait_read(self):
        """Until somebody waits for it, inside open(2)."""
        self.guest.wait_for("grep -qs wait_for_partner /proc/[0-9]*/wchan", what="a reader of the table")

    def is_read(self):
        return self.guest.run("grep -qs wait_for_partner /proc/[0-9]*/wchan", check=False).returncode == 0

    def release(self):
        """Whoever waits reads it now, and who comes later reads the kernel's."""
        if self.place:
            self.guest.run(f"umount -l {self.place}; timeout 5 cp {TEXT} {FIFO}; rm -f {TEXT} {FIFO}", check=False)
        self.place = None


@pytest.fixture
def slow_table(guest):
    with spaces(guest) as make_space:
        table = SlowTable(guest, make_space)
        yield table
        table.release()


@pytest.fixture
def other(guest, agent):
    """Another channel than the one on which the freeze is asked for."""
    with guest.agent_port("test") as port:
        yield port


def begin(agent, table, request=FREEZE):
    agent.port.open()
    agent.port.send(request)
    table.wait_read()


def serves(port):
    """Often enough that a loop which reads in between would be caught at it."""
    for number in range(5):
        assert port.call("guest-sync", 30, id=number) == number


@pytest.mark.parametrize("command", ["guest-fsfreeze-freeze", "snapfreeze-freeze", "snapfreeze-plan"])
def test_other_channels_are_served_meanwhile(slow_table, agent, other, command):
    slow_table.begin()
    begin(agent, slow_table, {"execute": command})
    serves(other)
    assert state(other) == ("thawed" if command == "snapfreeze-plan" else "preparing")
    assert other.call("guest-fsfreeze-status") == "thawed"
    slow_table.release()
    reply = agent.port.read_reply(120)
    assert "return" in reply, reply
    reply = reply["return"]
    if command != "snapfreeze-plan":
        assert (reply if isinstance(reply, int) else reply["frozen"]) == len(PLANNED)
        assert ask(agent, "snapfreeze-thaw")["consistent"] is True


def test_a_thaw_on_another_channel_ends_it(guest, slow_table, trace, agent, other):
    slow_table.begin()
    begin(agent, slow_table)
    assert other.call("guest-fsfreeze-thaw", 30) == 0
    assert "channel 'test' asked for a thaw" in agent.port.read_reply(30)["error"]["desc"]
    guest.wait_for(lambda: not slow_table.is_read(), what="the end of the process that reads")
    slow_table.release()
    assert agent.freeze() == len(PLANNED), "it can go on at once"
    assert agent.thaw() == len(PLANNED)
    assert len(trace.calls("freeze")) == len(PLANNED)


def test_who_goes_on_has_given_it_up(guest, slow_table, trace, agent):
    slow_table.begin()
    begin(agent, slow_table)
    agent.port.send({"execute": "guest-sync", "arguments": {"id": 7}})
    assert "its sender has gone on" in agent.port.read_reply(30)["error"]["desc"]
    assert agent.port.read_reply(30) == {"return": 7}
    guest.wait_for(lambda: not slow_table.is_read(), what="the end of the process that reads")
    slow_table.release()
    assert trace.calls("freeze") == []


def test_sigterm_ends_the_agent_meanwhile(guest, slow_table, trace, agent):
    slow_table.begin()
    begin(agent, slow_table)
    agent.signal(signal.SIGTERM)
    assert agent.job.wait(60).returncode == 0
    guest.wait_for(lambda: not slow_table.is_read(), what="the end of the process that reads")
    slow_table.release()
    assert trace.calls("freeze") == []


def test_other_channels_are_served_before_the_thaw(guest, slow_table, agent, other):
    assert agent.freeze() == len(PLANNED)
    slow_table.begin()
    begin(agent, slow_table, THAW)
    serves(other)
    assert state(other) == "frozen"
    slow_table.release()
    assert agent.port.read_reply(120)["return"]["consistent"] is True


def test_a_thaw_does_not_wait_for_ever(guest, slow_table, agent, other):
    assert agent.freeze() == len(PLANNED)
    slow_table.begin()
    begin(agent, slow_table, THAW)
    other.send(THAW)
    for port in (agent.port, other):
        answer = port.read_reply(120)["return"]
        assert answer["consistent"] is False and answer["thawed"] == len(PLANNED)
        assert answer["reasons"] == ["the mount tables were not read within 10 s"]
    assert guest.blocked(PLANNED, timeout=30) == []
    guest.wait_for(lambda: not slow_table.is_read(), what="the end of the process that reads")


def test_a_stop_does_not_wait_for_the_look_before_a_thaw(guest, slow_table, agent):
    assert agent.freeze() == len(PLANNED)
    slow_table.begin()
    begin(agent, slow_table, THAW)
    agent.signal(signal.SIGTERM)
    assert agent.job.wait(60).returncode == 0
    assert guest.blocked(PLANNED, timeout=30) == []


def test_the_process_that_reads_may_die(guest, slow_table, trace, agent):
    slow_table.begin()
    begin(agent, slow_table)
    guest.run("kill -9 $(grep -ls wait_for_partner /proc/[0-9]*/wchan | cut -d/ -f3)")
    assert "the process that reads the mount tables has ended" in agent.port.read_reply(30)["error"]["desc"]
    assert trace.calls("freeze") == []
    slow_table.release()
    assert agent.freeze() == len(PLANNED)
    pids = guest.sh(f"cat /proc/{agent.pid}/task/*/children").split()
    guest.run(["kill", "-9", *(pid for pid in pids if int(pid) != agent.freezer_pid)])
    answer = ask(agent, "snapfreeze-thaw")
    assert answer["reasons"] == ["the process that reads the mount tables has ended"]


def test_channels_are_served_during_a_recovery(guest, slow_table, agent):
    assert agent.freeze() == len(PLANNED)
    kill_both(guest, agent)
    slow_table.begin()
    agent.restart()
    slow_table.wait_read()
    serves(agent.port)
    assert agent.status() == "frozen"
    slow_table.release()
    assert guest.blocked(PLANNED, timeout=60) == []
    with pytest.raises(AgentError, match="did not hold"):
        agent.thaw()
