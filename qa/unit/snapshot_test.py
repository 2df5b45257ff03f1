#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`snapfreeze snapshot` between an agent and a QEMU that this script plays: overlays, and what goes wrong around the
freeze. Nothing is frozen anywhere."""

import json
import signal
import sys
import threading
import time
import xml.dom.minidom

sys.dont_write_bytecode = True
import tap
from client_stage import BROKEN, FROZEN, THAWED, agent_of_qemu, equal, finish, holds, snapfreeze
from fake_agent import HANG_UP, NO_REPLY, Refusal
from fake_qmp import drive
from snapshot_stage import Stage, refuse, times


# Overlays

def test_all_overlays_are_made_before_the_freeze_and_switched_to_within_it():
    with Stage() as stage:
        result = stage.run("--label", "nightly")
        equal(result.returncode, 0, result.stderr)
        equal(len(stage.made()), 2)
        equal(stage.qmp.nodes, set())
        actions = stage.qmp.arguments("transaction")
        equal([len(call["actions"]) for call in actions], [2])
        equal([action["data"]["node-name"] for action in actions[0]["actions"]], ["node-a", "node-b"])
        assert all(action["data"]["snapshot-file"].startswith(stage.path("")) for action in actions[0]["actions"])
        equal(stage.agent.arguments("snapfreeze-freeze"), [{"label": "nightly", "timeout": 5}])
        equal(stage.agent.arguments("snapfreeze-thaw"), [{"id": 7}])
        frozen, thawed = times(stage.agent, "snapfreeze-freeze")[0], times(stage.agent, "snapfreeze-thaw")[0]
        assert max(times(stage.qmp, "blockdev-create")) < frozen < times(stage.qmp, "transaction")[0] < thawed
        created = [call["options"] for call in stage.qmp.arguments("blockdev-create")]
        equal([options.get("backing-file") for options in created if options["driver"] == "qcow2"],
              [stage.path("a.raw"), stage.path("b.raw")])
        holds(result.stdout, "consistent, writers stood still for 2.1 s", "OVERLAY", "Time line", "Not covered")


def test_chosen_disks_go_to_the_files_that_were_named():
    with Stage() as stage:
        result = stage.run("--disk", f"node-b={stage.path('snap.qcow2')}", "--json")
        equal(result.returncode, 0, result.stderr)
        equal(stage.made(), ["snap.qcow2"])
        reply = json.loads(result.stdout)
        equal(reply["disks"], [{"disk": "b", "image": stage.path("b.raw"), "file": stage.path("snap.qcow2")}])
        equal((reply["consistent"], reply["still-ms"], reply["freeze"], reply["thaw"]), (True, 2130, FROZEN, THAWED))


def test_a_name_does_not_grow_with_each_snapshot():
    def blocks(stage):
        return [drive("a", stage.path("a-20260101T000000.qcow2"))]
    with Stage(blocks=blocks) as stage:
        equal(stage.run().returncode, 0)
        name, = stage.made()
        holds(name, "a-2")
        equal(len(name), len("a-20260101T000000.qcow2"))


def test_only_disks_that_the_guest_writes_to_are_taken():
    def blocks(stage):
        path = stage.path("a.raw")
        return [drive("a", path), drive("cd", path, inserted=None), drive("ro", path, medium={"ro": True}),
                drive("stick", path, removable=True), drive("loose", path, qdev=None, device="loose"),
                drive("vars", path, device="pflash1")]
    with Stage(blocks=blocks) as stage:
        result = stage.run()
        equal(result.returncode, 0, result.stderr)
        equal(len(stage.qmp.arguments("transaction")[0]["actions"]), 1)
        holds(result.stderr, "left out: cd: it is empty", "ro: it is read-only", "stick: its medium is removable",
              "loose: no device", "pflash1: it is the firmware's")
    with Stage(blocks=lambda _: []) as stage:
        stage.took_nothing(stage.run(), 1, "no disk to take")


def test_what_cannot_be_is_refused_before_anything_is_frozen():
    for words, said in ((["--disk", "nope"], "there are: a, b"), (["--disk", "a", "--disk", "node-a"], "named twice"),
                        (["--disk", "a="], "names no file"), (["--disk", "a=/nonexistent/x"], "/nonexistent/x"),
                        (["--backup", "/nonexistent/x/y"], "/nonexistent/x/y")):
        with Stage() as stage:
            stage.took_nothing(stage.run(*words), 1, said)
            equal(stage.agent.count("snapfreeze-freeze"), 0)
    relative = [drive("a", "a.raw")]
    with Stage(blocks=lambda _: relative) as stage:
        stage.took_nothing(stage.run("--disk", f"a={stage.path('x')}"), 1, "absolute name")


def test_a_file_that_is_there_is_never_overwritten():
    with Stage() as stage:
        with open(stage.path("mine"), "w", encoding="utf-8") as file:
            file.write("precious")
        result = stage.run("--disk", "a", "--disk", f"b={stage.path('mine')}")
        equal(result.returncode, 1)
        holds(result.stderr, "is there already")
        equal(stage.made(), ["mine"])
        with open(stage.path("mine"), encoding="utf-8") as file:
            equal(file.read(), "precious")
        equal((stage.agent.count("snapfreeze-freeze"), stage.qmp.count("blockdev-create")), (0, 0))


def test_an_image_that_cannot_be_made_fails_before_the_freeze():
    for command, which in (("blockdev-create", 3), ("blockdev-add", 2), ("blockdev-create", 4)):
        with Stage() as stage:
            play, count = stage.qmp.answers[command], []

            def answer(arguments):
                count.append(1)
                if len(count) == which:
                    raise Refusal("No space left on device")
                return play(arguments)
            stage.qmp.answers[command] = answer
            stage.took_nothing(stage.run(), 1, "QEMU refused", "No space left", "b-2")
            equal(stage.agent.count("snapfreeze-freeze"), 0)


def test_a_job_that_fails_says_why():
    with Stage() as stage:
        def create(arguments):
            job = arguments["job-id"]
            stage.qmp.jobs[job] = {"id": job, "type": "create", "status": "concluded", "error": "Permission denied"}
            return {}
        stage.qmp.answers["blockdev-create"] = create
        stage.took_nothing(stage.run(), 1, "Permission denied")
        equal(stage.qmp.jobs, {})


# What goes wrong around the freeze

def test_a_refused_freeze_takes_everything_back():
    with Stage(agents={"snapfreeze-freeze": refuse("freeze of '/data' failed")}) as stage:
        result = stage.run()
        equal((result.returncode, stage.made(), stage.qmp.count("transaction")), (1, [], 0))
        holds(result.stderr, "freeze of '/data' failed")


def test_a_frozen_guest_is_left_alone():
    for state in ("frozen", "preparing", "draining"):
        with Stage(agents={"snapfreeze-status": {"state": state}}) as stage:
            result = stage.run()
            equal((result.returncode, stage.agent.commands(), stage.qmp.calls), (1, ["snapfreeze-status"], []))
            holds(result.stderr, "frozen already")


def test_nothing_frozen_is_no_snapshot():
    with Stage(agents={"snapfreeze-freeze": {"id": 3, "frozen": 0, "filesystems": []}}) as stage:
        stage.took_nothing(stage.run(), 1, "nothing to freeze")
        equal(stage.qmp.count("transaction"), 0)


def test_no_overlay_is_made_where_the_freeze_is_known_to_be_broken():
    hidden = dict(FROZEN, reasons=["an ext4 on dm-7 is mounted out of sight and was not frozen"])
    with Stage(agents={"snapfreeze-freeze": hidden}) as stage:
        stage.took_nothing(stage.run(), 1, "would not be consistent", "mounted out of sight")
        equal((stage.qmp.count("transaction"), stage.agent.count("snapfreeze-thaw")), (0, 1))


def test_a_refused_transaction_thaws_and_leaves_nothing():
    with Stage(qmp={"transaction": refuse("Node 'x' is busy")}) as stage:
        stage.took_nothing(stage.run(), 1, "QEMU refused transaction: Node 'x' is busy")


def test_an_inconsistent_overlay_stays_for_the_guest_writes_to_it():
    with Stage(agents={"snapfreeze-thaw": BROKEN}) as stage:
        result = stage.run()
        equal((result.returncode, len(stage.made())), (1, 2))
        holds(result.stdout, "NOT CONSISTENT", "written-while-frozen: /data", "Do not delete")
    with Stage(agents={"snapfreeze-thaw": BROKEN}) as stage:
        equal(json.loads(stage.run("--json").stdout)["consistent"], False)


def test_a_lost_monitor_thaws_and_says_what_is_left():
    with Stage(qmp={"transaction": lambda _: HANG_UP}) as stage:
        result = stage.run()
        equal((result.returncode, len(stage.made())), (3, 2), result.stderr)
        holds(result.stderr, "is not known", stage.path("a-2"))
        assert stage.is_thawed()


def test_the_lease_is_renewed_while_the_host_works():
    proceed = threading.Event()

    def transaction(_):
        proceed.wait(20)
        return {}
    with Stage(qmp={"transaction": transaction}) as stage, stage.running() as process:
        stage.agent.wait_for("snapfreeze-extend", 2)
        equal(stage.agent.arguments("snapfreeze-extend")[0], {"id": 7, "timeout": 5})
        equal(stage.agent.count("snapfreeze-thaw"), 0)
        proceed.set()
        status, out, err = finish(process)
        equal(status, 0, err)
        holds(out, "consistent")


def test_a_lease_that_is_lost_thaws_and_the_overlays_do_not_count():
    proceed = threading.Event()

    def transaction(_):
        proceed.wait(20)
        return {}
    with Stage(qmp={"transaction": transaction}, agents={"snapfreeze-extend": refuse("freeze expired")}) as stage:
        with stage.running() as process:
            stage.agent.wait_for("snapfreeze-thaw")
            proceed.set()
            status, out, err = finish(process)
        equal(status, 1)
        holds(err, "could not be renewed")
        # The agent vouches for its freeze; the snapshot came after it.
        holds(out, "NOT CONSISTENT", "thawed before the snapshot was there")
        equal(len(stage.made()), 2)


def test_signals_thaw_while_the_host_is_silent():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        proceed = threading.Event()

        def transaction(_):
            proceed.wait(20)
            raise Refusal("too late")
        with Stage(qmp={"transaction": transaction}) as stage, stage.running() as process:
            stage.qmp.wait_for("transaction")
            process.send_signal(number)
            stage.agent.wait_for("snapfreeze-thaw")
            proceed.set()
            stage.took_nothing(finish(process), 1, "interrupted, thawing", "too late")


def test_an_interrupt_while_freezing_takes_no_snapshot():
    proceed = threading.Event()

    def freeze(_):
        proceed.wait(20)
        return FROZEN
    with Stage(agents={"snapfreeze-freeze": freeze}) as stage, stage.running() as process:
        stage.agent.wait_for("snapfreeze-freeze")
        process.send_signal(signal.SIGTERM)
        stage.agent.wait_for("snapfreeze-status", 2)
        proceed.set()
        stage.took_nothing(finish(process), 1, "interrupted")
        equal(stage.qmp.count("transaction"), 0)


def test_a_thaw_without_an_answer_says_that_the_lease_ends_it():
    with Stage(agents={"snapfreeze-thaw": lambda _: NO_REPLY}) as stage:
        result = stage.run("--timeout", "500ms")
        equal((result.returncode, len(stage.made())), (3, 2))
        holds(result.stderr, "when its lease ends")
        holds(result.stdout, "NOT CONSISTENT")


# QEMU's own agent

def test_qemus_own_agent_freezes_in_its_own_words():
    with Stage(agent=agent_of_qemu()) as stage:
        result = stage.run()
        equal(result.returncode, 0, result.stderr)
        equal(stage.agent.commands(), ["snapfreeze-status", "guest-fsfreeze-status", "guest-fsfreeze-freeze",
                                       "guest-fsfreeze-thaw"])
        holds(result.stdout, "consistency unknown, writers stood still for at most")
        holds(result.stderr, "knows no lease")
        equal(len(stage.made()), 2)
    with Stage(agent=agent_of_qemu()) as stage:
        equal(json.loads(stage.run("--json").stdout)["consistent"], None)
    with Stage(agent=agent_of_qemu()) as stage:
        stage.agent.answers["guest-fsfreeze-thaw"] = 0
        result = stage.run()
        equal(result.returncode, 1)
        holds(result.stdout, "NOT CONSISTENT", "nothing was frozen any more")


# The command line, and the drawing

def test_usage_errors_exit_2_and_ask_nobody():
    with Stage() as stage:
        agent, qmp = ["--agent", stage.agent.path], ["--qmp", stage.qmp.path]
        for words in ([], agent, qmp, [*agent, *qmp, "more"], [*agent, *qmp, "--format", "raw"],
                      [*agent, *qmp, "--backup", "x", "--format", "vmdk"]):
            result = snapfreeze(None, "snapshot", *words)
            equal(result.returncode, 2, words)
        equal((stage.agent.calls, stage.qmp.calls), ([], []))


def many(count, name="/m"):
    entries = [{"mountpoint": f"{name}{number}", "device": "/dev/x", "fstype": "ext4", "result": "frozen",
                "flush-ms": number, "freeze-ms": 1} for number in range(count)]
    return dict(FROZEN, filesystems=entries, frozen=count)


def test_the_time_line_is_bounded_and_fits_the_terminal():
    odd = "/\x1b[2J\u202e<b>&\"'" + "ü" * 300
    for reply in (FROZEN, many(3000), many(3, odd), {"frozen": 1}, {"frozen": 1, "filesystems": [None, {}, 7]},
                  dict(many(2), **{"flush-ms": 1e300, "freeze-ms": -5})):
        with Stage(agents={"snapfreeze-freeze": reply}) as stage:
            result = stage.run("--svg", stage.path("t.svg"), LC_ALL="C")
            equal(result.returncode, 0, result.stderr)
            assert result.stdout.isascii() and "\x1b" not in result.stdout
            drawn = [line for line in result.stdout.splitlines() if "|" in line]
            assert 2 <= len(drawn) <= 22 and all(len(line) <= 80 for line in drawn), result.stdout
            with open(stage.path("t.svg"), encoding="utf-8") as file:
                text = file.read()
            assert len(text) < 400000 and "\u202e" not in text
            xml.dom.minidom.parseString(text)


def test_the_time_line_tells_the_phases():
    with Stage() as stage:
        def freeze(_):
            time.sleep(0.2)  # so that there is something to draw before the freeze
            return dict(FROZEN, **{"flush-ms": 100, "freeze-ms": 70})
        stage.agent.answers["snapfreeze-freeze"] = freeze
        result = stage.run("--json")
        rows = {row["label"]: row for row in json.loads(result.stdout)["time-line"]}
        equal(list(rows), ["agent", "/data", "/boot/efi", "snapshot"])
        phases = {bar["phase"]: bar for bar in rows["/data"]["phases"]}
        equal(list(phases), ["flush", "freeze", "frozen", "thaw"])
        assert phases["freeze"]["begin-ms"] - phases["flush"]["begin-ms"] == 100
        taken = rows["snapshot"]["phases"][0]
        assert phases["freeze"]["end-ms"] <= taken["begin-ms"] <= taken["end-ms"] <= phases["thaw"]["begin-ms"]


def test_a_picture_that_cannot_be_written_is_told():
    with Stage() as stage:
        result = stage.run("--svg", "/nonexistent/x.svg")
        equal(result.returncode, 1)
        holds(result.stdout, "consistent")
        holds(result.stderr, "/nonexistent/x.svg")


if __name__ == "__main__":
    sys.exit(tap.run(sys.modules[__name__]))
