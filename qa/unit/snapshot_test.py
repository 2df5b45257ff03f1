#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`snapfreeze snapshot` between an agent and a QEMU that this script plays. Nothing is frozen anywhere."""

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
import xml.dom.minidom

sys.dont_write_bytecode = True
import tap
from client_test import BROKEN, FROZEN, THAWED, agent_of_qemu, equal, finish, holds, running, snapfreeze
from fake_agent import HANG_UP, NO_REPLY, FakeAgent, Refusal
from fake_qmp import MIB, FakeQmp, drive


class Stage:
    """A folder with two images, the agent and QEMU."""

    def __init__(self, agent=None, qmp=None, agents=None, blocks=None):
        self.agents = {"snapfreeze-status": {"state": "thawed"}, "snapfreeze-freeze": FROZEN,
                       "snapfreeze-thaw": THAWED, "snapfreeze-extend": {"deadline-ms": 5000}, **(agents or {})}
        self.agent = agent
        self.qmp_answers = qmp or {}
        self.blocks = blocks

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="snapfreeze-snapshot-"))
        for name in ("a.raw", "b.raw"):
            with open(self.path(name), "wb") as file:
                file.truncate(MIB)
        blocks = self.blocks(self) if self.blocks else [drive("a", self.path("a.raw")), drive("b", self.path("b.raw"))]
        self.agent = self.stack.enter_context(self.agent or FakeAgent(self.agents))
        self.qmp = self.stack.enter_context(FakeQmp(blocks, **self.qmp_answers))
        return self

    def __exit__(self, *_):
        self.stack.close()

    def path(self, name):
        return os.path.join(self.folder, name)

    def words(self, *words):
        # The agent's own address, without the option that is common to all sub-commands.
        return ["snapshot", "--agent", self.agent.path, "--qmp", self.qmp.path, *words]

    def run(self, *words, **env):
        return snapfreeze(None, *self.words(*words), **env)

    def running(self, *words):
        return running(None, *self.words(*words))

    def made(self, folder=""):
        """The files that are there beside the images."""
        return sorted(set(os.listdir(self.path(folder))) - (set() if folder else {"a.raw", "b.raw"}))

    def is_thawed(self):
        """Whether each freeze that was asked for has its thaw behind it."""
        commands = [name for name in self.agent.commands() if name.endswith(("-freeze", "-thaw"))]
        return not commands or (commands[0].endswith("-freeze") and commands[-1].endswith("-thaw"))

    def took_nothing(self, result, status, *words):
        """It failed as it should: nothing frozen, nothing left, and it says why."""
        equal(result.returncode if hasattr(result, "returncode") else result[0], status, result)
        holds(result.stderr if hasattr(result, "stderr") else result[2], *words)
        equal(self.made(), [])
        equal(self.qmp.nodes, set())
        assert self.is_thawed(), self.agent.commands()


def refuse(text):
    def answer(_):
        raise Refusal(text)
    return answer


def times(server, command):
    return [when for (name, _, _), when in zip(server.calls, server.times) if name == command]


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
