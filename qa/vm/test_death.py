# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whoever dies or hangs while something is frozen, it is thawed, and the host is told."""

import signal

import pytest

import kill_times
from agents import TEST_CHANNEL
from holding import (ALL, FREEZE, SECOND_MS, end_freezer_of, freeze_all, holds, is_gone, kill_both, order, others,
                     start_limit_ms, suspended, suspended_while_freezing, told, writable_ms)
from ports import AgentError


def pid_of(agent, victim):
    return agent.pid if victim == "agent" else agent.freezer_pid


def restart(guest, agent):
    """A new agent, once the old one is gone."""
    agent.job.wait(60)
    agent.restart()


# ---- killed

@pytest.mark.parametrize("signo", [signal.SIGKILL, signal.SIGSEGV])
def test_agent_killed_while_frozen_thaws(guest, agent, signo):
    freeze_all(guest, agent)
    ms = writable_ms(guest, before=f"kill -{int(signo)} {agent.pid}")
    assert ms < SECOND_MS
    agent.port.close()
    restart(guest, agent)
    told(agent, "the agent died")
    agent.stop()
    agent.restart()
    told(agent, "the agent died")
    assert holds(guest, agent)


def test_the_agent_killed_each_filesystem_is_thawed_once_and_the_freezer_ends(guest, trace, agent):
    """The socket's end and the signal both tell the freezer; a second thaw could undo what is another's by then."""
    for _ in range(3):
        freeze_all(guest, agent)
        trace.clear()
        guest.run(["kill", "-9", str(agent.pid)])
        agent.job.wait(60)
        end_freezer_of(guest, agent)
        asked = guest.sh("grep -c ': thaw: ' /sys/kernel/tracing/trace")
        assert int(asked) == len(ALL)
        agent.restart()
        told(agent, "the agent died")


@pytest.mark.parametrize("signo", [signal.SIGKILL, signal.SIGSEGV])
def test_freezer_killed_while_frozen_thaws(guest, agent, signo):
    freeze_all(guest, agent)
    ms = writable_ms(guest, before=f"kill -{int(signo)} {agent.freezer_pid}")
    assert ms < SECOND_MS
    guest.wait_for(lambda: agent.status() == "thawed")
    told(agent, "the freezer died or hung")
    assert holds(guest, agent)
    freeze_all(guest, agent)
    guest.run(["kill", "-9", str(agent.freezer_pid)])
    guest.wait_for(lambda: agent.status() == "thawed")
    agent.stop()
    agent.restart()
    told(agent, "the freezer died or hung")


def test_both_killed_while_frozen_the_next_start_thaws(guest, agent):
    freeze_all(guest, agent)
    kill_both(guest, agent)
    writers = guest.spawn(["qa-write", "-t", "60", "--", *ALL])
    limit = start_limit_ms(guest, agent)
    agent.restart(wait=False)
    writers.wait(120)
    assert writers.stdout.count("done") == len(ALL), writers.stdout
    started_ms = 10 * int(guest.sh(f"cut -d' ' -f22 /proc/{agent.pid}/stat"))
    assert writers.end_ns / 1e6 - started_ms < max(limit, start_limit_ms(guest, agent))
    agent.wait_answer()
    told(agent, "agent and freezer died")
    assert holds(guest, agent)


def test_both_killed_while_frozen_recover_thaws(guest, agent):
    freeze_all(guest, agent)
    kill_both(guest, agent)
    limit = start_limit_ms(guest, agent)
    job = guest.run([agent.path, "--recover"])
    assert f"{len(ALL)} filesystems" in job.stderr
    assert job.ms < max(limit, start_limit_ms(guest, agent))
    assert writable_ms(guest) < SECOND_MS
    assert guest.run([agent.path, "--recover"]).stderr == "", "a second time there is nothing to do"
    agent.restart()
    told(agent, "agent and freezer died")
    assert holds(guest, agent)


def test_time_from_a_kill_to_writable(guest, agent):
    """The short form of kill_times.py."""
    times = kill_times.measure(guest, agent, 3, writable_ms)
    assert max(times) < SECOND_MS, times


# ---- hung

def test_agent_stopped_while_frozen_is_thawed_by_the_heartbeats_end(guest, agent):
    freeze_all(guest, agent)
    pid = agent.pid
    try:
        ms = writable_ms(guest, before=f"kill -STOP {pid}")
        # The last beat may be a second old.
        assert 8 * SECOND_MS < ms < 11 * SECOND_MS
    finally:
        guest.run(["kill", "-CONT", str(pid)])
    told(agent, "the agent hung")
    assert holds(guest, agent)


def test_freezer_stopped_while_frozen_is_thawed_by_the_rescue(guest, agent):
    freeze_all(guest, agent)
    pid = agent.freezer_pid
    ms = writable_ms(guest, before=f"kill -STOP {pid}")
    assert ms < 3 * SECOND_MS
    assert is_gone(guest, pid), "it must never thaw again"
    told(agent, "the freezer died or hung")
    assert holds(guest, agent)


# ---- told to stop

@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_stop_while_frozen_it_thaws_and_ends_well(guest, agent, signo):
    freeze_all(guest, agent)
    ms = writable_ms(guest, before=f"kill -{int(signo)} {agent.pid}")
    assert ms < SECOND_MS
    assert agent.job.wait(60).returncode == 0
    end_freezer_of(guest, agent)
    agent.restart()
    told(agent, "the agent was stopped")
    assert holds(guest, agent)


# ---- killed on the way

def begin_flush_that_hangs(guest, agent):
    """With /mnt/linear suspended: returns once its flush hangs."""
    agent.port.send(FREEZE)
    guest.wait_for("grep -q 'State:.*D' /proc/$(pidof snapfreeze-freezer)/task/*/status", what="the flush")


@pytest.mark.agent(config=TEST_CHANNEL)
def test_agent_killed_during_the_flush_leaves_nothing_frozen(guest, agent):
    with suspended(guest):
        begin_flush_that_hangs(guest, agent)
        assert writable_ms(guest, others("/mnt/linear"), f"kill -9 {agent.pid}") < SECOND_MS
        agent.job.wait(60)
        agent.restart(wait=True)
        assert agent.status() == "thawed"
        with pytest.raises(AgentError, match="earlier agent"):
            agent.freeze()
    guest.wait_for(lambda: agent.call("snapfreeze-status")["state"] in ("thawed", "expired"))
    assert writable_ms(guest) < SECOND_MS
    assert holds(guest, agent)


@pytest.mark.agent(config=TEST_CHANNEL)
def test_freezer_killed_during_the_flush_is_told_and_leaves_nothing_frozen(guest, agent):
    with suspended(guest):
        begin_flush_that_hangs(guest, agent)
        assert writable_ms(guest, others("/mnt/linear"), f"kill -9 {agent.freezer_pid}") < SECOND_MS
        # Its thread in the kernel cannot die before the disk answers, but the host must hear.
        reply = agent.port.read_reply(30)
        assert "freezer is gone" in reply["error"]["desc"], reply
        assert agent.status() == "thawed"
        with pytest.raises(AgentError):
            agent.freeze()
    guest.wait_for(lambda: agent.call("snapfreeze-status")["state"] in ("thawed", "expired"))
    assert writable_ms(guest) < SECOND_MS
    assert holds(guest, agent)


@pytest.mark.agent(config="[freeze]\nfreeze-parallel=1\n" + TEST_CHANNEL)
@pytest.mark.parametrize("victim", ["agent", "freezer", "both"])
def test_killed_in_the_middle_of_freezing_thaws(guest, agent, victim):
    with guest.agent_port("test") as other:
        other.sync(60)
        first = order(agent)[0]
        pids = {"agent": agent.pid, "freezer": agent.freezer_pid, "both": f"{agent.freezer_pid} {agent.pid}"}[victim]
        victims = f"kill -STOP {pids}; kill -9 {pids}"
        with suspended_while_freezing(guest, agent.port, other, first):
            # Some are frozen by now, /mnt/linear is being frozen, and some will never be.
            guest.wait_for(lambda: in_state(other, "freezing") == ["/mnt/linear"])
            assert in_state(other, "frozen")
            if victim == "both":
                guest.run(victims)
                agent.job.wait(60)
                agent.restart(wait=False)
                assert writable_ms(guest, others("/mnt/linear")) < 4 * SECOND_MS
            else:
                assert writable_ms(guest, others("/mnt/linear"), victims) < (1 if victim == "agent" else 3) * SECOND_MS
            if victim == "freezer":
                reply = agent.port.read_reply(60)
                assert "freezer is gone" in reply["error"]["desc"], reply
            else:
                if victim == "agent":
                    agent.job.wait(60)
                    agent.restart(wait=False)
                agent.wait_answer()
            assert agent.status() == "frozen", "/mnt/linear is, or will be"
            with pytest.raises(AgentError):
                agent.freeze()
        guest.wait_for(lambda: agent.status() == "thawed")
        assert writable_ms(guest) < SECOND_MS
        assert holds(guest, agent)


def in_state(port, name):
    return [entry["mountpoint"] for entry in port.call("snapfreeze-status", 120).get("filesystems", [])
            if entry["state"] == name]


# ---- what makes a death harmless

def status_field(guest, pid, name):
    return guest.sh(f"sed -n 's/^{name}:[[:space:]]*//p' /proc/{pid}/status")


def test_the_freezer_is_locked_in_memory_and_never_picked_when_it_runs_out(guest, agent):
    locked = int(status_field(guest, agent.freezer_pid, "VmLck").split()[0])
    resident = int(status_field(guest, agent.freezer_pid, "VmRSS").split()[0])
    assert locked > 0 and locked >= resident - 16, "all but what the kernel maps itself"
    assert guest.sh(f"cat /proc/{agent.freezer_pid}/oom_score_adj") == "-1000"
    freeze_all(guest, agent)
    assert int(status_field(guest, agent.freezer_pid, "VmLck").split()[0]) > locked, "the threads' stacks too"
    agent.thaw()


@pytest.mark.parametrize("victim", ["agent", "freezer"])
def test_none_of_both_dumps_core_while_frozen(guest, agent, victim):
    pattern = guest.sh("cat /proc/sys/kernel/core_pattern")
    guest.run("echo /run/core.%p >/proc/sys/kernel/core_pattern")
    try:
        freeze_all(guest, agent)
        pid = pid_of(agent, victim)
        guest.run(["prlimit", f"--pid={pid}", "--core=unlimited"])
        guest.run(["kill", "-SEGV", str(pid)])
        guest.wait_for(lambda: is_gone(guest, pid))
        assert guest.sh(f"ls /run/core.{pid} 2>&1; :").endswith("No such file or directory")
        if victim == "agent":
            restart(guest, agent)
        else:
            guest.wait_for(lambda: agent.status() == "thawed")
        assert holds(guest, agent)
        # Afterwards it may: else the check above proves nothing.
        pid = pid_of(agent, victim)
        guest.run(["prlimit", f"--pid={pid}", "--core=unlimited"])
        guest.run(["kill", "-SEGV", str(pid)])
        guest.wait_for(f"test -s /run/core.{pid}")
        guest.wait_for(lambda: is_gone(guest, pid))
    finally:
        guest.run(f"echo '{pattern}' >/proc/sys/kernel/core_pattern; rm -f /run/core.*")
    if victim == "agent":
        restart(guest, agent)
    assert holds(guest, agent)


# ---- idle

def test_both_together_are_small(guest, agent):
    agent.port.sync()
    pss = {victim: int(guest.sh(f"sed -n 's/^Pss: *\\([0-9]*\\) kB/\\1/p' /proc/{pid_of(agent, victim)}/smaps_rollup"))
           for victim in ("agent", "freezer")}
    print("PSS, idle, kB:", pss)
    assert sum(pss.values()) < 8192


def test_idle_and_closed_they_sleep(guest, agent):
    agent.port.close()
    both = f"{agent.pid} {agent.freezer_pid}"
    count = f"for pid in {both}; do cat /proc/$pid/task/*/status; done | grep voluntary_ctxt"
    # The hang-up itself is an event.
    guest.wait_for(lambda: guest.sh(f"{count}; sleep 1; echo; {count}").partition("\n\n")[::2], what="idleness")
    before = guest.sh(count)
    guest.run("sleep 10")
    assert guest.sh(count) == before
