# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases about the commands that report on the guest and change it: beside qemu-ga, and by what the guest itself says."""

import base64
import json
import struct
import time

import pytest

import disks
from agents import QemuGa
from ports import AgentError

REPORTS = [
    "guest-get-host-name", "guest-get-osinfo", "guest-get-timezone", "guest-get-users", "guest-get-time",
    "guest-get-cpustats", "guest-get-diskstats", "guest-network-get-interfaces", "guest-get-vcpus",
    "guest-get-memory-blocks", "guest-get-memory-block-info",
]
# What does not change from one call to the next.
STEADY = ["guest-get-host-name", "guest-get-osinfo", "guest-get-timezone", "guest-get-users", "guest-get-vcpus",
          "guest-get-memory-blocks", "guest-get-memory-block-info"]
# Of a version later than the qemu-ga in the guest: command -> members of an entry.
LATER = {"guest-get-load": {"load1m", "load5m", "load15m"}}
NUMBER = "a number"


def shape(value):
    """What a client relies on: members and their types; of an array, the members of all its entries."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        merged = {}
        for entry in map(shape, value):
            merged.update(entry if isinstance(entry, dict) else {"": entry})
        return [merged]
    return NUMBER if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def missing(theirs, ours, path=""):
    """What is in @theirs and not the same in @ours; more in @ours is no harm."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return [line for name, member in theirs.items() for line in missing(member, ours.get(name), f"{path}.{name}")]
    if isinstance(theirs, list) and isinstance(ours, list):
        return missing(theirs[0], ours[0], f"{path}[]")
    return [] if theirs == ours else [f"{path}: {theirs} is {ours} here"]


def unordered(value):
    return sorted(value, key=json.dumps) if isinstance(value, list) else value


def ask_qemu_ga(guest, commands):
    qemu_ga = QemuGa(guest).start()
    answers = {command: qemu_ga.call(command) for command in commands}
    qemu_ga.stop()
    return answers


def refused(agent, command, **arguments):
    with pytest.raises(AgentError) as caught:
        agent.call(command, **arguments)
    return caught.value


def test_reports_have_the_members_and_types_of_qemu_gas(guest, make_agent):
    theirs = ask_qemu_ga(guest, REPORTS)
    agent = make_agent(guest).start()
    for command in REPORTS:
        ours = agent.call(command)
        assert not missing(shape(theirs[command]), shape(ours)), command
        if command in STEADY:
            assert unordered(ours) == unordered(theirs[command]), command
    names = [[entry["name"] for entry in answer]
             for answer in (theirs["guest-get-diskstats"], agent.call("guest-get-diskstats"))]
    assert names[0] == names[1]
    for command, members in LATER.items():
        assert set(agent.call(command)) == members


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

COVERED = "/mnt/covered"  # qemu-ga tells of what covers it


def by_path(entries):
    return {(entry["mountpoint"], entry["name"]): entry for entry in entries}


def test_filesystems_are_told_of_as_by_qemu_ga(guest, make_agent):
    theirs = by_path(ask_qemu_ga(guest, ["guest-get-fsinfo"])["guest-get-fsinfo"])
    agent = make_agent(guest).start()
    ours = by_path(agent.call("guest-get-fsinfo"))
    assert set(ours) == set(theirs)
    for key, entry in theirs.items():
        assert not missing(shape(entry), shape(ours[key])) or "loop" in key[1], key
        for disk, same in zip(entry["disk"], ours[key]["disk"]):
            # This qemu-ga has no target of a SCSI disk.
            assert {**disk, "target": 0} == {name: 0 if name == "target" else value for name, value in same.items()
                                             if name != "serial"}, key
        if key[0] != COVERED and "btrfs" not in key[0]:
            assert (entry["used-bytes"], entry["total-bytes"]) == (ours[key]["used-bytes"], ours[key]["total-bytes"])
            assert ours[key]["total-bytes-privileged"] >= entry["total-bytes"]
    disks = {path: [disk["serial"] for disk in entry["disk"] if disk["bus-type"] == "virtio"]
             for (path, _), entry in ours.items()}
    # Through a loop device to the disks that hold its file.
    assert disks["/mnt/xfs"] == disks["/mnt/loop"] == disks["/mnt/loop-inner"] == ["xfs"]
    # Two devices, of which one lies on the disk ext4-b, on the SCSI controller.
    assert [disk["bus-type"] for disk in ours["/mnt/btrfs-loops", "loop2"]["disk"]] == ["scsi", "virtio"]


def test_disks_are_told_of_as_by_qemu_ga(guest, make_agent):
    theirs = {entry["name"]: entry for entry in ask_qemu_ga(guest, ["guest-get-disks"])["guest-get-disks"]}
    agent = make_agent(guest).start()
    ours = {entry["name"]: entry for entry in agent.call("guest-get-disks")}
    assert set(ours) == set(theirs)
    for name, entry in theirs.items():
        assert not missing(shape(entry), shape(ours[name])), name
        assert (entry["partition"], entry["dependencies"]) == (ours[name]["partition"], ours[name]["dependencies"])
    assert ours["/dev/dm-0"]["alias"] == "linear"


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


def test_each_filesystem_is_trimmed_once_and_read_only_ones_are_not(guest, make_agent):
    agent = make_agent(guest).start()
    before = discarded(guest)
    ours = {entry["path"]: entry for entry in agent.call("guest-fstrim")["paths"]}
    assert set(ours) == {*disks.PLANNED, *disks.SYNCED}
    assert all(set(entry) == {"path", "trimmed", "minimum"} for entry in ours.values()), ours
    assert ours["/mnt/xfs"]["trimmed"] > 0 and discarded(guest) > before
    failed = agent.call("guest-fstrim", minimum=-1)["paths"]
    agent.stop()
    qemu_ga = QemuGa(guest).start()
    theirs = {entry["path"]: entry for entry in qemu_ga.call("guest-fstrim", minimum=-1)["paths"]}
    qemu_ga.stop()
    assert all(entry == theirs[entry["path"]] for entry in failed)


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


def test_shutdown_runs_the_systems_program_and_answers_nothing(guest, agent):
    guest.push(b'#!/bin/sh\nfor word; do echo "$word"; done >/run/said.new\nmv /run/said.new /run/said\n'
               b'! test -e /run/fail\n', "/sbin/shutdown")
    try:
        for mode, option in ((None, "-P"), ("powerdown", "-P"), ("halt", "-H"), ("reboot", "-r")):
            agent.port.send({"execute": "guest-shutdown", **({"arguments": {"mode": mode}} if mode else {})})
            # The next answer is that to the next request.
            assert agent.call("guest-ping") == {}
            assert guest.sh("cat /run/said; rm /run/said").split("\n") == [option, "+0", "hypervisor initiated shutdown"]
        assert refused(agent, "guest-shutdown", mode="off").desc == (
            "mode is invalid (valid values are: halt|powerdown|reboot")
        guest.run("touch /run/fail")
        assert refused(agent, "guest-shutdown").desc == "'/sbin/shutdown' ended with status 1"
        info = {entry["name"]: entry for entry in agent.call("guest-info")["supported_commands"]}
        assert info["guest-shutdown"]["success-response"] is info["guest-suspend-ram"]["success-response"] is False
    finally:
        guest.run("rm -f /sbin/shutdown /run/said /run/fail")


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


def programs(agent):
    """The same programs by either agent."""
    yield execute(agent, "/bin/sh", "-c", "echo out; echo err >&2; exit 3", capture_output=True)
    yield execute(agent, "sh", "-c", "echo $A-$HOME; cat", env=["A=b", "PATH=/bin"], input_data=base64_of("in\n"),
                  capture_output=True)
    yield execute(agent, "/bin/sh", "-c", "kill -9 $$")
    yield execute(agent, "true")


def test_programs_run_as_by_qemu_ga(guest, make_agent):
    qemu_ga = QemuGa(guest).start()
    theirs = list(programs(qemu_ga))
    qemu_ga.stop()
    agent = make_agent(guest).start(config=FULL)
    assert list(programs(agent)) == theirs
    assert theirs[0] == {
        "exited": True, "exitcode": 3, "out-data": base64_of("out\n"), "err-data": base64_of("err\n"),
        "out-truncated": False, "err-truncated": False}
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


def with_files(agent, path):
    """The same file by either agent: what each step answers."""
    handle = agent.call("guest-file-open", path=path, mode="w+")
    yield agent.call("guest-file-write", handle=handle, buf_b64=base64_of("hello world"))
    yield agent.call("guest-file-write", handle=handle, buf_b64=base64_of("-and more"), count=4)
    yield agent.call("guest-file-flush", handle=handle)
    yield agent.call("guest-file-seek", handle=handle, offset=6, whence=0)
    yield agent.call("guest-file-read", handle=handle, count=5)
    yield agent.call("guest-file-read", handle=handle)
    yield agent.call("guest-file-seek", handle=handle, offset=-4, whence="end")
    yield agent.call("guest-file-read", handle=handle)
    for command, arguments in (("guest-file-read", {"handle": handle, "count": -1}),
                               ("guest-file-seek", {"handle": handle, "offset": 0, "whence": 7}),
                               ("guest-file-read", {"handle": 5}), ("guest-file-close", {"handle": 5}),
                               ("guest-file-open", {"path": "/nonexistent/x"}),
                               ("guest-file-open", {"path": path, "mode": "z"})):
        yield refused(agent, command, **arguments).desc
    yield agent.call("guest-file-close", handle=handle)


def test_files_are_read_and_written_as_by_qemu_ga(guest, make_agent):
    qemu_ga = QemuGa(guest).start()
    theirs = list(with_files(qemu_ga, "/run/theirs"))
    qemu_ga.stop()
    agent = make_agent(guest).start(config=FULL)
    ours = list(with_files(agent, "/run/theirs"))
    for mine, other in zip(ours, theirs):
        assert mine == other
    assert guest.sh("cat /run/theirs; rm /run/theirs") == "hello world-and"
    # Longer than other answers may be.
    guest.run("head -c 9437184 /dev/zero >/run/large")
    handle = agent.call("guest-file-open", path="/run/large")
    answer = agent.call("guest-file-read", handle=handle, count=48 << 20)
    assert answer["count"] == 9 << 20 and len(answer["buf-b64"]) == 12 << 20 and answer["eof"] is True
    agent.call("guest-file-close", handle=handle)
    guest.run("rm /run/large")


def with_keys(agent):
    """The same user's keys by either agent."""
    one, two, three = (f"ssh-ed25519 AAAA{n} key {n}" for n in range(3))
    yield agent.call("guest-ssh-add-authorized-keys", username="qa", keys=[one, two])
    yield agent.call("guest-ssh-add-authorized-keys", username="qa", keys=[two, three], reset=False)
    yield sorted(agent.call("guest-ssh-get-authorized-keys", username="qa")["keys"])
    yield agent.call("guest-ssh-remove-authorized-keys", username="qa", keys=[one, "ssh-rsa none"])
    yield sorted(agent.call("guest-ssh-get-authorized-keys", username="qa")["keys"])
    yield agent.call("guest-ssh-add-authorized-keys", username="qa", keys=[one], reset=True)
    yield sorted(agent.call("guest-ssh-get-authorized-keys", username="qa")["keys"])
    yield refused(agent, "guest-ssh-get-authorized-keys", username="nobody-here").klass


@pytest.fixture
def user(guest):
    """A user in the guest, with a home in memory."""
    before = guest.pull("/etc/passwd")
    guest.push(before + b"qa:x:1000:1000::/run/home:/bin/sh\n", "/etc/passwd", 0o644)
    guest.run("mkdir /run/home; chown 1000:1000 /run/home")
    yield "qa"
    guest.push(before, "/etc/passwd", 0o644)
    guest.run("rm -rf /run/home /run/secret")


def test_keys_are_changed_as_by_qemu_ga(guest, make_agent, user):
    qemu_ga = QemuGa(guest).start()
    theirs = list(with_keys(qemu_ga))
    qemu_ga.stop()
    guest.run("rm -r /run/home/.ssh")
    agent = make_agent(guest).start(config=FULL)
    assert list(with_keys(agent)) == theirs
    assert guest.sh("stat -c '%u %g %a' /run/home/.ssh /run/home/.ssh/authorized_keys").split("\n") == [
        "1000 1000 700", "1000 1000 600"]
    # A user who puts links there makes root read and write nothing.
    guest.run("mkdir /run/secret; echo secret >/run/secret/authorized_keys; rm -r /run/home/.ssh; "
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
