# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases about the commands that report on the guest and change it, by what the guest itself says; what qemu-ga says to
the same requests is compared by qa/parity."""

import base64
import json
import struct
import time

import pytest

import disks
from ports import AgentError

REPORTS = [
    "guest-get-host-name", "guest-get-osinfo", "guest-get-timezone", "guest-get-users", "guest-get-time",
    "guest-get-cpustats", "guest-get-diskstats", "guest-network-get-interfaces", "guest-get-vcpus",
    "guest-get-memory-blocks", "guest-get-memory-block-info",
]
# Of a version later than the qemu-ga in the guest: command -> members of an entry.
LATER = {"guest-get-load": {"load1m", "load5m", "load15m"}}


def unordered(value):
    return sorted(value, key=json.dumps) if isinstance(value, list) else value


def refused(agent, command, **arguments):
    with pytest.raises(AgentError) as caught:
        agent.call(command, **arguments)
    return caught.value


def test_a_profile_decides_what_is_allowed(guest, make_agent):
    agent = make_agent(guest).start(config="[commands]\nprofile=snapshot\n")
    listed = {entry["name"]: entry["enabled"] for entry in agent.call("guest-info")["supported_commands"]}
    for command in [*REPORTS, *LATER]:
        assert listed[command] is False
        error = refused(agent, command)
        assert (error.klass, error.desc) == ("CommandNotFound",
                                             f"Command {command} has been disabled: the command is not allowed")
    agent.stop()
    agent.start("-a", "guest-sync,guest-sync-delimited,guest-get-time", config="[commands]\nprofile=snapshot\n")
    assert agent.call("guest-get-time") > 10**18


def test_the_host_learns_what_the_guest_itself_says(guest, make_agent):
    guest.push(b"ID=other\nNAME='An \"other\" one'\n", "/run/os-release", 0o644)
    agent = make_agent(guest).start(env={"QGA_OS_RELEASE": "/run/os-release", "TZ": "XYZ-5:30"})
    info = agent.call("guest-get-osinfo")
    assert (info["id"], info["name"]) == ("other", 'An "other" one')
    assert info["kernel-release"] == guest.sh("uname -r") and "version" not in info
    assert agent.call("guest-get-timezone") == {"zone": "XYZ", "offset": 19800}
    guest.run("ip link set lo up; ip route add 198.51.100.0/24 dev lo", check=False)
    try:
        addresses = {address["ip-address"]: address["prefix"]
                     for interface in agent.call("guest-network-get-interfaces") if interface["name"] == "lo"
                     for address in interface.get("ip-addresses", [])}
        assert addresses["127.0.0.1"] == 8
        routes = [route for route in agent.call("guest-network-get-route") if route["destination"] == "198.51.100.0"]
        assert [(route["iface"], route["mask"], route["version"]) for route in routes] == [("lo", "255.255.255.0", 4)]
    finally:
        guest.run("ip route del 198.51.100.0/24; rm -f /run/os-release", check=False)
    assert abs(agent.call("guest-get-time") / 1e9 - int(guest.sh("date +%s"))) < 60


def login(user, seconds, kind=7):
    """An entry of utmp(5); 7 is a user's process."""
    return struct.pack("<h2xi32s4s32s256shhiii4i20x", kind, 1, b"tty1", b"1", user.encode(), b"", 0, 0, 0, seconds,
                       250000, 0, 0, 0, 0)


def test_users_are_told_of_by_their_earliest_login(guest, agent):
    guest.push(login("reboot", 1, 2) + login("qa", 300) + login("root", 200) + login("qa", 100) + login("gone", 50, 8),
               "/run/utmp", 0o644)
    try:
        assert unordered(agent.call("guest-get-users")) == unordered([{"user": "qa", "login-time": 100.25},
                                                                      {"user": "root", "login-time": 200.25}])
    finally:
        guest.run("rm /run/utmp")


def test_processors_and_memory_go_off_and_on_line(guest, agent):
    def online():
        return guest.sh("cat /sys/devices/system/cpu/online")
    assert agent.call("guest-set-vcpus", vcpus=[]) == 0
    assert agent.call("guest-set-vcpus", vcpus=[{"logical-id": 1, "online": False}]) == 1
    assert online() == "0"
    assert {entry["logical-id"]: entry["online"] for entry in agent.call("guest-get-vcpus")} == {0: True, 1: False}
    # The first that fails ends it; only where it is the first of all is that an error.
    assert agent.call("guest-set-vcpus", vcpus=[{"logical-id": 1, "online": True}, {"logical-id": 0, "online": False},
                                                {"logical-id": 1, "online": False}]) == 1
    assert online() == "0-1"
    assert refused(agent, "guest-set-vcpus",
                   vcpus=[{"logical-id": 0, "online": False}]).desc == "logical processor #0 can't be offlined"
    assert refused(agent, "guest-set-vcpus", vcpus=[{"logical-id": 99, "online": True}]).klass == "GenericError"
    assert refused(agent, "guest-set-vcpus", vcpus=[{"logical-id": 0}]).desc == "Parameter 'vcpus[0].online' is missing"

    index = max(entry["phys-index"] for entry in agent.call("guest-get-memory-blocks"))
    answer = agent.call("guest-set-memory-blocks", mem_blks=[{"phys-index": index, "online": False},
                                                             {"phys-index": 9999, "online": True},
                                                             {"phys-index": index, "online": True}])
    assert answer[1] == {"phys-index": 9999, "response": "not-found", "error-code": 2}
    assert [entry["phys-index"] for entry in answer] == [index, 9999, index]
    assert answer[2] == {"phys-index": index, "response": "success"}
    # Whether a block can be emptied is the kernel's affair.
    assert answer[0]["response"] in ("success", "operation-failed")
    assert all(entry["online"] for entry in agent.call("guest-get-memory-blocks"))


def test_while_frozen_no_report_is_made(agent):
    agent.call("guest-fsfreeze-freeze-list", mountpoints=["/mnt/ext4-a"])
    for command in REPORTS:
        assert refused(agent, command).desc == f"Command {command} has been disabled: the agent is in frozen state"
    assert agent.thaw() == 1


# ---- filesystems and disks

def test_filesystems_are_told_of_with_the_disks_below(agent):
    entries = agent.call("guest-get-fsinfo")
    disks = {entry["mountpoint"]: [disk["serial"] for disk in entry["disk"] if disk["bus-type"] == "virtio"]
             for entry in entries}
    # Through a loop device to the disks that hold its file.
    assert disks["/mnt/xfs"] == disks["/mnt/loop"] == disks["/mnt/loop-inner"] == ["xfs"]
    # Two devices, of which one lies on the disk ext4-b, on the SCSI controller.
    several, = (entry for entry in entries if entry["mountpoint"] == "/mnt/btrfs-loops")
    assert [disk["bus-type"] for disk in several["disk"]] == ["scsi", "virtio"]
    assert all(entry["total-bytes-privileged"] >= entry["total-bytes"] for entry in entries)
    names = {entry["name"]: entry for entry in agent.call("guest-get-disks")}
    assert names["/dev/dm-0"]["alias"] == "linear"


def test_a_filesystem_that_does_not_answer_is_told_of_without_its_size(guest, agent):
    guest.run("modprobe fuse; mkdir -p /mnt/dead; truncate -s 1M /run/dead; losetup /dev/loop7 /run/dead")
    # A filesystem whose process never answers anything.
    job = guest.spawn("exec 3<>/dev/fuse; mount -i -t fuseblk -o fd=3,rootmode=40000,user_id=0,group_id=0 "
                      "/dev/loop7 /mnt/dead && echo mounted && exec sleep 1000")
    try:
        job.wait_output("mounted")
        ours = {entry["mountpoint"]: entry for entry in agent.call("guest-get-fsinfo")}
        assert "used-bytes" not in ours["/mnt/dead"] and ours["/mnt/dead"]["type"] == "fuseblk"
        # Those behind it in the table, too.
        assert all("used-bytes" in entry for path, entry in ours.items() if path != "/mnt/dead")
    finally:
        guest.run("umount -l /mnt/dead", check=False)
        job.kill()
        job.wait()
        guest.run("rmdir /mnt/dead; losetup -d /dev/loop7; rm /run/dead")


def test_many_mounts_are_told_of(guest, agent):
    guest.run("mkdir -p /run/many; mount -t tmpfs many /run/many; cd /run/many; for i in $(seq 200); do mkdir $i; "
              "mount --bind /mnt/ext4-a/dir $i; done", timeout=600)
    try:
        entries = agent.call("guest-get-fsinfo")
        many = [entry for entry in entries if entry["mountpoint"].startswith("/run/many/")]
        assert len(many) == 200
        assert all({**entry, "mountpoint": ""} == {**many[0], "mountpoint": ""} for entry in many)
    finally:
        guest.run("umount -l /run/many; rmdir /run/many", timeout=600)


# ---- what changes something

def discarded(guest):
    return sum(int(line.split()[13]) for line in guest.sh("cat /proc/diskstats").splitlines())


def test_each_filesystem_is_trimmed_once_and_read_only_ones_are_not(guest, agent):
    before = discarded(guest)
    ours = {entry["path"]: entry for entry in agent.call("guest-fstrim")["paths"]}
    assert set(ours) == {*disks.PLANNED, *disks.SYNCED}
    assert all(set(entry) == {"path", "trimmed", "minimum"} for entry in ours.values()), ours
    assert ours["/mnt/xfs"]["trimmed"] > 0 and discarded(guest) > before


def test_the_time_is_set_in_both_clocks(guest, agent):
    def hardware():
        return int(guest.sh("cat /sys/class/rtc/rtc0/since_epoch"))

    def system():
        return int(guest.sh("date +%s"))
    there = 2000000000
    try:
        assert agent.call("guest-set-time", time=there * 10**9 + 1) == {}
        assert 0 <= system() - there < 60 and -1 <= hardware() - there < 60
        guest.run("date -s @1500000000")
        assert agent.call("guest-set-time") == {}
        assert 0 <= system() - there < 120 and abs(system() - hardware()) <= 1
        assert refused(agent, "guest-set-time", time=-1).klass == "GenericError"
        assert refused(agent, "guest-set-time", time="1").desc == (
            "Invalid parameter type for 'time', expected: integer")
        assert abs(system() - hardware()) <= 1
    finally:
        agent.call("guest-set-time", time=int(time.time() * 10**9))


def test_the_guest_is_suspended_and_woken(guest, agent):
    assert refused(agent, "guest-suspend-disk").klass == "GenericError"
    agent.port.send({"execute": "guest-suspend-ram"})
    guest.qmp_port.wait_event("SUSPEND", lambda data: True, 120)
    guest.qmp("system_wakeup")
    # Nothing was answered but this.
    assert agent.call("guest-ping", timeout=120) == {}


# ---- profile full

FULL = "[commands]\nprofile=full\n"


def execute(agent, path, *args, **options):
    """Runs a program to its end: the status that says so."""
    pid = agent.call("guest-exec", path=path, arg=list(args), **options)["pid"]
    deadline = time.monotonic() + 60
    while True:
        status = agent.call("guest-exec-status", pid=pid)
        if status["exited"]:
            return status
        assert status == {"exited": False} and time.monotonic() < deadline
        time.sleep(0.02)


def base64_of(text):
    return base64.b64encode(text.encode()).decode()


def test_programs_run_with_their_outputs_as_asked_for(guest, make_agent):
    agent = make_agent(guest).start(config=FULL)
    both = "echo a; echo b >&2"
    assert execute(agent, "sh", "-c", both, capture_output="merged")["out-data"] == base64_of("a\nb\n")
    assert "out-data" not in execute(agent, "sh", "-c", both, capture_output="stderr")
    assert refused(agent, "guest-exec", path="/nonexistent").klass == "GenericError"
    assert refused(agent, "guest-exec", path="true", capture_output="all").desc == (
        "Parameter 'capture-output' does not accept value 'all'")
    assert refused(agent, "guest-exec-status", pid=1).klass == "GenericError"
    # One that holds the agent's own freeze up would be a bad one.
    pid = agent.call("guest-exec", path="sleep", arg=["600"])["pid"]
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=["/mnt/ext4-a"]) == 1
    assert refused(agent, "guest-exec", path="true").desc.endswith("the agent is in frozen state")
    assert agent.thaw() == 1
    guest.run(["kill", str(pid)])


def test_a_file_is_read_by_large_pieces(guest, make_agent):
    agent = make_agent(guest).start(config=FULL)
    # Longer than other answers may be.
    guest.run("head -c 9437184 /dev/zero >/run/large")
    handle = agent.call("guest-file-open", path="/run/large")
    answer = agent.call("guest-file-read", handle=handle, count=48 << 20)
    assert answer["count"] == 9 << 20 and len(answer["buf-b64"]) == 12 << 20 and answer["eof"] is True
    agent.call("guest-file-close", handle=handle)
    guest.run("rm /run/large")


@pytest.fixture
def user(guest):
    """A user in the guest, with a home in memory."""
    before = guest.pull("/etc/passwd")
    guest.push(before + b"qa:x:1000:1000::/run/home:/bin/sh\n", "/etc/passwd", 0o644)
    guest.run("mkdir /run/home; chown 1000:1000 /run/home")
    yield "qa"
    guest.push(before, "/etc/passwd", 0o644)
    guest.run("rm -rf /run/home /run/secret")


def test_a_user_cannot_have_other_files_read_or_written_as_keys(guest, make_agent, user):
    agent = make_agent(guest).start(config=FULL)
    # A user who puts links there makes root read and write nothing.
    guest.run("mkdir /run/secret; echo secret >/run/secret/authorized_keys; "
              "ln -s /run/secret /run/home/.ssh")
    for command, arguments in (("get", {}), ("add", {"keys": ["ssh-rsa AAAA"]}), ("remove", {"keys": ["secret"]})):
        refused(agent, f"guest-ssh-{command}-authorized-keys", username=user, **arguments)
    guest.run("rm /run/home/.ssh; mkdir /run/home/.ssh; ln /run/secret/authorized_keys /run/home/.ssh/; "
              "chown -R 1000:1000 /run/home; chmod 0 /run/home/.ssh; chown 0:0 /run/home/.ssh")
    refused(agent, "guest-ssh-get-authorized-keys", username=user)
    assert guest.sh("cat /run/secret/authorized_keys") == "secret"


def test_a_password_is_set_by_the_systems_program(guest, make_agent):
    agent = make_agent(guest).start(config=FULL)
    arguments = {"username": "qa", "password": base64_of("a:b c"), "crypted": False}
    assert refused(agent, "guest-set-user-password", **arguments).klass == "GenericError"
    guest.push(b'#!/bin/sh\nexec >/run/said; printf "%s\\n" "$*"; cat; ! test -e /run/fail\n', "/usr/sbin/chpasswd")
    try:
        assert agent.call("guest-set-user-password", **arguments) == {}
        assert guest.sh("cat /run/said") == "\nqa:a:b c"
        assert agent.call("guest-set-user-password", **{**arguments, "crypted": True}) == {}
        assert guest.sh("cat /run/said") == "-e\nqa:a:b c"
        for bad in ({"password": base64_of("a\nroot:b")}, {"username": "qa:x"}, {"username": "qa\nroot"},
                    {"password": "?"}):
            guest.run("rm -f /run/said")
            refused(agent, "guest-set-user-password", **{**arguments, **bad})
            guest.run("! test -e /run/said")
        guest.run("touch /run/fail")
        assert refused(agent, "guest-set-user-password", **arguments).desc == "'/usr/sbin/chpasswd' ended with status 1"
    finally:
        guest.run("rm -f /usr/sbin/chpasswd /run/said /run/fail")
