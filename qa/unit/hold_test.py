#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`snapfreeze freeze` that holds, is interrupted or loses its agent; the agent is played. Nothing is frozen anywhere."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import tap
from client_stage import BROKEN, FROZEN, THAWED, agent_of_ours, equal, finish, holds, running, snapfreeze
from fake_agent import NO_REPLY, PATIENCE, Refusal


def test_hold_renews_and_thaws():
    with agent_of_ours() as agent:
        start = time.monotonic()
        result = snapfreeze(agent, "freeze", "--hold", "3s")
        equal(result.returncode, 0, result.stderr)
        assert 3 <= time.monotonic() - start
        extensions = agent.arguments("snapfreeze-extend")
        # Two as a rule; a machine that is busy may be late with the second.
        assert 1 <= len(extensions) <= 3, extensions
        equal(agent.commands(), ["snapfreeze-freeze"] + len(extensions) * ["snapfreeze-extend"] +
              ["snapfreeze-thaw"])
        equal(agent.arguments("snapfreeze-freeze")[0]["timeout"], 5)
        equal(extensions, len(extensions) * [{"id": 7, "timeout": 5}])
        equal(agent.arguments("snapfreeze-thaw"), [{"id": 7}])
        holds(result.stdout, "2 filesystems frozen", "\nconsistent, frozen for 2.1 s")


def test_hold_tells_inconsistency():
    with agent_of_ours(snapfreeze_thaw=BROKEN) as agent:
        result = snapfreeze(agent, "freeze", "--hold", "0", "--json")
        equal(result.returncode, 1)
        equal([json.loads(line) for line in result.stdout.splitlines()], [FROZEN, BROKEN])


def test_signals_thaw():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with agent_of_ours() as agent, running(agent, "freeze", "--hold", "1h") as process:
            agent.wait_for("snapfreeze-extend", 2)
            process.send_signal(number)
            status, out, err = finish(process)
            equal(status, 0, err)
            holds(out, "consistent")
            holds(err, "interrupted")
            equal(agent.count("snapfreeze-thaw"), 1)


def test_second_interrupt_does_not_abandon_thaw():
    proceed = threading.Event()

    def thaw(_):
        proceed.wait(PATIENCE)
        return THAWED

    with agent_of_ours(snapfreeze_thaw=thaw) as agent, running(agent, "freeze", "--hold", "1h") as process:
        agent.wait_for("snapfreeze-extend")
        process.send_signal(signal.SIGINT)
        agent.wait_for("snapfreeze-thaw")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        # What a signal kills is gone as soon as it has been delivered; poll() would then say so.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        equal(process.poll(), None)
        proceed.set()
        status, out, _ = finish(process)
        equal(status, 0)
        holds(out, "consistent, frozen for")


def test_refused_renewal_thaws_at_once():
    def expired(_):
        raise Refusal("freeze expired")

    with agent_of_ours(snapfreeze_extend=expired) as agent:
        result = snapfreeze(agent, "freeze", "--hold", "1h")
        equal(result.returncode, 1)
        holds(result.stderr, "could not be renewed", "freeze expired")
        equal(agent.commands(), ["snapfreeze-freeze", "snapfreeze-extend", "snapfreeze-thaw"])


def test_unanswered_renewal_thaws_over_a_new_connection():
    with agent_of_ours(snapfreeze_extend=lambda _: NO_REPLY) as agent:
        result = snapfreeze(agent, "freeze", "--hold", "1h", "--lease", "2s")
        equal(result.returncode, 1)
        equal([(call[0], call[2]) for call in agent.calls[1:]],
              [("snapfreeze-extend", 1), ("snapfreeze-thaw", 2)])
        # Within the lease, and not only when the usual 10 s for an answer are over.
        assert agent.times[2] - agent.times[1] < 5, agent.times


def test_restarted_agent_is_told_to_thaw():
    with agent_of_ours(snapfreeze_thaw=BROKEN) as agent, running(agent, "freeze", "--hold", "1h") as process:
        agent.wait_for("snapfreeze-extend")
        agent.stop_listening()
        agent.listen()
        status, out, err = finish(process)
        equal(status, 1)
        holds(err, "could not be renewed")
        holds(out, "NOT CONSISTENT")
        equal(agent.arguments("snapfreeze-thaw"), [{"id": 7}])


def test_nothing_frozen_needs_no_hold():
    with agent_of_ours(snapfreeze_freeze={"frozen": 0, "filesystems": []}) as agent:
        result = snapfreeze(agent, "freeze", "--hold", "1h")
        equal((result.returncode, agent.commands()), (0, ["snapfreeze-freeze"]))


def test_interrupt_while_freezing_calls_it_off():
    thawed = threading.Event()
    label = []

    def freeze(arguments):
        label.append(arguments["label"])
        thawed.wait(PATIENCE)
        raise Refusal("thawed before all was frozen")

    def thaw(_):
        thawed.set()
        return THAWED

    def status(_):
        return {"state": "preparing", "id": 8, "label": label[0]}

    for words in (["freeze"], ["freeze", "--hold", "1h"]):
        thawed.clear()
        label.clear()
        with agent_of_ours(snapfreeze_freeze=freeze, snapfreeze_thaw=thaw,
                           snapfreeze_status=status) as agent, running(agent, *words) as process:
            agent.wait_for("snapfreeze-freeze")
            process.send_signal(signal.SIGINT)
            code, _, err = finish(process)
            equal(code, 1, err)
            holds(err, "calling the freeze off", "thawed before all was frozen")
            equal(agent.arguments("snapfreeze-thaw"), [{"id": 8}])


def test_somebody_elses_freeze_is_not_called_off():
    proceed = threading.Event()

    def freeze(_):
        proceed.wait(PATIENCE)
        raise Refusal("no")

    with agent_of_ours(snapfreeze_freeze=freeze, snapfreeze_status={
            "state": "frozen", "id": 8, "label": "backup"}) as agent, running(agent, "freeze") as process:
        agent.wait_for("snapfreeze-freeze")
        process.send_signal(signal.SIGINT)
        agent.wait_for("snapfreeze-status")
        proceed.set()
        equal(finish(process)[0], 1)
        equal(agent.count("snapfreeze-thaw"), 0)


def test_freeze_that_succeeds_after_an_interrupt_is_thawed():
    proceed = threading.Event()

    def freeze(_):
        proceed.wait(PATIENCE)
        return FROZEN

    with agent_of_ours(snapfreeze_freeze=freeze) as agent, running(agent, "freeze") as process:
        agent.wait_for("snapfreeze-freeze")
        process.send_signal(signal.SIGTERM)
        agent.wait_for("snapfreeze-status")
        proceed.set()
        status, out, _ = finish(process)
        equal(status, 1)
        holds(out, "filesystems frozen", "consistent")
        equal(agent.arguments("snapfreeze-thaw"), [{"id": 7}])


def test_freeze_without_an_answer_is_called_off():
    label = []

    def freeze(arguments):
        label.append(arguments["label"])
        return NO_REPLY

    with agent_of_ours(snapfreeze_freeze=freeze, snapfreeze_status=lambda _: {
            "state": "freezing", "id": 8, "label": label[0]}) as agent:
        result = snapfreeze(agent, "freeze", "--timeout", "300ms")
        equal(result.returncode, 3)
        equal(agent.arguments("snapfreeze-thaw"), [{"id": 8}])


def test_pipe_learns_at_once_and_file_only_after_thaw():
    """The file may lie on what is frozen; a pipe does not."""
    with agent_of_ours() as agent, running(agent, "freeze", "--hold", "1h") as process:
        holds(process.stdout.readline(), "2 filesystems frozen")
        equal(agent.count("snapfreeze-thaw"), 0)
    with tempfile.TemporaryFile("w+") as file, agent_of_ours() as agent:
        with running(agent, "freeze", "--hold", "1h", stdout=file) as process:
            agent.wait_for("snapfreeze-extend")
            equal(os.fstat(file.fileno()).st_size, 0)
            process.send_signal(signal.SIGINT)
            equal(finish(process)[0], 0)
        file.seek(0)
        holds(file.read(), "2 filesystems frozen", "consistent")


def test_reader_gone_does_not_prevent_thaw():
    with agent_of_ours() as agent, running(agent, "freeze", "--hold", "1500ms") as process:
        agent.wait_for("snapfreeze-freeze")
        process.stdout.close()
        agent.wait_for("snapfreeze-thaw")
        equal(process.wait(PATIENCE), 0)


if __name__ == "__main__":
    sys.exit(tap.run(sys.modules[__name__]))
