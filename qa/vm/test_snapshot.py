# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases about `snapfreeze snapshot`, on this machine as the host: agent, QEMU and disks are real. That its backups are
consistent is seen in test_proof.py."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading

import pytest

import disks
import image
import proof
from freeze_trace import FreezeTrace
from holding import SECOND_MS

SMALL = ["--disk", "disk-under", "--disk", "disk-cover"]
LEASE_MS = 5 * SECOND_MS


def snapshot(guest, *words, qmp=None):
    """The command, started: on the host, between the guest's agent and QEMU's monitor."""
    client = image.find_ours(guest.builddir)["snapfreeze"]
    return subprocess.Popen([client, "--json", "snapshot", "--agent", guest.folder / "agent", "--qmp",
                             qmp or guest.folder / "monitor", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def finish(process, status=0, timeout=300):
    """Its line of JSON, or where it prints none what it says."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == status, err
    return json.loads(out) if out else err


def files_of(guest):
    """Whatever a snapshot could leave: files beside the disks, nodes and jobs in QEMU."""
    nodes = {node["node-name"] for node in guest.qmp("query-named-block-nodes") if not node["node-name"].startswith("#")}
    return sorted(path.name for path in guest.folder.glob("*.qcow2")), nodes, guest.qmp("query-jobs")


def remove_named(said):
    """What the command has left because it could not know whether QEMU uses it."""
    names = [line.removeprefix("snapfreeze:").strip() for line in said.partition("are left:\n")[2].splitlines()]
    assert len(names) == len(SMALL) // 2
    for name in names:
        os.unlink(name)


class Relay:
    """A monitor between the command and QEMU's, which keeps a transaction back until it may pass; where .speed is set,
    its backups copy so many bytes a second."""

    def __init__(self, guest):
        self.path = guest.folder / "relay"
        self.target = guest.folder / "monitor"
        self.asked = threading.Event()
        self.may_pass = threading.Event()
        self.speed = None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(1)
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.may_pass.set()
        self.listener.close()
        os.unlink(self.path)

    def _serve(self):
        client, _ = self.listener.accept()
        qemu = socket.socket(socket.AF_UNIX)
        qemu.connect(str(self.target))
        threading.Thread(target=self._pump, args=(qemu, client), daemon=True).start()
        for line in client.makefile("rb"):
            if b'"transaction"' in line:
                self.asked.set()
                self.may_pass.wait(300)
                line = self._slowed(line)
            with contextlib.suppress(OSError):
                qemu.sendall(line)
        qemu.close()

    def _slowed(self, line):
        request = json.loads(line)
        for action in request["arguments"]["actions"] if self.speed else ():
            action["data"]["speed"] = self.speed
        return json.dumps(request).encode() + b"\n"

    def _pump(self, qemu, client):
        with contextlib.suppress(OSError):
            while data := qemu.recv(65536):
                client.sendall(data)


@pytest.fixture
def closed(guest, agent):
    """The shared guest with our agent, whose port nobody has open; the case must leave no trace on the host."""
    agent.port.close()
    before = files_of(guest)
    yield guest
    assert files_of(guest) == before


@pytest.fixture
def relay(guest):
    with Relay(guest) as relay:
        yield relay


@pytest.fixture
def slow(relay):
    """A relay that keeps nothing back, and has backups take minutes."""
    relay.speed = 65536
    relay.may_pass.set()
    return relay


# ---- overlays

def check_times(reply, begin_ms, blocked_ms, trace):
    """How long it is said to have been frozen, against what the kernel saw; each bound holds on any machine."""
    begun_ms = min(call.begin for call in trace.calls("freeze")) * 1000
    ended_ms = min(call.begin for call in trace.calls("thaw")) * 1000
    # Nobody thawed before @blocked_ms, and nobody froze before @begin_ms; the agent counts whole ms.
    assert blocked_ms - begun_ms - 2 <= reply["thaw"]["frozen-ms"] <= ended_ms - begin_ms + 2
    assert reply["still-ms"] >= reply["thaw"]["frozen-ms"]


def test_the_images_under_the_overlays_are_consistent_and_the_guest_writes_on(bare_guest, make_agent, tmp_path):
    guest = bare_guest(disks=proof.make_disks())
    busy = proof.Busy(guest)
    make_agent(guest).start().port.close()
    busy.wait_records(100)
    begin_ms = busy.now_ms()
    with FreezeTrace(guest) as trace, Relay(guest) as relay:
        process = snapshot(guest, "--svg", tmp_path / "t.svg", qmp=relay.path)
        assert relay.asked.wait(120)
        busy.wait_blocked()
        blocked_ms = busy.now_ms()
        relay.may_pass.set()
        reply = finish(process)
        check_times(reply, begin_ms, blocked_ms, trace)
        thawed_ms = min(call.begin for call in trace.calls("thaw")) * 1000
    assert reply["consistent"] is True and len(reply["disks"]) == len(proof.FILESYSTEMS)
    assert [entry["result"] for entry in reply["freeze"]["filesystems"]] == ["frozen"] * len(proof.FILESYSTEMS)
    rows = {row["label"]: row for row in reply["time-line"]}
    assert set(proof.FILESYSTEMS.values()) < set(rows) and (tmp_path / "t.svg").stat().st_size > 1000
    # One moment for all: whoever writes was in a write then, and came out of it by the thaw.
    busy.wait_records(20)
    for name, acks in busy.acknowledged().items():
        assert any(start <= blocked_ms and end >= thawed_ms for _, start, end in acks), name
    frozen = busy.keep_overlaid(tmp_path, blocked_ms)
    for entry in reply["disks"]:
        info = json.loads(image.output("qemu-img", "info", "-U", "--output=json", entry["file"]))
        assert (info["format"], info["full-backing-filename"]) == ("qcow2", entry["image"])
    guest.stop()
    second = bare_guest(disks=proof.copied_disks(frozen=frozen), builddir=None)
    findings = proof.Examination(second, "frozen", frozen).run()
    assert [found for found in findings if not found.is_good] == []


# ---- backups

def test_the_guest_writes_while_the_backups_are_copied_and_they_show_the_moment_before(closed, slow, tmp_path):
    process = snapshot(closed, "--backup", tmp_path / "out", *SMALL, qmp=slow.path)
    jobs = closed.wait_for(lambda: [job["device"] for job in closed.qmp("query-block-jobs")], 120)
    # The command thaws as soon as QEMU has the moment, and is still there to wait for the copies.
    closed.run("echo later >/mnt/covered/later && sync /mnt/covered/later", timeout=60)
    assert process.poll() is None and len(closed.qmp("query-block-jobs")) == len(SMALL) // 2
    for job in jobs:
        closed.qmp("block-job-set-speed", device=job, speed=0)
    reply = finish(process)
    closed.run("rm /mnt/covered/later")
    assert reply["consistent"] is True and reply["copy-ms"] > 0
    image.output("qemu-img", "convert", "-O", "raw", tmp_path / "out/disk-cover.qcow2", tmp_path / "cover")
    names = subprocess.run([disks.tool("debugfs"), "-R", "ls -p /", tmp_path / "cover"], capture_output=True, text=True)
    assert "/lost+found/" in names.stdout and "/later/" not in names.stdout


# ---- what fails

def test_a_transaction_that_fails_for_one_disk_changes_nothing(closed, tmp_path):
    # A job holds the second disk: QEMU refuses its part when all is frozen, and takes the others back.
    closed.qmp("drive-backup", device="cover", job_id="holder", target=str(tmp_path / "held"), sync="full",
               format="raw", speed=1)
    try:
        said = finish(snapshot(closed, *SMALL), status=1)
        assert "QEMU refused transaction" in said
    finally:
        closed.qmp("block-job-cancel", device="holder", force=True)
        closed.qmp_port.wait_event("BLOCK_JOB_CANCELLED")
    assert closed.blocked(["/mnt/covered", "/mnt/uncovered"], timeout=30) == []


def test_a_file_that_qemu_cannot_make_is_found_before_the_freeze(closed, trace, tmp_path):
    (tmp_path / "there").write_text("precious")
    said = finish(snapshot(closed, "--disk", "disk-under", "--disk", f"disk-cover={tmp_path}/there"), status=1)
    assert "is there already" in said and (tmp_path / "there").read_text() == "precious"
    assert trace.calls("freeze") == []


@pytest.mark.parametrize("how", ["cancelled", "interrupted"])
def test_a_backup_that_is_ended_half_way_leaves_nothing(closed, slow, tmp_path, how):
    process = snapshot(closed, "--backup", tmp_path / "out", *SMALL, qmp=slow.path)
    jobs = closed.wait_for(lambda: [job["device"] for job in closed.qmp("query-block-jobs")], 120)
    if how == "cancelled":
        closed.qmp("block-job-cancel", device=jobs[0], force=True)
    else:
        process.send_signal(signal.SIGINT)
    assert ("it was cancelled" if how == "cancelled" else "giving the backups up") in finish(process, status=1)
    assert not (tmp_path / "out").exists()


# ---- nothing stays frozen

def test_killed_while_frozen_the_lease_ends_the_freeze(closed, relay):
    process = snapshot(closed, *SMALL, qmp=relay.path)
    assert relay.asked.wait(120)
    assert closed.blocked(["/mnt/covered", "/mnt/xfs"], timeout=LEASE_MS / 1000 + 2) == ["/mnt/covered", "/mnt/xfs"], \
        "renewed beyond one lease"
    process.kill()
    process.communicate()
    waited = closed.write_ms("/mnt/covered", timeout=60)
    assert waited is not None and waited < 2 * LEASE_MS
    # Nobody was left to remove them.
    for left in [*closed.folder.glob("under-*.qcow2"), *closed.folder.glob("cover-*.qcow2")]:
        left.unlink()


def test_an_interrupt_while_qemu_is_silent_thaws_at_once(closed, relay):
    process = snapshot(closed, *SMALL, qmp=relay.path)
    assert relay.asked.wait(120)
    assert closed.blocked(["/mnt/covered"], timeout=1) == ["/mnt/covered"]
    process.send_signal(signal.SIGTERM)
    waited = closed.write_ms("/mnt/covered", timeout=60)
    assert waited is not None and waited < LEASE_MS - SECOND_MS
    said = finish(process, status=1)
    assert "interrupted" in said and "is not known" in said
    remove_named(said)


def test_a_qemu_that_stands_still_ends_the_command_and_the_guest_is_thawed_when_it_goes_on(closed, relay):
    process = snapshot(closed, "--timeout", "3s", *SMALL, qmp=relay.path)
    assert relay.asked.wait(120)
    qemu = closed.qemu_pid()
    os.kill(qemu, signal.SIGSTOP)
    try:
        said = finish(process, status=3)
    finally:
        os.kill(qemu, signal.SIGCONT)
    assert "could not be renewed" in said and "when its lease ends" in said and "is not known" in said
    assert closed.write_ms("/mnt/covered", timeout=60) is not None
    remove_named(said)


# ---- QEMU's own agent

def test_with_qemus_own_agent_it_works_and_does_not_vouch(guest, qemu_ga, tmp_path):
    qemu_ga.port.close()
    reply = finish(snapshot(guest, "--backup", tmp_path / "out", *SMALL))
    assert reply["consistent"] is None and reply["freeze"] > 0 and reply["thaw"] > 0
    assert sorted(os.listdir(tmp_path / "out")) == ["disk-cover.qcow2", "disk-under.qcow2"]
    assert guest.blocked(["/mnt/covered", "/mnt/xfs"], timeout=30) == []
