#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`snapfreeze snapshot` between an agent and a QEMU that this script plays: backups, and a monitor that is none. Nothing
is frozen anywhere."""

import os
import signal
import sys

sys.dont_write_bytecode = True
import tap
from client_stage import BROKEN, equal, finish, holds
from fake_agent import HANG_UP, NO_REPLY
from fake_qmp import MIB
from snapshot_stage import Stage


# Backups

def complete(stage):
    for job in stage.qmp.running():
        stage.qmp.end_job(job)


def test_backups_go_on_after_the_thaw_and_show_progress():
    with Stage() as stage:
        def copy():
            equal(stage.agent.count("snapfreeze-thaw"), 1)
            for job in stage.qmp.running():
                stage.qmp.jobs[job]["current-progress"] = 32 * MIB
            stage.qmp.wait_for("query-jobs", stage.qmp.count("query-jobs") + 2)
            complete(stage)
        stage.qmp.when_copying(copy)
        result = stage.run("--backup", stage.path("out"))
        equal(result.returncode, 0, result.stderr)
        equal(stage.made("out"), ["a.qcow2", "b.qcow2"])
        equal(stage.qmp.nodes, set(), "closed, so that all is written")
        holds(result.stderr, "copied 50%")
        holds(result.stdout, "BACKUP", "consistent", ", copied in ")
        call, = stage.qmp.arguments("transaction")
        equal(call["properties"], {"completion-mode": "grouped"})
        equal({action["data"]["sync"] for action in call["actions"]}, {"full"})


def test_raw_backups_have_the_disks_size():
    with Stage() as stage:
        stage.qmp.when_copying(lambda: complete(stage))
        result = stage.run("--backup", stage.path("out"), "--format", "raw", "--disk", "a", "--disk", "b=other")
        equal(result.returncode, 0, result.stderr)
        equal(stage.made("out"), ["a.raw", "other"])
        equal(os.path.getsize(stage.path("out/a.raw")), 64 * MIB)


def test_a_backup_that_fails_leaves_nothing():
    with Stage() as stage:
        def fail():
            first, second = stage.qmp.running()
            stage.qmp.end_job(second, error="No space left on device")
            stage.qmp.end_job(first, "BLOCK_JOB_CANCELLED")
        stage.qmp.when_copying(fail)
        result = stage.run("--backup", stage.path("out"))
        stage.took_nothing(result, 1, "the backup of 'b' failed: No space left on device")


def test_an_interrupted_backup_is_given_up():
    with Stage() as stage, stage.running("--backup", stage.path("out")) as process:
        stage.agent.wait_for("snapfreeze-thaw")
        stage.qmp.wait_for("transaction")
        process.send_signal(signal.SIGINT)
        stage.took_nothing(finish(process), 1, "giving the backups up")
        equal(stage.qmp.count("block-job-cancel"), 2)


def test_a_backup_that_would_not_be_consistent_is_given_up():
    with Stage(agents={"snapfreeze-thaw": BROKEN}) as stage:
        result = stage.run("--backup", stage.path("out"))
        stage.took_nothing(result, 1)
        holds(result.stdout, "NOT CONSISTENT", "given up and removed")
        equal(stage.qmp.count("block-job-cancel"), 2)


def test_a_monitor_lost_while_copying_leaves_no_half_backup():
    with Stage(qmp={"query-jobs": lambda _: HANG_UP}) as stage:
        stage.qmp.answers["blockdev-create"] = lambda arguments: {}
        stage.qmp.answers["job-dismiss"] = {}
        jobs = [[], [], [], []]  # none is left of the four that make the images
        stage.qmp.answers["query-jobs"] = lambda _: jobs.pop() if jobs else HANG_UP
        result = stage.run("--backup", stage.path("out"))
        equal((result.returncode, stage.made()), (3, []), result.stderr)
        assert stage.is_thawed()


def test_a_backup_of_which_nothing_is_known_is_left():
    with Stage(qmp={"transaction": lambda _: HANG_UP}) as stage:
        result = stage.run("--backup", stage.path("out"))
        equal((result.returncode, stage.made("out")), (3, ["a.qcow2", "b.qcow2"]))
        holds(result.stderr, "is not known", stage.path("out/a.qcow2"))


# The monitor is not trusted with our time or memory

def test_a_monitor_that_is_none_is_told_before_anything_is_frozen():
    for greeting, status, said in ((b"", 3, "one client at a time"), (b"SSH-2.0\r\n", 3, "not a JSON object"),
                                   (b"{}\n", 3, "does not greet"), (b"{" * 9, 3, "does not greet"),
                                   (b'{"QMP": "' + b"x" * (17 * MIB), 3, "too long")):
        with Stage(qmp={"greeting": greeting}) as stage:
            stage.took_nothing(stage.run("--timeout", "2s"), status, said)
            equal(stage.agent.count("snapfreeze-freeze"), 0)


def test_odd_answers_of_the_monitor_do_no_harm():
    for odd in (None, 7, "x", [], {}, [None, 5, {}, {"inserted": 3}, {"inserted": {"node-name": 7}}]):
        with Stage(qmp={"query_block": odd, "query_chardev": odd}) as stage:
            stage.took_nothing(stage.run(), 1)
    for odd in (b"[]\n", b"nonsense\n", b'{"id": 3}\n', b'{"error": 3, "id": 3}\n'):
        with Stage() as stage:
            def block(_, odd=odd):
                stage.qmp.connections[0].sendall(odd)
                return NO_REPLY
            stage.qmp.answers["query-block"] = block
            stage.took_nothing(stage.run("--timeout", "1s"), 3)


def test_late_answers_and_a_flood_of_events_are_passed_over():
    with Stage() as stage:
        def flood(arguments):
            stage.qmp.connections[0].sendall(b'{"return": {"late": 1}, "id": 1}\r\n')
            for number in range(20000):
                stage.qmp.event("BLOCK_WRITE_THRESHOLD", number=number)
            return stage.qmp.transaction(arguments)
        stage.qmp.answers["transaction"] = flood
        result = stage.run()
        equal(result.returncode, 0, result.stderr)
        holds(result.stdout, "consistent")


def test_a_monitor_of_another_machine_is_warned_of():
    with Stage() as stage:
        holds(stage.run().stderr, "of the same machine?")
    with Stage() as stage:
        stage.qmp.answers["query-chardev"] = [{"filename": f"disconnected:unix:{stage.agent.path},server=on"}]
        result = stage.run()
        assert "same machine" not in result.stderr, result.stderr


if __name__ == "__main__":
    sys.exit(tap.run(sys.modules[__name__]))
