# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases about the client: in the guest through the agent's local socket, and on the host through the socket of the
guest's virtio port, as on a hypervisor."""

import json
import signal
import subprocess
import time

import pytest

import disks
import image

SOCKET = "/run/snapfreeze/agent.sock"  # the client's default
LOCAL = f"[channel:local]\nmethod = unix-listen\npath = {SOCKET}\n"
SOME = ["/mnt/ext4-a", "/mnt/grün-日本"]


@pytest.fixture
def local(guest, make_agent):
    """Our agent with the channel that its client uses by default."""
    return make_agent(guest).start(config=LOCAL)


def in_guest(agent, *arguments, check=True, timeout=120, env=()):
    """The client in the guest, which has no locale but C (GLib takes CHARSET for one); the finished job."""
    return agent.guest.run(["env", "CHARSET=UTF-8", *env, agent.client, *arguments], timeout=timeout, check=check)


def lines(job):
    return [json.loads(line) for line in job.stdout.splitlines()]


def on_host(guest, *arguments, check=True, wait=True):
    """The client on this machine, at the virtio port's socket. It only talks to the guest."""
    client = image.find_ours(guest.builddir)["snapfreeze"]
    process = subprocess.Popen([client, "--socket", guest.folder / "agent", *arguments], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    if not wait:
        return process
    process.out, process.err = process.communicate(timeout=120)
    assert not check or process.returncode == 0, process.err
    return process


# ---- asking

def test_ping_and_info_answer_in_the_guest_and_on_the_host(guest, local):
    assert 0 < lines(in_guest(local, "ping", "--json"))[0]["round-trip-us"] < 10_000_000
    assert "answered in" in in_guest(local, "ping").stdout
    info = in_guest(local, "info").stdout
    assert info.startswith("Version ") and "guest-fsfreeze-freeze-list" in info
    local.port.close()
    assert json.loads(on_host(guest, "--json", "ping").out)["round-trip-us"] > 0
    names = {entry["name"] for entry in json.loads(on_host(guest, "--json", "info").out)["supported_commands"]}
    assert "snapfreeze-plan" in names


def test_plan_draws_the_tree_in_freezing_order(guest, local):
    reply = lines(in_guest(local, "plan", "--json"))[0]
    planned = {entry["mountpoint"]: number for number, entry in enumerate(reply["filesystems"])}
    after = {entry["mountpoint"]: entry["after"] for entry in reply["filesystems"]}
    text = in_guest(local, "plan").stdout
    rows = [line for line in text.splitlines() if line.lstrip()[:1].isdigit()]
    rows = rows[:len(planned)]
    for first, second in disks.EDGES:
        assert planned[first] < planned[second] and first in after[second]
    for path, number in planned.items():
        assert path in rows[number] and rows[number].lstrip().startswith(f"{number + 1} "), rows[number]
    # The lines of the tree run down from what is frozen first to what holds it.
    inner, outer = rows[planned["/mnt/loop-inner"]], rows[planned["/mnt/loop"]]
    assert "┌─" in inner and ("└─" in outer or "┴─" in outer), text
    for path, fstype in disks.LEFT_OUT.items():
        if fstype != "tmpfs":
            assert path in text.partition("Left out:")[2]
    assert "/mnt/tmpfs" not in text and "/mnt/tmpfs" in in_guest(local, "plan", "--all").stdout
    ascii_text = in_guest(local, "plan", env=["CHARSET=ANSI_X3.4-1968"]).stdout
    assert ascii_text.isascii() and "/mnt/gr\\u{fc}n-\\u{65e5}\\u{672c}" in ascii_text
    some = lines(in_guest(local, "plan", "--json", *SOME))[0]
    assert {entry["mountpoint"] for entry in some["filesystems"]} == set(SOME)


def test_call_sends_any_command(guest, local):
    assert lines(in_guest(local, "--json", "call", "guest-sync", '{"id": 12}')) == [12]
    job = in_guest(local, "--json", "call", "guest-no-such-thing", check=False)
    assert job.returncode == 1
    assert lines(job) == [{"error": {"class": "CommandNotFound",
                                     "desc": "The command guest-no-such-thing has not been found"}}]
    assert "The command guest-no-such-thing has not been found" in job.stderr


def test_exit_statuses_tell_refused_from_unreachable_and_misused(guest, local):
    assert in_guest(local, "freeze", "/mnt/no-such-path", check=False).returncode == 1
    assert in_guest(local, "no-such-command", check=False).returncode == 2
    assert in_guest(local, "freeze", "--hold", "soon", check=False).returncode == 2
    assert in_guest(local, "--socket", "/run/no-such-socket", "ping", check=False).returncode == 3
    local.port.close()
    local.signal(signal.SIGSTOP)
    try:
        assert in_guest(local, "--timeout", "1s", "ping", check=False).returncode == 3
        assert on_host(guest, "--timeout", "1s", "ping", check=False).returncode == 3
    finally:
        local.signal(signal.SIGCONT)
    local.port.open()
    local.port.sync()  # the reply to the one that gave up may come first
    assert local.status() == "thawed"


# ---- freezing

def test_freeze_status_extend_and_thaw(guest, local):
    frozen = lines(in_guest(local, "freeze", "--json", "--label", "nightly", "--lease", "60s", *SOME))[0]
    assert frozen["frozen"] == 2 and 0 < frozen["deadline-ms"] <= 60000
    assert guest.blocked(SOME, timeout=2) == SOME
    status = lines(in_guest(local, "status", "--json"))[0]
    assert (status["state"], status["label"], status["id"]) == ("frozen", "nightly", frozen["id"])
    assert "thaws by itself in" in in_guest(local, "status").stdout
    job = in_guest(local, "freeze", check=False)
    assert job.returncode == 1 and "frozen state" in job.stderr
    assert lines(in_guest(local, "extend", "--json", "200s"))[0]["deadline-ms"] > 150000
    wrong = in_guest(local, "thaw", "--id", str(frozen["id"] + 1), check=False)
    assert wrong.returncode == 1 and guest.blocked(SOME, timeout=2) == SOME
    thawed = lines(in_guest(local, "thaw", "--json", "--id", str(frozen["id"])))[0]
    assert thawed["consistent"] is True and thawed["thawed"] == 2
    assert guest.blocked(SOME, timeout=30) == []
    assert "consistent" in in_guest(local, "status").stdout
    assert "nothing was frozen" in in_guest(local, "thaw", check=False).stdout


def test_thaw_after_the_lease_says_that_it_did_not_hold(guest, local):
    in_guest(local, "freeze", "--lease", "1s", SOME[0])
    guest.wait_for(lambda: local.status() == "thawed", timeout=20)
    job = in_guest(local, "thaw", check=False)
    assert job.returncode == 1
    assert "NOT CONSISTENT" in job.stdout and "freeze expired after 1 s" in job.stdout


def test_hold_keeps_the_freeze_past_its_lease_and_thaws_at_the_end(guest, local):
    job = guest.spawn([local.client, "--json", "freeze", "--hold", "5s", "--lease", "2s", *SOME])
    job.wait_output('"frozen": 2')
    begin = time.monotonic()
    assert guest.blocked(SOME, timeout=3) == SOME, "beyond the lease"
    assert job.wait(60).returncode == 0
    assert time.monotonic() - begin > 3.5
    frozen, thawed = lines(job)
    assert thawed["consistent"] is True and thawed["id"] == frozen["id"] and 4500 <= thawed["frozen-ms"] < 12000
    assert guest.blocked(SOME, timeout=30) == []


def test_an_interrupted_hold_thaws_at_once(guest, local):
    local.port.close()
    process = on_host(guest, "--json", "freeze", "--hold", "10m", *SOME, wait=False)
    assert json.loads(process.stdout.readline())["frozen"] == 2
    assert guest.blocked(SOME, timeout=2) == SOME
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert time.monotonic() - begin < 5
    assert json.loads(process.stdout.readline())["consistent"] is True
    assert guest.blocked(SOME, timeout=30) == []
    process.communicate()


def test_a_killed_hold_is_ended_by_its_lease(guest, local):
    job = guest.spawn([local.client, "--json", "freeze", "--hold", "10m", "--lease", "3s", *SOME])
    job.wait_output('"frozen": 2')
    assert guest.blocked(SOME, timeout=4) == SOME, "renewed"
    job.kill(signal.SIGKILL)
    # Writes once it is thawed; how long that took is told by the guest's clock.
    waited = guest.write_ms(SOME[0], timeout=30)
    assert waited is not None and waited < 4000 + 500
    status = lines(in_guest(local, "status", "--json"))[0]
    assert status["state"] == "expired" and status["last"]["consistent"] is False


def test_an_interrupt_before_the_answer_leaves_nothing_frozen(guest, local):
    """Interrupted at whatever moment, the client does not leave before its freeze is called off."""
    for delay in (0, 0.05, 0.1, 0.2, 0.4):
        job = guest.spawn([local.client, "freeze", "--lease", "10m"])
        time.sleep(delay)
        job.kill(signal.SIGINT)
        job.wait(60)
        if job.returncode == 0:  # it was done before: then it is left frozen, as asked
            in_guest(local, "thaw")
        guest.wait_for(lambda: local.status() == "thawed", timeout=20)
    assert guest.blocked(SOME, timeout=30) == []


# ---- freezes of others

def test_foreign_thaws_what_another_process_froze_and_nothing_else(guest, local):
    guest.run(["qa-freeze", "freeze", "/mnt/linear", "/mnt/ext4-b"])
    try:
        job = in_guest(local, "freeze", "/mnt/linear", check=False)
        assert job.returncode == 1 and "/mnt/linear" in job.stderr
        job = in_guest(local, "thaw", "--foreign", "/mnt/linear")
        assert "/mnt/linear" in job.stderr
        assert guest.access(["/mnt/linear", "/mnt/ext4-b"], timeout=3) == {"/mnt/linear": "done",
                                                                          "/mnt/ext4-b": "blocked"}
        again = in_guest(local, "thaw", "--foreign", "/mnt/linear", check=False)
        assert again.returncode == 1 and "not frozen" in again.stderr
        inside = in_guest(local, "thaw", "--foreign", "/mnt/ext4-b/upper", check=False)
        assert inside.returncode == 1 and "not a mount point" in inside.stderr
        assert guest.blocked(["/mnt/ext4-b"], timeout=2) == ["/mnt/ext4-b"]
    finally:
        guest.run(["qa-freeze", "thaw", "/mnt/ext4-b"])


def test_foreign_refuses_what_the_agent_holds(guest, local):
    in_guest(local, "freeze", "/mnt/ext4-a")
    for path in ("/mnt/ext4-a", "/mnt/bind"):  # by another of its mount points too
        job = in_guest(local, "thaw", "--foreign", path, check=False)
        assert job.returncode == 1 and "frozen by the agent" in job.stderr
    local.signal(signal.SIGSTOP)  # one that does not answer may hold it
    try:
        job = in_guest(local, "--timeout", "1s", "thaw", "--foreign", "/mnt/ext4-a", check=False)
        assert job.returncode == 3
    finally:
        local.signal(signal.SIGCONT)
    assert guest.blocked(["/mnt/ext4-a"], timeout=2) == ["/mnt/ext4-a"]
    assert lines(in_guest(local, "thaw", "--json"))[0]["consistent"] is True


def test_foreign_works_without_an_agent(guest, make_agent):
    agent = make_agent(guest)
    guest.run(["qa-freeze", "freeze", "/mnt/linear"])
    job = in_guest(agent, "thaw", "--foreign", "/mnt/linear", check=False)
    try:
        assert job.returncode == 0 and "no agent at" in job.stderr
        assert guest.blocked(["/mnt/linear"], timeout=10) == []
    finally:
        guest.run(["qa-freeze", "thaw", "/mnt/linear"], check=False)


# ---- QEMU's own agent

def test_qemus_own_agent_is_asked_in_its_own_words(guest, qemu_ga):
    qemu_ga.port.close()
    assert json.loads(on_host(guest, "--json", "ping").out)["round-trip-us"] > 0
    assert "guest-exec" in on_host(guest, "info").out
    assert json.loads(on_host(guest, "--json", "status").out) == {"state": "thawed", "by": "guest-fsfreeze-status"}
    reply = json.loads(on_host(guest, "--json", "freeze", *SOME).out)
    assert reply["by"] == "guest-fsfreeze-freeze-list" and reply["frozen"] >= 2
    assert guest.blocked(SOME, timeout=2) == SOME
    assert json.loads(on_host(guest, "--json", "status").out)["state"] == "frozen"
    thawed = on_host(guest, "thaw").out
    assert "by guest-fsfreeze-thaw" in thawed
    assert guest.blocked(SOME, timeout=30) == []
    # It has no deadline: nobody may believe that a lease ends its freeze.
    for arguments in (["freeze", "--hold", "5s"], ["freeze", "--lease", "5s"], ["plan"], ["thaw", "--id", "1"]):
        process = on_host(guest, *arguments, check=False)
        assert process.returncode == 1, arguments
    assert json.loads(on_host(guest, "--json", "status").out)["state"] == "thawed"
