#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands of `snapfreeze` against an agent that this script plays. Nothing is frozen anywhere."""

import contextlib
import json
import os
import pty
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import tap
from client_stage import (BROKEN, FROZEN, PLAN, THAWED, agent_of_ours, agent_of_qemu, command_line, environment, equal,
                          holds, snapfreeze)
from fake_agent import HANG_UP, NO_REPLY, PATIENCE, FakeAgent, Refusal

# Exit statuses and where to connect

def test_usage_errors_exit_2():
    for words in ([], ["melt"], ["status", "--nonsense"], ["status", "extra"], ["extend"],
                  ["extend", "5 parsecs"], ["--timeout", "never", "ping"], ["call"],
                  ["call", "guest-ping", "[1]"], ["call", "guest-ping", "{"],
                  ["call", "guest-ping", "{}", "more"], ["freeze", "--hold", "10s", "--lease", "1s"],
                  ["freeze", "--lease", "-3"], ["thaw", "--foreign", "/x", "--id", "1"]):
        with FakeAgent({"guest-ping": {}}) as agent:
            result = snapfreeze(agent, *words)
            equal(result.returncode, 2, words)
            holds(result.stderr, "snapfreeze: ", "--help")
            equal(agent.calls, [], words)


def test_no_connection_exits_3():
    result = snapfreeze(None, "--socket", "/nonexistent/agent.sock", "status")
    equal((result.returncode, result.stdout), (3, ""))


def test_no_answer_exits_3_after_timeout():
    with FakeAgent({}, silent=True) as agent:
        start = time.monotonic()
        result = snapfreeze(agent, "--timeout", "300ms", "ping")
        equal(result.returncode, 3, result.stderr)
        assert 0.3 <= time.monotonic() - start < 5
    with FakeAgent({"guest-ping": lambda _: NO_REPLY}) as agent:
        equal(snapfreeze(agent, "ping", "--timeout", "300ms").returncode, 3)
        equal(agent.commands(), ["guest-ping"])


def test_hang_up_exits_3():
    with FakeAgent({"guest-ping": lambda _: HANG_UP}) as agent:
        equal(snapfreeze(agent, "ping").returncode, 3)


def refuse(_):
    raise Refusal("no \x1b[31mway")


def test_refusal_exits_1():
    with FakeAgent({"snapfreeze-plan": refuse}) as agent:
        result = snapfreeze(agent, "plan")
        equal((result.returncode, result.stdout), (1, ""))
        holds(result.stderr, "GenericError: no ")
        assert "\x1b" not in result.stderr
        result = snapfreeze(agent, "plan", "--json")
        equal(result.returncode, 1)
        holds(json.loads(result.stdout)["error"]["desc"], "way")
        equal(json.loads(result.stdout)["error"]["class"], "GenericError")


def test_socket_from_environment_and_option():
    with FakeAgent({"guest-ping": {}}) as agent, FakeAgent({"guest-ping": {}}) as other:
        equal(snapfreeze(None, "ping", SNAPFREEZE_SOCKET=agent.path).returncode, 0)
        equal((agent.count("guest-ping"), other.count("guest-ping")), (1, 0))
        equal(snapfreeze(other, "ping", SNAPFREEZE_SOCKET=agent.path).returncode, 0)
        equal((agent.count("guest-ping"), other.count("guest-ping")), (1, 1))


# What reading commands print

def test_ping():
    with FakeAgent({"guest-ping": {}}) as agent:
        result = snapfreeze(agent, "ping")
        equal(result.returncode, 0)
        assert result.stdout.startswith("answered in ") and result.stdout.endswith("s\n")
        assert json.loads(snapfreeze(agent, "ping", "--json").stdout)["round-trip-us"] > 0


def test_info():
    info = {"version": "7.2", "supported_commands": [
        {"name": "guest-ping", "enabled": True, "success-response": True},
        {"name": "guest-shutdown", "enabled": False, "success-response": False}]}
    with FakeAgent({"guest-info": info}) as agent:
        lines = snapfreeze(agent, "info").stdout.splitlines()
        equal(lines[0], "Version 7.2")
        equal(lines[2].split(), ["guest-ping", "yes", "always"])
        equal(lines[3].split(), ["guest-shutdown", "no", "errors", "only"])
        equal(json.loads(snapfreeze(agent, "--json", "info").stdout), info)


def test_plan_draws_the_order():
    with FakeAgent({"snapfreeze-plan": PLAN}) as agent:
        result = snapfreeze(agent, "plan")
        equal(result.returncode, 0, result.stderr)
        lines = result.stdout.splitlines()
        rows = [line.split() for line in lines[2:6]]
        equal([row[0] for row in rows], ["1", "2", "3", "4"])
        holds(lines[2], "  ┌─ /img/inner ", "also at /also")
        holds(lines[3], "┌─┴─ /img ", "/dev/loop0  1")
        holds(lines[4], "│    /nbd\\x1b[2J ", "backing not shown")
        holds(lines[5], "└─── / ", "/dev/vda1   2")
        holds(result.stdout, "Left out:", "nas:/srv", "network filesystem", "\n1 that hold nothing",
              "Warning: /run is not on tmpfs")
        holds(result.stdout, "told before, in this order:", "10-db.session  /h/10-db.session  stays")
        assert "\x1b" not in result.stdout and "/proc" not in result.stdout
        holds(snapfreeze(agent, "plan", "--all").stdout, "/proc")
        equal(json.loads(snapfreeze(agent, "plan", "--json").stdout), PLAN)


def test_plan_passes_mount_points():
    with FakeAgent({"snapfreeze-plan": PLAN}) as agent:
        snapfreeze(agent, "plan", "/grün", "/a b")
        snapfreeze(agent, "plan")
        equal(agent.arguments("snapfreeze-plan"), [{"mountpoints": ["/grün", "/a b"]}, {}])
        equal(snapfreeze(agent, "plan", b"/\xff").returncode, 2)


def test_plan_without_utf8_is_ascii():
    with FakeAgent({"snapfreeze-plan": PLAN}) as agent:
        result = snapfreeze(agent, "plan", LC_ALL="C")
        holds(result.stdout, "  .- /img/inner", "`--- /")
        assert result.stdout.isascii()


def test_odd_replies_do_no_harm():
    oddities = [None, 7, "x", [], {}, {"filesystems": 3, "state": [], "warnings": [None, 5, {}]},
                {"filesystems": [None, 5, {}, {"mountpoint": 5, "after": [1, "gone"], "mountpoints": [None]}],
                 "left-out": [[], {"reason": 3}], "supported_commands": [1, {}], "last": {"reasons": [None]},
                 "frozen-ms": "1", "hooks": [{}, 2], "not-covered": [{}], "consistent": "yes"}]
    for odd in oddities:
        with FakeAgent({name: odd for name in ("snapfreeze-plan", "snapfreeze-status", "guest-info",
                                               "snapfreeze-freeze", "snapfreeze-thaw")}) as agent:
            for command in ("plan", "status", "info", "freeze", "thaw"):
                equal(snapfreeze(agent, command).returncode, 0, (command, odd))


def test_status():
    status = {"state": "frozen", "id": 7, "label": "nightly", "age-ms": 2100, "left-ms": 297900,
              "filesystems": [{"mountpoint": "/data", "state": "frozen"}], "rehearsal": True,
              "last": {"id": 6, "consistent": False, "reasons": ["deadline"], "frozen-ms": 300000}}
    with FakeAgent({"snapfreeze-status": status}) as agent:
        result = snapfreeze(agent, "status")
        equal(result.returncode, 0)
        holds(result.stdout, "rehearsal", "frozen, for 2.1 s, thaws by itself in 4 min 58 s, id 7, "
              "label nightly", "/data", "Last freeze: NOT CONSISTENT, frozen for 5 min", "  deadline\n")
        equal(snapfreeze(agent, "status", "--json").stdout, json.dumps(status) + "\n")


def test_call():
    with FakeAgent({"guest-echo": lambda arguments: {"got": arguments, "text": "ü\x1b\u202e"}}) as agent:
        result = snapfreeze(agent, "call", "guest-echo", '{"a": [1, "x"]}')
        equal(result.returncode, 0)
        equal(json.loads(result.stdout.replace("\\u{202e}", "\\u202e"))["got"], {"a": [1, "x"]})
        assert "\x1b" not in result.stdout and "\u202e" not in result.stdout
        result = snapfreeze(agent, "--json", "call", "guest-echo", "-", stdin='{"b": 2}')
        equal(json.loads(result.stdout)["got"], {"b": 2})
        assert result.stdout.isascii() and result.stdout.count("\n") == 1
        equal(snapfreeze(agent, "call", "guest-none").returncode, 1)
        equal(snapfreeze(agent, "call", "guest-echo", "-", stdin="nonsense").returncode, 2)


def test_extend():
    with agent_of_ours(snapfreeze_status={"state": "frozen", "id": 9}) as agent:
        result = snapfreeze(agent, "extend", "1500ms")
        equal((result.returncode, result.stdout), (0, "Thaws by itself in 5.0 s\n"))
        equal(snapfreeze(agent, "extend", "--id", "4", "5m").returncode, 0)
        equal(agent.arguments("snapfreeze-extend"), [{"id": 9, "timeout": 2}, {"id": 4, "timeout": 300}])
    with agent_of_ours(snapfreeze_status={"state": "thawed"}) as agent:
        equal(snapfreeze(agent, "extend", "5s").returncode, 1)
        equal(agent.count("snapfreeze-extend"), 0)


def on_terminal(agent, **env):
    """What the client writes to a terminal of its own."""
    master, slave = pty.openpty()
    process = subprocess.Popen(command_line(agent, "status"), stdout=slave, stdin=slave,
                               env=environment(TERM="xterm", **env))
    os.close(slave)
    text = b""
    with contextlib.suppress(OSError):  # the other end is gone
        while chunk := os.read(master, 4096):
            text += chunk
    os.close(master)
    equal(process.wait(PATIENCE), 0)
    return text


def test_colour_on_terminals_only():
    with FakeAgent({"snapfreeze-status": {"state": "thawed"}}) as agent:
        assert b"\x1b[" in on_terminal(agent)
        assert b"\x1b[" not in on_terminal(agent, NO_COLOR="1")
        assert b"\x1b[" in on_terminal(agent, NO_COLOR="")
        assert "\x1b[" not in snapfreeze(agent, "status", TERM="xterm").stdout


# Freeze and thaw

def test_freeze_reports_and_leaves_it():
    with agent_of_ours() as agent:
        result = snapfreeze(agent, "freeze", "/data", "--label", "nightly", "--lease", "5m")
        equal(result.returncode, 0, result.stderr)
        holds(result.stdout, "2 filesystems frozen, flushed in 1.2 s, frozen in 66 ms, thaws by itself in "
              "5 min, id 7", "/dev/vdb", "synced", "Not covered")
        equal(agent.calls, [("snapfreeze-freeze", {"mountpoints": ["/data"], "label": "nightly",
                                                   "timeout": 300}, 1)])
        result = snapfreeze(agent, "freeze", "--json")
        equal(json.loads(result.stdout), FROZEN)
        assert "timeout" not in agent.arguments("snapfreeze-freeze")[1]
        assert "mountpoints" not in agent.arguments("snapfreeze-freeze")[1]


def test_thaw_tells_consistency():
    with agent_of_ours() as agent:
        result = snapfreeze(agent, "thaw", "--id", "7")
        equal(result.returncode, 0)
        holds(result.stdout, "consistent, frozen for 2.1 s", "/data")
        equal(agent.arguments("snapfreeze-thaw"), [{"id": 7}])
    for reply in (BROKEN, {"thawed": 1, "filesystems": [{"mountpoint": "/a", "result": "failed"}]}):
        with agent_of_ours(snapfreeze_thaw=reply) as agent:
            equal(snapfreeze(agent, "thaw").returncode, 1, reply)
            equal(snapfreeze(agent, "thaw", "--json").returncode, 1, reply)
    hung = {"name": "20-app", "ms": 10004, "exit": None, "error": "did not finish within 10 s"}
    with agent_of_ours(snapfreeze_thaw=dict(THAWED, hooks=[hung, {"name": "10-db", "ms": 7, "exit": 0}])) as agent:
        lines = snapfreeze(agent, "thaw").stdout.splitlines()
        holds([line for line in lines if line.startswith("20-app")][0], "10 s", "did not finish within 10 s")
        equal([line for line in lines if line.startswith("10-db")][0].split()[-1], "0")
    with agent_of_ours(snapfreeze_thaw=BROKEN) as agent:
        holds(snapfreeze(agent, "thaw").stdout, "NOT CONSISTENT", "  written-while-frozen: /data")


def test_other_agents_fall_back():
    with agent_of_qemu() as agent:
        result = snapfreeze(agent, "status")
        equal(result.returncode, 0)
        holds(result.stdout, "state: thawed", "guest-fsfreeze-status", "not snapfreeze's")
        result = snapfreeze(agent, "freeze")
        equal(result.returncode, 0)
        holds(result.stdout, "frozen: 3", "guest-fsfreeze-freeze")
        snapfreeze(agent, "freeze", "/a", "/b")
        equal(agent.arguments("guest-fsfreeze-freeze-list"), [{"mountpoints": ["/a", "/b"]}])
        result = snapfreeze(agent, "thaw", "--json")
        equal((result.returncode, json.loads(result.stdout)),
              (0, {"thawed": 3, "by": "guest-fsfreeze-thaw"}))


def test_no_fall_back_where_lease_or_id_is_asked_for():
    with agent_of_qemu() as agent:
        for words in (["freeze", "--hold", "1s"], ["freeze", "--lease", "5s"], ["thaw", "--id", "3"]):
            equal(snapfreeze(agent, *words).returncode, 1, words)
        assert not any(name.startswith("guest-fsfreeze") for name in agent.commands())


def test_no_fall_back_from_a_command_not_allowed():
    def frozen(_):
        raise Refusal("Command snapfreeze-freeze has been disabled: the agent is in frozen state",
                      "CommandNotFound")

    with FakeAgent({"snapfreeze-freeze": frozen, "guest-fsfreeze-freeze": 3}) as agent:
        equal(snapfreeze(agent, "freeze").returncode, 1)
        equal(agent.commands(), ["snapfreeze-freeze"])


if __name__ == "__main__":
    sys.exit(tap.run(sys.modules[__name__]))
