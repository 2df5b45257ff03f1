# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the cases about failing, dying and recovering share: freezing everything, dying in the guest, looking
afterwards. Times are taken inside the guest: the machine that runs it may be busy."""

import contextlib
import shlex

import pytest

import disks
from ports import AgentError

ALL = list(disks.PLANNED)
# What the design promises: writable again this long after whatever happened.
SECOND_MS = 1000
FREEZE = {"execute": "guest-fsfreeze-freeze"}


def ask(agent, command, **arguments):
    """A call on the main port whose arguments may be named as one pleases ("timeout" too)."""
    agent.port.open()
    agent.port.send({"execute": command, "arguments": arguments})
    reply = agent.port.read_reply(300)
    if "error" in reply:
        raise AgentError(reply["error"])
    return reply["return"]


def freeze_all(guest, agent, paths=ALL, **arguments):
    """Freezes, and sees that it is so. Returns snapfreeze-freeze's answer."""
    answer = ask(agent, "snapfreeze-freeze", **arguments)
    assert guest.blocked(paths, timeout=1) == list(paths)
    return answer


def writable_ms(guest, paths=ALL, before=":", timeout=60):
    """Runs @before in the guest, and says how long after its end the last of @paths could be written to. Where that is
    little more than the promised second, without what the same writes take now, with nothing in their way: that is a
    busy machine's part."""
    ms = write_ms(guest, paths, before, timeout)
    return ms - write_ms(guest, paths, ":", timeout) if SECOND_MS <= ms < 2 * SECOND_MS else ms


def write_ms(guest, paths=ALL, before=":", timeout=60):
    """The same, as measured."""
    quoted = " ".join(shlex.quote(path) for path in paths)
    job = guest.run(f"{before}\nexec qa-write -t {timeout} -- {quoted}", timeout=timeout + 60, check=False)
    lines = [line.split("\t") for line in job.stdout.splitlines()]
    assert [line[0] for line in lines] == ["done"] * len(paths), job.stdout + job.stderr
    return max(float(line[1]) for line in lines)


def start_limit_ms(guest, agent):
    """The promised second for what begins with the start of a program, on a machine that is busy with other work at
    this moment: it is the start that takes longer then."""
    return SECOND_MS + 8 * max(guest.run([agent.path, "-V"]).ms for _ in range(3))


def told(agent, words="did not hold"):
    """The thaw is an error with @words, not once only. Returns its text."""
    for _ in range(2):
        with pytest.raises(AgentError) as error:
            agent.thaw()
        assert words in error.value.desc and "the snapshot may be inconsistent" in error.value.desc
    return error.value.desc


def holds(guest, agent, paths=ALL):
    """A freeze works, and nothing of what was before spoils it."""
    # An earlier agent's freezer may still be on its way out.
    guest.wait_for(lambda: agent.call("snapfreeze-status")["state"] in ("thawed", "expired"))
    freeze_all(guest, agent, paths)
    answer = ask(agent, "snapfreeze-thaw")
    assert answer["consistent"] is True, answer
    assert writable_ms(guest, paths) < 10 * SECOND_MS
    assert agent.thaw() == 0
    return True


def kill_both(guest, agent, paths=ALL):
    """Kills agent and freezer at one moment: stopped, so that neither learns of the other's death."""
    both = f"{agent.freezer_pid} {agent.pid}"
    guest.run(f"kill -STOP {both}; kill -9 {both}")
    agent.job.wait(60)
    agent.port.close()
    assert guest.blocked(paths, timeout=1) == list(paths), "a freeze belongs to no process"


def is_gone(guest, pid):
    """Whether a process is gone, or only waits to be reaped."""
    return guest.sh(f"cut -d' ' -f3 /proc/{pid}/stat 2>/dev/null; :") in ("", "Z", "X")


@contextlib.contextmanager
def suspended(guest, name="linear"):
    """A device-mapper device takes no I/O; its filesystem is not frozen."""
    guest.run(["dmsetup", "suspend", "--nolockfs", "--noudevsync", name])
    try:
        yield
    finally:
        resume(guest, name)


def resume(guest, name="linear"):
    guest.run(["dmsetup", "resume", "--noudevsync", name])


@contextlib.contextmanager
def foreign(guest, *paths):
    """Filesystems frozen by another process."""
    guest.run(["qa-freeze", "freeze", *paths])
    try:
        yield
    finally:
        guest.run(["qa-freeze", "thaw", *paths])


def state(port):
    """Of the agent, as snapfreeze-status names it, on a port of one's own."""
    return port.call("snapfreeze-status", 120)["state"]


def end_freezer_of(guest, agent):
    """Waits for the end of a freezer whose agent is gone."""
    guest.wait_for(lambda: not guest.sh("pidof snapfreeze-freezer; :"), what="the freezer's end")


def order(agent):
    """In freezing order, what no other filesystem lies on: freezing that under another's feet hangs the guest."""
    holders = {holder for _, holder in disks.EDGES}
    plan = agent.call("snapfreeze-plan")["filesystems"]
    return [entry["mountpoint"] for entry in plan if entry["fstype"] != "vfat" and entry["mountpoint"] not in holders]


def others(path):
    return [other for other in ALL if other != path]


@contextlib.contextmanager
def suspended_while_freezing(guest, port, other, first, name="linear"):
    """Begins a freeze whose stage is held by @first, frozen by another, until a device takes no I/O any more."""
    with foreign(guest, first):
        port.send(FREEZE)
        guest.wait_for(lambda: state(other) == "freezing", interval=0.01)
        guest.run(["dmsetup", "suspend", "--nolockfs", "--noudevsync", name])
    try:
        yield
    finally:
        resume(guest, name)
