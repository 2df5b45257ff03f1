# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases about the guest itself: what the other cases rely on."""

import subprocess
import time

import pytest

import disks
import image
import ports
from guest import CommandFailed
from ports import AgentError, GuestDied, Timeout
from writers import Writers, verify


def helper(name):
    try:
        return image.helpers() / name
    except image.Unavailable as error:
        pytest.skip(str(error))


# ---- on the host, without a guest

def test_qa_freeze_refuses_outside_a_guest(tmp_path):
    result = subprocess.run([helper("qa-freeze"), "freeze", tmp_path / "no-such-path"], capture_output=True, text=True)
    assert result.returncode == 77
    assert "refused" in result.stderr


def test_verify_finds_what_is_torn_or_missing(tmp_path):
    path = tmp_path / "records"
    subprocess.run([helper("qa-writer"), "-d", "0.2", "-r", "2000000", "-l", tmp_path / "log", path], check=True)
    whole = verify(path)
    assert whole["intact"] and whole["last"] == len((tmp_path / "log").read_text().splitlines()) - 1
    data = path.read_bytes()

    path.write_bytes(data[:512 * 5 + 100] + b"?" + data[512 * 5 + 101:])
    torn = verify(path)
    assert not torn["intact"] and torn["last"] == 4 and torn["torn"] == 1 and torn["good-behind"] > 0

    path.write_bytes(data[:512 * 7] + bytes(512) + data[512 * 8:])
    assert verify(path)["last"] == 6, "a block of zeros is no record"

    path.write_bytes(data[:-100])
    assert not verify(path)["intact"] and verify(path)["last"] == whole["last"] - 1

    path.write_bytes(data[:512 * 3] + data[512 * 4:])
    assert verify(path)["last"] == 2, "a record in another's place is not good"


# ---- commands

def test_commands_give_status_output_and_take_input(guest):
    job = guest.run("echo out; echo err >&2; exit 7", check=False)
    assert (job.stdout, job.stderr, job.returncode) == ("out\n", "err\n", 7)
    assert guest.run(["tr", "a-z", "A-Z"], input="grün").stdout == "GRüN"
    assert guest.run("kill -9 $$", check=False).returncode == -9
    assert guest.run(["no-such-program"], check=False).returncode == 127
    with pytest.raises(CommandFailed, match="status 1"):
        guest.run("false")
    with pytest.raises(Timeout):
        guest.run("sleep 60", timeout=0.5)


def test_files_go_in_and_out(guest):
    data = bytes(range(256)) * 4096 * 3
    guest.push(data, "/tmp/file with space", 0o600)
    assert guest.sh("stat -c %a '/tmp/file with space'") == "600"
    assert guest.pull("/tmp/file with space") == data
    guest.run("rm /tmp/file*")


def test_commands_run_side_by_side(guest):
    slow = guest.spawn("echo begun; read line; echo got $line")
    slow.wait_output("begun")
    assert guest.sh("echo quick") == "quick"
    assert slow.poll() is None
    slow.write("word\n")
    assert slow.wait().stdout == "begun\ngot word\n"


def test_a_background_process_does_not_hold_its_command(guest):
    job = guest.run("sleep 300 & echo $!", timeout=60)
    guest.run(["kill", job.stdout.strip()])


# ---- disks

def test_the_layout_is_as_described(guest):
    table = {mount["mountpoint"]: mount for mount in guest.mounts()}  # the last one on a path wins, as for open()
    for path, fstype in {**disks.PLANNED, **disks.SYNCED, **disks.LEFT_OUT}.items():
        assert table[path]["fstype"] == fstype, path
    for path in disks.PLANNED:
        assert table[path]["super"].startswith("rw"), path
    for path, same in disks.ALIASES.items():
        assert table[path]["device"] == table[same]["device"], path
    numbers = [table[path]["device"] for path in disks.PLANNED]
    assert len(set(numbers)) == len(numbers), "each planned path is a superblock of its own"
    assert table["/mnt/read-only"]["super"].startswith("ro")
    assert table["/mnt/ro-bind"]["options"].startswith("ro") and table["/mnt/ro-bind"]["super"].startswith("rw")
    assert table["/mnt/btrfs-one"]["root"] != table["/mnt/btrfs-two"]["root"]
    covered = [mount for mount in guest.mounts() if mount["mountpoint"] == "/mnt/covered"]
    assert len(covered) == 2 and covered[0]["device"] == table["/mnt/uncovered"]["device"]
    assert guest.sh("cat /sys/block/loop0/loop/backing_file") == "/mnt/xfs/outer.img"
    assert guest.sh("cat /sys/block/loop1/loop/backing_file") == "/mnt/loop/inner.img"
    assert guest.sh("ls /sys/block/dm-0/slaves").startswith("sd")
    assert len(guest.sh("ls /sys/fs/btrfs/*/devices/ | grep loop").split()) == 2
    assert set(guest.access([*disks.PLANNED, *disks.SYNCED]).values()) == {"done"}


def test_root_is_on_a_disk(root_guest):
    table = {mount["mountpoint"]: mount for mount in root_guest.mounts()}
    assert table["/"]["fstype"] == "ext4" and table["/run"]["fstype"] == "tmpfs"
    assert root_guest.sh("readlink /proc/1/exe") == "/qa/command-server" and table["/qa"]["fstype"] == "tmpfs"


@pytest.mark.parametrize("variant", ["guest", "root_guest"])
def test_frozen_means_blocked_and_the_guest_still_answers(variant, request):
    guest = request.getfixturevalue(variant)
    paths = list(disks.PLANNED if variant == "guest" else disks.ROOT_PLANNED)
    # What lies on a loop device before what holds its backing file: the reverse hangs for ever.
    for path in reversed(paths):
        guest.run(["qa-freeze", "freeze", path])
    try:
        assert set(guest.access(paths, timeout=3).values()) == {"blocked"}
        assert set(guest.access(paths, timeout=10, read=True).values()) == {"done"}
        again = guest.run(["qa-freeze", "freeze", paths[0]], check=False)
        assert again.returncode == 1 and "EBUSY" in again.stderr
        assert guest.sh("echo still here") == "still here"
    finally:
        for path in paths:
            guest.run(["qa-freeze", "thaw", path])
    assert set(guest.access(paths, timeout=60).values()) == {"done"}


def test_an_unclean_guest_is_noticed(guest):
    from conftest import unclean
    guest.run(["qa-freeze", "freeze", "/mnt/linear"])
    try:
        assert guest.blocked(["/mnt/linear", "/mnt/xfs"], timeout=2) == ["/mnt/linear"]
    finally:
        guest.run(["qa-freeze", "thaw", "/mnt/linear"])
    guest.run("mount -t tmpfs more /mnt/tmpfs")
    assert "mount table" in unclean(guest)
    guest.run("umount /mnt/tmpfs")


# ---- the hypervisor's side

def test_qemu_ga_freezes_and_thaws(guest, qemu_ga):
    assert qemu_ga.call("guest-ping") == {}
    assert qemu_ga.status() == "thawed"
    with pytest.raises(AgentError, match="CommandNotFound"):
        qemu_ga.call("guest-no-such-command")
    some = ["/mnt/ext4-a", "/mnt/with space"]
    assert qemu_ga.call("guest-fsfreeze-freeze-list", mountpoints=some) > 0
    assert qemu_ga.status() == "frozen"
    words = guest.access([*some, "/mnt/xfs"], timeout=3)
    assert words == {"/mnt/ext4-a": "blocked", "/mnt/with space": "blocked", "/mnt/xfs": "done"}
    qemu_ga.port.close()  # the host hangs up and comes back
    assert qemu_ga.status() == "frozen"
    assert qemu_ga.thaw() > 0
    assert set(guest.access(some, timeout=60).values()) == {"done"}


def test_our_agent_freezes_what_is_planned_and_thaws_it(guest, agent):
    assert agent.freeze() == len(disks.PLANNED) and agent.status() == "frozen"
    assert guest.blocked(disks.PLANNED, timeout=3) == list(disks.PLANNED)
    assert set(guest.access(disks.PLANNED, timeout=30, read=True).values()) == {"done"}
    assert agent.thaw() == len(disks.PLANNED) and agent.status() == "thawed"
    assert guest.blocked(disks.PLANNED, timeout=30) == []


def test_our_agent_freezes_the_root_file_system(root_guest, make_agent):
    agent = make_agent(root_guest).start("-l", "/var/log/agent.log", "-v")
    assert agent.freeze() == len(disks.ROOT_PLANNED)
    assert root_guest.blocked(disks.ROOT_PLANNED, timeout=3) == list(disks.ROOT_PLANNED)
    assert agent.thaw() == len(disks.ROOT_PLANNED)
    root_guest.wait_for("grep -q guest-fsfreeze-freeze /var/log/agent.log", what="the log, after the thaw")


def test_raw_bytes_reach_the_agent(qemu_ga):
    port = qemu_ga.port
    port.send(b'{"execute": "guest-pi')
    port.send(b'ng"}{"execute":"guest-sync","arguments":{"id":5}}')
    assert port.read_line() == b'{"return": {}}'
    assert port.read_reply() == {"return": 5}
    port.send(b'{"half')
    port.sync()


def test_isa_and_further_ports_reach_the_guest(guest):
    for name, device in (("test", "/dev/virtio-ports/org.snapfreeze.test.1"), ("isa", "/dev/ttyS1")):
        with guest.agent_port(name) as port:
            # A virtio port reads as ended until the guest knows that the host's side is open.
            job = guest.spawn(f"exec <>{device}; stty raw -echo 2>/dev/null; echo open >&2;"
                              " until read line; do usleep 50000; done; echo got $line >&0; read more")
            job.wait_output("open")
            port.send("hello\n")
            assert port.read_line().strip() == b"got hello"
        # Not before: the end of the session whose terminal the line is would hang it up, with what is unsent.
        job.kill()
        job.wait()


def test_disks_are_copied_as_they_are_at_one_moment(guest, tmp_path):
    writers = Writers(guest, ["/mnt/ext4-a/records"], "-r", 200000).wait_records(50)
    guest.run(["qa-freeze", "freeze", "/mnt/ext4-a"])
    try:
        before = writers.last()["/mnt/ext4-a/records"]
        guest.copy_disks({"ext4-a": tmp_path / "copy"})
    finally:
        guest.run(["qa-freeze", "thaw", "/mnt/ext4-a"])
    writers.wait_records(before + 200).stop()
    subprocess.run(["/usr/sbin/debugfs", "-R", f"dump /records {tmp_path}/records", tmp_path / "copy"], check=True,
                   capture_output=True)
    found = verify(tmp_path / "records")
    assert found["intact"] and found["last"] >= before
    assert found["last"] <= before + 1, "what was written after the freeze is not in the copy"
    assert verify("/mnt/ext4-a/records", guest)["last"] >= before + 199

    guest.plug("copy", tmp_path / "copy")
    guest.run("mkdir /run/copy && mount -t ext4 -o ro /dev/qa/copy /run/copy")
    assert verify("/run/copy/records", guest)["last"] == found["last"]
    guest.run("umount /run/copy && rmdir /run/copy")
    guest.unplug("copy")
    assert not guest.sh("ls /dev/qa | grep copy; :")
    guest.run("rm /mnt/ext4-a/records")


# ---- its end

def test_of_a_guest_that_hangs_its_error_says_what_the_processors_do(guest, monkeypatch):
    monkeypatch.setattr(ports, "SILENCE", 1)
    guest.qmp("stop")
    try:
        with pytest.raises(Timeout, match=r"(?s)runs no command any more.*RIP=.*look 2, processor 1: \S+.*on its stack: \w+\+0x"):
            guest.run("true", timeout=1)
    finally:
        guest.qmp("cont")
    with pytest.raises(Timeout) as error:
        guest.run("sleep 60", timeout=1)
    assert "any more" not in str(error.value), "one that answers does not hang"



def test_a_dead_guest_is_told_at_once(bare_guest):
    guest = bare_guest()
    job = guest.spawn("sleep 1000")
    begin = time.monotonic()
    guest.qmp("quit")
    with pytest.raises(GuestDied):
        job.wait(60)
    assert time.monotonic() - begin < 30
    pid = guest.process.pid
    guest.stop()
    assert guest.process.poll() is not None and not guest.folder.exists()
    assert subprocess.run(["ps", "-p", str(pid)], capture_output=True).returncode != 0
