# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hooks are let go whatever goes wrong: a thaw in between, a stop, a hook that ends, a disk that hangs, a death."""

import shlex

import pytest

from agents import TEST_CHANNEL
from holding import (ALL, FREEZE, SECOND_MS, ask, end_freezer_of, freeze_all, holds, kill_both, order, state,
                     suspended, suspended_while_freezing, told, writable_ms)
from hook_scripts import BACK, CONFIG, FOLDER, HELD, QUIET_A, QUIET_B, SAID, SAY, hooked, on_two_channels, thawed
from ports import AgentError


@pytest.mark.agent(config="[hooks]\ndirectory=/run/qa-fuse/hooks.d\n" + TEST_CHANNEL)
def test_a_folder_that_does_not_answer_fails_the_freeze_and_holds_up_nobody(guest, agent):
    guest.run("modprobe fuse; mkdir -p /run/qa-fuse")
    server = guest.spawn(["qa-fuse", "/run/qa-fuse"])
    try:
        server.wait_output("mounted")
        agent.port.send(FREEZE)
        with guest.agent_port("test") as other:
            other.sync(60)
            guest.wait_for(lambda: state(other) == "preparing")
            assert other.call("guest-ping") == {}
            assert state(other) == "preparing", "this proves nothing"
        reply = agent.port.read_reply(60)
        assert "the hooks in '/run/qa-fuse/hooks.d' were not listed within 10 s" in reply["error"]["desc"], reply
    finally:
        server.kill()
        server.wait(30)
        guest.run("umount -l /run/qa-fuse; rmdir /run/qa-fuse")
    assert agent.freeze() == len(ALL)
    agent.thaw()


def slow_freeze():
    return SAY + f"test $1 = thaw || {{ touch {SAID}.slow; sleep 1000; }}\n"


@on_two_channels
def test_a_thaw_from_another_channel_ends_them(guest, two, agent):
    """And status says, all the while, that nothing is frozen."""
    two.add("15-slow", slow_freeze())
    with guest.agent_port("test") as other:
        other.sync(60)
        agent.port.send(FREEZE)
        two.wait(QUIET_A, "15-slow freeze")
        assert other.call("guest-fsfreeze-status") == "thawed" and state(other) == "preparing"
        assert other.call("guest-fsfreeze-thaw") == 0
    assert two.said() == [QUIET_A, "15-slow freeze", "15-slow thaw", "10-a thaw"]
    assert "asked for a thaw" in agent.port.read_reply(60)["error"]["desc"]


@hooked
def test_told_to_stop_while_they_run_it_undoes_them_and_ends_well(guest, two, agent):
    two.add("15-slow", slow_freeze())
    agent.port.send(FREEZE)
    two.wait(QUIET_A, "15-slow freeze")
    assert agent.stop() == 0
    assert two.said() == [QUIET_A, "15-slow freeze", "15-slow thaw", "10-a thaw"]


@hooked
def test_told_to_stop_while_frozen_it_lets_them_go(guest, two, agent):
    two.add("30-db.session", HELD)
    freeze_all(guest, agent)
    assert agent.stop() == 0
    assert two.said() == [QUIET_A, QUIET_B, "30-db.session session", "heard thaw", "eof", *BACK]


@hooked
def test_a_session_that_ends_before_all_is_frozen_fails_the_freeze(guest, two, agent):
    two.add("05-db.session", SAY + f"echo frozen; while ! test -e {SAID}.slow; do sleep 0.05; done; exit 4\n")
    two.add("15-slow", SAY + f"test $1 = thaw || {{ touch {SAID}.slow; sleep 1000; }}\n")
    with pytest.raises(AgentError, match="hook '05-db.session' no longer holds: exit status 4"):
        agent.freeze()
    guest.run(f"rm -f {SAID}.slow")
    assert two.said() == ["05-db.session session", QUIET_A, "15-slow freeze", "15-slow thaw", "10-a thaw"]
    assert agent.status() == "thawed" and agent.thaw() == 0


@on_two_channels
def test_a_session_that_ends_while_freezing_rolls_back(guest, hooks, agent):
    hooks.add("10-db.session", f"echo $$ > {SAID}.pid\n" + HELD)
    first = order(agent)[0]
    with guest.agent_port("test") as other:
        other.sync(60)
        with suspended_while_freezing(guest, agent.port, other, first):
            guest.run(f"kill -9 $(cat {SAID}.pid)")
            reply = agent.port.read_reply(120)
            assert "hook '10-db.session' no longer holds: was ended by signal 9" in reply["error"]["desc"], reply
        guest.wait_for(lambda: state(other) == "thawed")
    assert thawed(guest, agent)


@hooked
def test_a_session_that_ends_while_frozen_is_reported_and_no_more(guest, two, agent):
    two.add("30-db.session", f"echo $$ > {SAID}.pid\n" + HELD)
    freeze_all(guest, agent)
    guest.run(f"kill -9 $(cat {SAID}.pid)")
    answer = ask(agent, "snapfreeze-thaw")
    assert answer["consistent"] is True, answer
    assert answer["hooks"][0]["exit"] is None and "signal 9" in answer["hooks"][0]["error"], answer


@pytest.mark.agent(config=CONFIG + "[freeze]\nfreeze-parallel=1\nfreeze-timeout=4\n" + TEST_CHANNEL)
def test_while_a_filesystem_hangs_in_its_freeze_they_are_let_go(guest, two, agent):
    first = order(agent)[0]
    assert first != "/mnt/linear"
    with guest.agent_port("test") as other:
        other.sync(60)
        with suspended_while_freezing(guest, agent.port, other, first):
            assert "did not freeze within 4 s" in agent.port.read_reply(120)["error"]["desc"]
            assert two.said() == [QUIET_A, QUIET_B, *BACK]
            assert state(other) == "draining"
        guest.wait_for(lambda: state(other) == "thawed")
        assert holds(guest, agent)


@on_two_channels
def test_while_a_thaw_hangs_on_a_dead_disk_they_are_let_go(guest, two, agent):
    two.add("30-db.session", HELD)
    freeze_all(guest, agent)
    with suspended(guest):
        # The hang is in what the thaw writes; nothing else waits for it.
        agent.port.send({"execute": "guest-fsfreeze-thaw"})
        two.wait(QUIET_A, QUIET_B, "30-db.session session", "heard thaw", "eof", *BACK)
        with guest.agent_port("test") as other:
            other.sync(60)
            assert state(other) in ("thawing", "draining") and other.call("guest-fsfreeze-status") == "frozen"
    # The host is answered without the disk if that takes too long.
    reply = agent.port.read_reply(60)
    assert reply == {"return": len(ALL)} or "'/mnt/linear' is not thawed yet" in reply["error"]["desc"], reply
    assert thawed(guest, agent)


@hooked
def test_a_sync_behind_a_freeze_whose_hooks_run_gives_it_up(guest, two, agent):
    two.add("15-slow", slow_freeze())
    agent.port.send(FREEZE)
    two.wait(QUIET_A, "15-slow freeze")
    agent.port.send({"execute": "guest-sync", "arguments": {"id": 7}})
    assert "given up" in agent.port.read_reply(60)["error"]["desc"]
    assert agent.port.read_reply(60) == {"return": 7}
    two.wait(QUIET_A, "15-slow freeze", "15-slow thaw", "10-a thaw")
    assert agent.status() == "thawed"


# ---- deaths

@hooked
@pytest.mark.parametrize("how", ["restart", "recover"])
def test_the_agent_killed_while_frozen_the_next_one_tells_them_once(guest, two, agent, how):
    two.add("30-db.session", HELD)
    freeze_all(guest, agent)
    guest.run(["kill", "-9", str(agent.pid)])
    agent.job.wait(60)
    agent.port.close()
    # Our death is the session's end of file; "read" then leaves the word empty.
    two.wait(QUIET_A, QUIET_B, "30-db.session session", "heard ", "eof")
    assert writable_ms(guest) < 10 * SECOND_MS
    if how == "recover":
        end_freezer_of(guest, agent)
        guest.run([agent.path, "-c", "/run/agent.conf", "--recover"])
        assert two.said()[5:] == BACK
        guest.run([agent.path, "-c", "/run/agent.conf", "--recover"])
    agent.restart()
    two.wait(QUIET_A, QUIET_B, "30-db.session session", "heard ", "eof", *BACK)
    told(agent, "the agent died")
    assert thawed(guest, agent)
    assert two.said().count("10-a thaw") == 2, "once for each freeze"


@hooked
def test_both_killed_while_frozen_the_next_start_thaws_first_and_then_tells_them(guest, hooks, agent):
    path = shlex.quote(ALL[0])
    hooks.add("10-a", f'test $1 = freeze || touch {path}/qa-hook && echo "$1" >> {SAID}\n')
    freeze_all(guest, agent)
    kill_both(guest, agent)
    agent.restart()
    hooks.wait("freeze", "thaw")
    told(agent, "agent and freezer died")
    guest.run(f"rm {path}/qa-hook")


@hooked
def test_the_agent_killed_while_they_run_the_next_one_ends_and_tells_them(guest, two, agent):
    two.add("15-slow", SAY + f"test $1 = thaw || {{ echo $$ > {SAID}.pid; sleep 1000; }}\n")
    agent.port.send(FREEZE)
    guest.wait_for(f"test -s {SAID}.pid")
    guest.run(["kill", "-9", str(agent.pid)])
    agent.job.wait(60)
    agent.restart()
    two.wait(QUIET_A, "15-slow freeze", "15-slow thaw", "10-a thaw")
    assert guest.sh(f"cut -d' ' -f3 /proc/$(cat {SAID}.pid)/stat 2>/dev/null; :") in ("", "Z")
    guest.run(f"rm {FOLDER}/15-slow {SAID}.pid")
    assert agent.thaw() == 0
    assert thawed(guest, agent)


@hooked
def test_the_agent_killed_while_they_thaw_the_next_one_goes_on(guest, two, agent):
    two.add("15-slow", SAY + f"test $1 = freeze || test -e {SAID}.slow || {{ touch {SAID}.slow; sleep 1000; }}\n")
    freeze_all(guest, agent)
    agent.port.send({"execute": "guest-fsfreeze-thaw"})
    two.wait(QUIET_A, "15-slow freeze", QUIET_B, "20-b thaw", "15-slow thaw")
    guest.run(["kill", "-9", str(agent.pid)])
    agent.job.wait(60)
    agent.restart()
    # The one that was being told was not done: told again, and the first killed.
    two.wait(QUIET_A, "15-slow freeze", QUIET_B, "20-b thaw", "15-slow thaw", "15-slow thaw", "10-a thaw")
    guest.run(f"rm {SAID}.slow")


@hooked
def test_the_freezer_killed_while_frozen_lets_them_go(guest, two, agent):
    freeze_all(guest, agent)
    guest.run(["kill", "-9", str(agent.freezer_pid)])
    two.wait(QUIET_A, QUIET_B, *BACK)
    told(agent, "the freezer died or hung")


@hooked
def test_the_audit_line_counts_them(guest, two, agent):
    agent.freeze()
    agent.thaw()
    guest.wait_for(lambda: "hooks=2 outcome=consistent" in agent.job.stderr)
