# SPDX-License-Identifier: LGPL-2.1-or-later
"""This agent in qemu-ga's place: what qemu-ga froze, and cannot thaw any more, is thawed and the host is told."""

import signal

import pytest

import disks
from agents import CONF, SOCKET, SOCKET_CHANNEL, QemuGa
from guest_socket import GuestSocket
from holding import ALL, SECOND_MS, ask, freeze_all, holds, told, writable_ms
from ports import AgentError

NOTE = "/run/qga.state.isfrozen"
SOME = ["/mnt/ext4-a", "/mnt/xfs", "/mnt/loop", "/mnt/linear"]
OURS = ["/mnt/covered", "/mnt/grün-日本"]
LEFT = "qemu-ga has ended with the guest frozen"
# A start, which reads the mount table and opens all: no promise, but on a busy machine.
LOADED_MS = 10 * SECOND_MS
OTHER_SOCKET = ["-m", "unix-listen", "-p", "/run/qa-other.sock", "-t", "/run/qa-other"]


def freeze(qemu_ga, *paths):
    """Freezes these (or all) through qemu-ga."""
    if paths:
        qemu_ga.call("guest-fsfreeze-freeze-list", mountpoints=list(paths))
    else:
        qemu_ga.freeze()
    assert qemu_ga.guest.run(["test", "-e", NOTE], check=False).returncode == 0


def end(qemu_ga):
    """As a service manager does: while it has frozen, qemu-ga takes no notice of SIGTERM."""
    qemu_ga.signal(signal.SIGKILL)
    qemu_ga.job.wait(60)
    qemu_ga.port.close()


@pytest.fixture
def frozen(guest, make_agent):
    """The shared guest, with SOME frozen by a qemu-ga."""
    qemu_ga = QemuGa(guest).start()
    freeze(qemu_ga, *SOME)
    assert guest.blocked(SOME, timeout=1) == SOME
    return qemu_ga


def is_noted(guest):
    return guest.run(["test", "-e", NOTE], check=False).returncode == 0


def test_what_qemu_ga_left_frozen_is_thawed_at_the_start(guest, frozen, make_agent):
    end(frozen)
    assert guest.blocked(SOME, timeout=1) == SOME, "qemu-ga does not thaw when it ends"
    agent = make_agent(guest).start()
    assert writable_ms(guest) < LOADED_MS
    agent.job.wait_output(f"{len(SOME)} filesystems that an earlier agent had left frozen were thawed")
    assert LEFT in agent.job.stderr
    guest.wait_for(lambda: not is_noted(guest))
    assert "qemu-ga had frozen it" in told(agent)
    assert holds(guest, agent)


@pytest.mark.parametrize("first", ["start", "--recover"])
def test_what_an_agent_and_a_qemu_ga_left_frozen_is_thawed_at_one_start_and_both_are_named(guest, frozen, make_agent, first):
    # Beside a qemu-ga that runs: on a socket, and with the record of all our agents.
    config = "[general]\nmethod=unix-listen\npath=/run/qa-other.sock\n" + SOCKET_CHANNEL
    guest.push(config.encode(), CONF)
    agent = make_agent(guest)
    ours = guest.spawn([agent.path, "-c", CONF])
    guest.wait_for(["test", "-S", SOCKET])
    guest.run([agent.client, "--socket", SOCKET, "freeze", *OURS])
    assert guest.blocked([*SOME, *OURS], timeout=1) == [*SOME, *OURS]
    both = f"{agent.freezer_pid} {ours.pid}"
    guest.run(f"kill -STOP {both}; kill -9 {both}")
    end(frozen)
    assert guest.blocked([*SOME, *OURS], timeout=1) == [*SOME, *OURS]
    log = guest.run([agent.path, "--recover"]).stderr if first == "--recover" else ""
    agent.start(config=SOCKET_CHANNEL)
    assert writable_ms(guest) < LOADED_MS
    guest.wait_for(lambda: not is_noted(guest))
    if not log:
        agent.job.wait_output(f"{len(SOME) + len(OURS)} filesystems that an earlier agent had left frozen were thawed")
        log = agent.job.stderr
    for line in (f"an earlier agent has left {len(OURS)} filesystems frozen", LEFT,
                 f"{len(SOME) + len(OURS)} filesystems that an"):
        assert log.count(line) == 1, log
    # Of both is told who asked for either.
    reasons = "agent and freezer died; qemu-ga had frozen it"
    assert reasons in told(agent)
    with GuestSocket(guest, "unix", SOCKET) as local, pytest.raises(AgentError, match=reasons):
        local.call("guest-fsfreeze-thaw")
    assert holds(guest, agent)
    guest.run(f"rm {CONF}")


def test_recover_thaws_what_qemu_ga_left_frozen(guest, frozen, make_agent):
    agent = make_agent(guest)
    end(frozen)
    assert LEFT in guest.run([agent.path, "--recover"]).stderr
    assert writable_ms(guest) < LOADED_MS
    guest.wait_for(lambda: not is_noted(guest))
    told(agent.start())


def test_with_root_frozen_by_qemu_ga_and_the_log_on_it(root_guest, make_agent):
    paths = list(disks.ROOT_PLANNED)
    root_guest.run("mkdir -p /var/log")
    qemu_ga = QemuGa(root_guest).start()
    freeze(qemu_ga)
    end(qemu_ga)
    assert root_guest.blocked(paths, timeout=1) == paths
    agent = make_agent(root_guest).start("-l", "/var/log/qa-replace.log")
    assert writable_ms(root_guest, paths) < LOADED_MS
    told(agent)
    agent.stop()
    root_guest.run("rm /var/log/qa-replace.log")


def test_a_qemu_ga_that_runs_keeps_its_freeze_until_it_ends(guest, frozen, make_agent):
    agent = make_agent(guest)
    assert "is left to that" in guest.run([agent.path, "--recover"]).stderr
    job = guest.spawn([agent.path, *OTHER_SOCKET])
    guest.wait_for("test -S /run/qa-other.sock")
    job.wait_output("is left to that")
    assert guest.blocked(SOME, timeout=1) == SOME and is_noted(guest)
    frozen.signal(signal.SIGKILL)
    assert writable_ms(guest) < LOADED_MS
    guest.wait_for(lambda: not is_noted(guest))
    job.kill(signal.SIGTERM)
    assert job.wait().returncode == 0


def test_what_qemu_ga_thawed_itself_is_of_no_concern(guest, frozen, make_agent):
    assert frozen.thaw() >= len(SOME)
    frozen.stop()
    agent = make_agent(guest).start()
    assert agent.job.stderr == "" and agent.status() == "thawed"


def test_qemu_gas_hook_is_told_to_thaw(guest, frozen, make_agent):
    guest.push(b"#!/bin/sh\necho $1 >>/run/qa-hook.log\n", "/run/qa-hook")
    end(frozen)
    agent = make_agent(guest).start("-F/run/qa-hook")
    guest.wait_for("test -e /run/qa-hook.log")
    assert guest.sh("cat /run/qa-hook.log") == "thaw"
    guest.run("rm /run/qa-hook*")
    assert writable_ms(guest) < LOADED_MS
    told(agent)


def test_a_rehearsal_takes_nothing_over(guest, frozen, make_agent):
    end(frozen)
    agent = make_agent(guest)
    guest.run([agent.path, "--rehearse", "--recover"])
    assert guest.blocked(SOME, timeout=1) == SOME and is_noted(guest)
    guest.run([agent.path, "--recover"])
    assert writable_ms(guest) < LOADED_MS


def test_what_is_frozen_can_be_asked_for_without_a_channel(guest, agent):
    freeze_all(guest, agent)
    assert set(guest.run([agent.path, "--frozen"]).stdout.splitlines()) == set(ALL)
    assert ask(agent, "snapfreeze-thaw")["consistent"] is True
    assert guest.run([agent.path, "--frozen"]).stdout == ""
