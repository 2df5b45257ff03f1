# SPDX-License-Identifier: LGPL-2.1-or-later
"""A freeze that fails is rolled back: nobody waits for it, and its error names the filesystem."""

import time

import pytest

from agents import TEST_CHANNEL
from holding import (ALL, FREEZE, SECOND_MS, foreign, freeze_all, holds, order, others, resume, state, suspended,
                     suspended_while_freezing, writable_ms)
from ports import AgentError

@pytest.mark.parametrize("position", ["first", "middle", "last"])
def test_one_frozen_by_another_process_rolls_back_all(guest, agent, position):
    paths = order(agent)
    path = paths[{"first": 0, "middle": len(paths) // 2, "last": -1}[position]]
    with foreign(guest, path):
        with pytest.raises(AgentError) as error:
            agent.freeze()
        assert writable_ms(guest, others(path)) < SECOND_MS
        assert f"'{path}'" in error.value.desc and "frozen already" in error.value.desc
        assert agent.status() == "thawed"
        assert agent.thaw() == 0, "a failed freeze leaves nothing to complain about"
        assert guest.blocked([path], timeout=1) == [path], "the other process's freeze is not ours to undo"
    assert holds(guest, agent)


@pytest.mark.agent(config=TEST_CHANNEL)
def test_a_short_foreign_freeze_is_waited_for(guest, agent):
    """As the kernel's own is, while LVM takes a snapshot."""
    path = order(agent)[-1]
    with guest.agent_port("test") as other:
        other.sync(60)
        with foreign(guest, path):
            agent.port.send(FREEZE)
            guest.wait_for(lambda: state(other) == "freezing", interval=0.01)
        assert agent.port.read_reply(120) == {"return": len(ALL)}
    assert agent.thaw() == len(ALL)


@pytest.fixture
def breakable(guest):
    """An ext4 of one's own at /mnt/breakable, whose device can be made to fail: dm over a loop in memory."""
    guest.run("""set -e
        mkdir -p /mnt/breakable
        truncate -s 32M /run/breakable
        losetup /dev/loop7 /run/breakable
        echo 0 65536 linear /dev/loop7 0 | dmsetup --noudevsync create breakable
        [ -e /dev/mapper/breakable ] || dmsetup mknodes
        /sbin/mke2fs -q -F -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/breakable
        mount -t ext4 /dev/mapper/breakable /mnt/breakable""")
    yield "/mnt/breakable"
    guest.run("""umount /mnt/breakable
        dmsetup remove --noudevsync --retry breakable
        losetup -d /dev/loop7
        rm /run/breakable
        rmdir /mnt/breakable""")


def break_device(guest):
    guest.run("""set -e
        dmsetup suspend --nolockfs --noflush --noudevsync breakable
        echo 0 65536 error | dmsetup load breakable
        dmsetup resume --noudevsync breakable""")


def test_an_io_error_in_the_flush_is_named_and_freezes_nothing(guest, breakable, agent):
    guest.run(f"dd if=/dev/zero of={breakable}/dirty bs=1M count=4")
    break_device(guest)
    with pytest.raises(AgentError) as error:
        agent.freeze()
    assert writable_ms(guest) < SECOND_MS
    assert f"failed to flush '{breakable}'" in error.value.desc and "Input/output error" in error.value.desc
    assert agent.status() == "thawed" and agent.thaw() == 0


@pytest.mark.agent(config="[freeze]\nfreeze-parallel=1\n" + TEST_CHANNEL)
def test_an_io_error_in_the_freeze_rolls_back_all(guest, breakable, agent):
    # Frozen by another first, so that the stage lasts until its device is broken.
    port = agent.port
    with guest.agent_port("test") as other:
        other.sync(60)
        guest.run(["qa-freeze", "freeze", breakable])
        try:
            port.send(FREEZE)
            guest.wait_for(lambda: state(other) == "freezing")
            break_device(guest)
        finally:
            guest.run(["qa-freeze", "thaw", breakable], check=False)
        reply = port.read_reply(120)
    assert writable_ms(guest) < SECOND_MS
    print(reply)
    assert f"failed to freeze '{breakable}'" in reply["error"]["desc"], reply
    assert agent.status() == "thawed"


@pytest.mark.agent(config="[freeze]\nflush-timeout=2\n" + TEST_CHANNEL)
def test_a_flush_that_hangs_ends_in_time_and_is_named(guest, agent):
    with guest.agent_port("test") as other, suspended(guest):
        other.sync(60)
        begun = time.monotonic()
        with pytest.raises(AgentError, match="'/mnt/linear' did not flush within 2 s"):
            agent.freeze()
        assert time.monotonic() - begun < 20
        assert writable_ms(guest, others("/mnt/linear")) < SECOND_MS
        assert state(other) == "draining" and agent.status() == "thawed", "nothing was frozen"
        with pytest.raises(AgentError, match="draining.*'/mnt/linear'"):
            agent.freeze()
        resume(guest)
        guest.wait_for(lambda: state(other) == "thawed")
        assert holds(guest, agent)


@pytest.mark.agent(config="[freeze]\nfreeze-parallel=1\nfreeze-timeout=4\n" + TEST_CHANNEL)
def test_a_freeze_that_hangs_ends_in_time_and_is_named(guest, agent):
    paths = order(agent)
    first = paths[0]
    assert first != "/mnt/linear"
    port = agent.port
    with guest.agent_port("test") as other:
        other.sync(60)
        with suspended_while_freezing(guest, port, other, first):
            reply = port.read_reply(120)
            assert "'/mnt/linear' did not freeze within 4 s" in reply["error"]["desc"], reply
            assert writable_ms(guest, others("/mnt/linear")) < SECOND_MS
            assert state(other) == "draining" and agent.status() == "frozen"
            with pytest.raises(AgentError, match="CommandNotFound.*frozen state"):
                agent.freeze()
            with pytest.raises(AgentError, match="'/mnt/linear'"):
                agent.thaw()
            report = agent.call("snapfreeze-status")
            states = {entry["mountpoint"]: entry["state"] for entry in report["filesystems"]}
            assert states.pop("/mnt/linear") == "freezing" and "frozen" not in states.values(), states
        guest.wait_for(lambda: state(other) == "thawed")
        assert writable_ms(guest) < SECOND_MS
        assert holds(guest, agent)


def test_a_thaw_that_hangs_is_answered_and_named(guest, agent):
    freeze_all(guest, agent)
    with suspended(guest):
        with pytest.raises(AgentError, match="'/mnt/linear' is not thawed yet"):
            agent.thaw(120)
        assert writable_ms(guest, others("/mnt/linear")) < SECOND_MS
        assert agent.status() == "frozen" and state(agent.port) == "draining"
        with pytest.raises(AgentError, match="'/mnt/linear'"):
            agent.thaw(120)
    guest.wait_for(lambda: agent.status() == "thawed")
    assert writable_ms(guest) < SECOND_MS
    assert agent.call("snapfreeze-status")["last"]["consistent"] is True, "it stayed frozen until the thaw"
    assert holds(guest, agent)


# ---- given up

@pytest.mark.agent(config=TEST_CHANNEL)
def test_of_a_freeze_that_another_channels_thaw_ended_nobody_complains_later(guest, agent):
    first = order(agent)[0]
    with guest.agent_port("test") as other, foreign(guest, first):
        other.sync(60)
        agent.port.send(FREEZE)
        guest.wait_for(lambda: state(other) == "freezing", interval=0.01)
        other.raw_call("guest-fsfreeze-thaw")  # an error while the freeze that is held up has not returned
        assert "asked for a thaw" in agent.port.read_reply(120)["error"]["desc"]
        guest.wait_for(lambda: state(other) == "thawed")
    assert agent.thaw() == 0
    agent.stop()
    agent.restart()
    assert agent.thaw() == 0


def test_a_freeze_with_a_sync_behind_it_is_given_up(guest, agent):
    agent.port.send('{"execute":"guest-fsfreeze-freeze"}{"execute":"guest-sync","arguments":{"id":7}}')
    reply = agent.port.read_reply(120)
    assert "given up" in reply["error"]["desc"], reply
    assert agent.port.read_reply(120) == {"return": 7}
    assert agent.status() == "thawed"
    assert writable_ms(guest) < SECOND_MS
    assert holds(guest, agent)


@pytest.mark.parametrize("behind", ['{"execute":"guest-sync","arguments":{"id":7}}',
                                    '{"execute":"guest-sync-delimited","arguments":{"id":7}}'])
def test_a_sync_during_the_flush_gives_the_freeze_up(guest, agent, behind):
    with suspended(guest):
        agent.port.send(FREEZE)
        guest.wait_for("grep -q syncfs /proc/$(pidof snapfreeze-freezer)/task/*/wchan || "
                       "grep -q 'State:.*D' /proc/$(pidof snapfreeze-freezer)/task/*/status", what="the flush")
        agent.port.send(behind)
        reply = agent.port.read_reply(120)
        assert "given up" in reply["error"]["desc"], reply
        assert b'"return": 7' in agent.port.read_line(120)
        assert agent.status() == "thawed"
        assert writable_ms(guest, others("/mnt/linear")) < SECOND_MS
    assert guest.wait_for(lambda: agent.call("snapfreeze-status")["state"] == "thawed")
    assert holds(guest, agent)
