# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests that only mean something in a row: freezing and thawing, files, programs, keys, and what changes the guest."""

import base64
import time

import requests
from exchange import Case, Guest, Host, Until, encoded, request

SOME = ["/mnt/ext4-a", "/mnt/linear"]
FREEZE, THAW, STATUS = (request(f"guest-fsfreeze-{word}") for word in ("freeze", "thaw", "status"))
PING = request("guest-ping")


def freeze_list(*paths):
    return request("guest-fsfreeze-freeze-list", mountpoints=list(paths))


def base64_of(text):
    return base64.b64encode(text.encode()).decode()


def hang_up(guest, agent):
    """The host closes its side of the port, and opens it again."""
    agent.port.close()
    agent.port.open()


# ---- freezing

def while_frozen():
    """Each command, bad arguments and all, while two filesystems are frozen."""
    names = [*requests.ARGUMENTS, *requests.LATER, "guest-nonsense"]
    allowed = [request("guest-sync", id=5), PING, STATUS]
    refused = [{"execute": name, "arguments": {"no-such": 1}} for name in names]
    return Case("each command while frozen", freeze_list(*SOME), *allowed, *refused, THAW, STATUS)


def one_write(*commands):
    """guest-sync-delimited before each command, as PVE has them, all in one write."""
    return b"".join(encoded(request("guest-sync-delimited", id=number + 1), command)
                    for number, command in enumerate(commands))


def writes(seconds, *paths):
    """What becomes of a write to each path."""
    return Guest(f"qa-write -t {seconds} -- {' '.join(paths)} >/run/parity-file; cut -f1,3 /run/parity-file")


def freeze_cases():
    sync = request("guest-sync", id=1)
    return [
        Case("thaw of what is thawed", STATUS, THAW, STATUS),
        Case("all of it", STATUS, FREEZE, STATUS, THAW, STATUS, vague="*"),
        Case("how many that are", FREEZE, THAW),
        Case("a list", freeze_list(*SOME), STATUS, THAW, STATUS),
        Case("an empty list", freeze_list(), STATUS, THAW, STATUS),
        Case("no list", request("guest-fsfreeze-freeze-list"), STATUS, THAW, vague="*"),
        Case("a path twice", freeze_list(SOME[0], SOME[0]), THAW),
        Case("a path with a slash behind it", freeze_list(SOME[0] + "/"), STATUS, THAW),
        Case("a path that is none", freeze_list("/mnt/none"), STATUS, THAW),
        Case("one path of two that is none", freeze_list(SOME[0], "/mnt/none"), STATUS, THAW),
        Case("a folder", freeze_list(SOME[0] + "/dir"), STATUS, THAW),
        Case("a bind mount", freeze_list("/mnt/bind"), STATUS, THAW),
        Case("a btrfs subvolume", freeze_list("/mnt/btrfs-two"), STATUS, THAW),
        Case("two subvolumes of one btrfs", freeze_list("/mnt/btrfs-one", "/mnt/btrfs-two"), STATUS, THAW),
        Case("only what cannot be frozen", freeze_list("/mnt/vfat"), STATUS, THAW),
        Case("what cannot be frozen beside what can", freeze_list("/mnt/vfat", SOME[0]), STATUS, THAW),
        Case("mounted read-only", freeze_list("/mnt/read-only"), STATUS, THAW),
        Case("a tmpfs", freeze_list("/mnt/tmpfs"), STATUS, THAW),
        Case("an overlay", freeze_list("/mnt/overlay"), STATUS, THAW),
        Case("blanks and letters in paths", freeze_list("/mnt/with space", "/mnt/grün-日本"), STATUS, THAW),
        Case("freeze while frozen", freeze_list(SOME[0]), FREEZE, freeze_list(SOME[1]), STATUS, THAW),
        Case("thaw twice", freeze_list(*SOME), THAW, THAW, STATUS),
        Case("frozen again at once", freeze_list(SOME[0]), THAW, freeze_list(SOME[0]), THAW),
        while_frozen(),
        Case("guest-info while frozen", freeze_list(SOME[0]), request("guest-info"), THAW, vague=("version",)),
        Case("the host hangs up while frozen", freeze_list(SOME[0]), Host(hang_up), sync, STATUS, THAW),
        Case("0xFF while frozen", freeze_list(SOME[0]), b"\xff", STATUS, THAW),
        Case("PVE: freeze in one write", one_write(freeze_list(*SOME)), Host(wait_frozen), STATUS, THAW),
        Case("PVE: status, thaw in one write", freeze_list(*SOME), one_write(STATUS, THAW)),
        Case("libvirt: sync, freeze, sync, thaw", sync, freeze_list(*SOME), sync, THAW),
        Case("what frozen writers see", freeze_list(SOME[0]), writes(2, *SOME), THAW, writes(60, SOME[0])),
    ]


def wait_frozen(guest, agent):
    guest.wait_for(lambda: guest.blocked(SOME, timeout=1) == SOME, what="the freeze")


# ---- files

class FileCase(Case):
    def __init__(self, name, *steps):
        super().__init__(name, *steps, chosen=int)


def file_steps(path, mode, *steps):
    """Opens a file, and takes @steps with its handle."""
    first = request("guest-file-open", path=path, mode=mode)

    def with_handle(command, arguments):
        return lambda answers: request(f"guest-file-{command}", handle=answers[0]["return"], **arguments)
    return [first, *(with_handle(command, arguments) for command, arguments in steps)]


def file_cases():
    path = "/run/parity-file"
    write = ("write", {"buf_b64": base64_of("hello world")})
    full = [write, ("write", {"buf_b64": base64_of("-and more"), "count": 4}), ("flush", {}),
            ("seek", {"offset": 6, "whence": 0}), ("read", {"count": 5}), ("read", {}), ("read", {}),
            ("seek", {"offset": -4, "whence": 2}), ("read", {"count": 0}), ("read", {"count": -1}),
            ("read", {"count": (48 << 20) + 1}), ("seek", {"offset": 0, "whence": 7}),
            ("seek", {"offset": 0, "whence": "set"}), ("seek", {"offset": -100, "whence": "set"}),
            ("seek", {"offset": 0, "whence": "nowhere"}), ("write", {"buf_b64": "?"}), ("write", {"buf_b64": ""}),
            ("write", {"buf_b64": "YWJj\nZGVm\n"}), ("write", {"buf_b64": "YWJj", "count": 4}),
            ("write", {"buf_b64": "YWJj", "count": -1}), ("write", {"buf_b64": "YWJj", "count": 0}), ("close", {}),
            ("close", {}), ("read", {})]
    cases = [FileCase(f"mode {mode!r}", Guest(f"printf text >{path}"),
                      *file_steps(path, mode, ("read", {}), write, ("seek", {"offset": 0, "whence": 0}), ("read", {}),
                                  ("close", {})), Guest(f"cat {path}"))
             for mode in ("r", "rb", "w", "wb", "a", "ab", "r+", "rb+", "r+b", "w+", "wb+", "w+b", "a+", "ab+", "a+b")]
    cases += [FileCase(f"mode {mode!r}", request("guest-file-open", path=path, mode=mode))
              for mode in ("", "z", "rw", "x", "rt", "r,ccs=UTF-8", "re")]
    return cases + [
        FileCase("write, seek, read", *file_steps(path, "w+", *full), Guest(f"cat {path}")),
        *(FileCase(f"open {where[:40]}", request("guest-file-open", path=where))
          for where in ("/nonexistent/x", "", "/run", "/etc/passwd/x", "relative", "/" + "x" * 300)),
        FileCase("open a folder to write", request("guest-file-open", path="/run", mode="w")),
        FileCase("a device without an end", *file_steps("/dev/zero", "r", ("read", {"count": 10}), ("close", {}))),
        FileCase("a device that is full", *file_steps("/dev/full", "w", write, ("flush", {}), ("close", {}))),
    ]


# ---- programs

def programs():
    shell = "/bin/sh"
    everything = base64_of("in\n" * 3)
    return {
        "output and errors": {"path": shell, "arg": ["-c", "echo out; echo err >&2; exit 3"], "capture-output": True},
        "no capture": {"path": shell, "arg": ["-c", "echo out"]},
        "capture false": {"path": shell, "arg": ["-c", "echo out"], "capture-output": False},
        "no output": {"path": shell, "arg": ["-c", "exit 0"], "capture-output": True},
        "only errors": {"path": shell, "arg": ["-c", "echo err >&2"], "capture-output": True},
        "killed": {"path": shell, "arg": ["-c", "kill -9 $$"], "capture-output": True},
        "killed by SIGTERM": {"path": shell, "arg": ["-c", "echo x; kill $$"], "capture-output": True},
        "input": {"path": shell, "arg": ["-c", "cat"], "input-data": everything, "capture-output": True},
        "input with newlines": {"path": shell, "arg": ["-c", "cat"], "input-data": "YWJj\nZGVm\n",
                                "capture-output": True},
        "input that nobody reads": {"path": shell, "arg": ["-c", "exit 7"], "input-data": base64_of("x" * 200000)},
        "empty input": {"path": shell, "arg": ["-c", "cat"], "input-data": "", "capture-output": True},
        "no input": {"path": shell, "arg": ["-c", "cat; readlink /proc/$$/fd/0"], "capture-output": True},
        "environment": {"path": shell, "arg": ["-c", "env | grep -v '^_\\|PWD\\|SHLVL' | sort"],
                        "env": ["A=b", "C=d e", "PATH=/bin"], "capture-output": True},
        "no arguments": {"path": "/bin/true"},
        "looked for in PATH": {"path": "true"},
        "arguments as they are": {"path": "/bin/echo", "arg": ["a b", "$HOME", "*", "", "\"'"], "capture-output": True},
        "its name": {"path": shell, "arg": ["-c", "echo $0"], "capture-output": True},
        "folder and session": {"path": shell, "arg": ["-c", "pwd; cut -d' ' -f6 /proc/$$/stat | grep -qx $$; echo $?"],
                               "capture-output": True},
        "other descriptors": {"path": shell, "arg": ["-c", "exec ls /proc/$$/fd"], "capture-output": True},
        "ignored signals": {"path": shell, "arg": ["-c", "grep -E 'Sig(Ign|Blk)' /proc/$$/status"],
                            "capture-output": True},
        "1 MiB": {"path": shell, "arg": ["-c", "head -c 1048576 /dev/zero | tr '\\0' x"], "capture-output": True},
    }


def pid_of(started):
    return started["pid"]


def status(answers):
    return request("guest-exec-status", pid=pid_of(answers[0]["return"]))


def ended(answer):
    return "error" in answer or answer["return"]["exited"]


def exec_cases():
    sleeper = request("guest-exec", path="/bin/sh", arg=["-c", "exec sleep 600"])
    return [
        *(Case(name, {"execute": "guest-exec", "arguments": arguments}, Until(status, ended), status, chosen=pid_of)
          for name, arguments in programs().items()),
        Case("still running", sleeper, status, lambda answers: Guest(f"kill {pid_of(answers[0]['return'])}"),
             Until(status, ended), status, chosen=pid_of),
        *(Case(f"program {path!r}", request("guest-exec", path=path), chosen=pid_of)
          for path in ("/nonexistent", "", "no-such-program", "/run", "/etc/passwd")),
        Case("input that is no base64", request("guest-exec", path="/bin/true", input_data="?"), chosen=pid_of),
        *(Case(f"capture-output {mode!r}", request("guest-exec", path="/bin/true", capture_output=mode), chosen=pid_of)
          for mode in ("none", "stdout", "stderr", "separated", "merged", "all", "")),
    ]


# ---- keys, passwords

def keys(verb, *words, user="qa", **more):
    return request(f"guest-ssh-{verb}-authorized-keys", username=user, **({"keys": list(words)} if words else {}), **more)


def key_cases():
    one, two, three = (f"ssh-ed25519 AAAA{number} key {number}" for number in range(3))
    look = Guest("stat -c '%u %g %a' /run/home/.ssh /run/home/.ssh/authorized_keys; grep . /run/home/.ssh/authorized_keys")
    fresh = Guest("rm -rf /run/home/.ssh")
    return [
        Case("no keys yet", fresh, keys("get"), keys("remove", one), Guest("ls -A /run/home")),
        Case("add, get, remove", fresh, keys("add", one, two), keys("add", two, three, reset=False), look, keys("get"),
             keys("remove", one, "ssh-rsa none"), look, keys("get"), keys("add", one, reset=True), look, keys("get"),
             keys("remove", one), look, keys("get")),
        Case("a key twice", fresh, keys("add", one, one), look, keys("get")),
        Case("what others wrote", Guest("mkdir -p /run/home/.ssh; printf '# note\\n\\n%s\\n' 'ssh-rsa old' "
                                        ">/run/home/.ssh/authorized_keys; chown -R 1000:1000 /run/home/.ssh"),
             keys("get"), keys("add", one), look, keys("remove", "ssh-rsa old"), look),
        Case("without a newline at the end", Guest("mkdir -p /run/home/.ssh; printf 'ssh-rsa old' "
                                                   ">/run/home/.ssh/authorized_keys; chown -R 1000:1000 /run/home/.ssh"),
             keys("add", one), look),
        *(Case(f"key {word!r}", fresh, keys("add", word), Guest("grep . /run/home/.ssh/authorized_keys"))
          for word in ("", "two\nlines", "# a comment", " ", "x" * 5000)),
        *(Case(f"user {user!r}", keys("get", user=user), keys("add", one, user=user), keys("remove", one, user=user))
          for user in ("nobody-here", "", "qa:x", "../root")),
    ]


def password_cases():
    def password(**changes):
        return request("guest-set-user-password", **{"username": "qa", "password": base64_of("a:b c"), "crypted": False,
                                                     **changes})
    said = Guest("cat /run/said; rm -f /run/said")
    return [
        Case("in plain", password(), said),
        Case("crypted", password(crypted=True, password=base64_of("$6$salt$hash")), said),
        Case("empty", password(password=""), said),
        Case("no base64", password(password="?"), said),
        Case("two lines", password(password=base64_of("a\nroot:b")), said),
        Case("colon in the name", password(username="qa:x"), said),
        Case("newline in the name", password(username="qa\nroot"), said),
        Case("the program fails", Guest("touch /run/fail"), password(), said, Guest("rm /run/fail")),
    ]


# ---- what changes the guest

def set_clock(guest, agent):
    guest.run(f"date -s @{int(time.time())} >/dev/null; hwclock -wu 2>/dev/null; :")


def shutdown_cases():
    # The last words are on their way when the next answer is.
    said = Guest("i=0; until test -s /run/said || test $i = 50; do usleep 100000; i=$((i+1)); done; "
                 "cat /run/said; rm -f /run/said")
    return [
        *(Case(f"shutdown {mode}", encoded(request("guest-shutdown", **({"mode": mode} if mode else {}))), said)
          for mode in (None, "powerdown", "halt", "reboot")),
        *(Case(f"shutdown {mode!r}", request("guest-shutdown", mode=mode)) for mode in ("off", "", "Halt")),
        Case("shutdown fails", Guest("touch /run/fail"), request("guest-shutdown"), said, Guest("rm /run/fail")),
        Case("suspend to disk", request("guest-suspend-disk")),
        Case("suspend to both", request("guest-suspend-hybrid")),
    ]


def vcpus(*pairs):
    return request("guest-set-vcpus", vcpus=[{"logical-id": number, "online": online} for number, online in pairs])


def change_cases():
    online = Guest("cat /sys/devices/system/cpu/online")
    seconds = 2000000000
    clocks = Guest("date +%s | cut -c1-8; cut -c1-8 /sys/class/rtc/rtc0/since_epoch")
    return [
        Case("no vcpu", vcpus(), online),
        Case("a vcpu off and on", vcpus((1, False)), online, request("guest-get-vcpus"), vcpus((1, True)), online),
        Case("a vcpu that is on", vcpus((1, True)), online),
        Case("vcpu 0 off", vcpus((0, False)), online),
        Case("vcpu 0 on", vcpus((0, True)), online),
        Case("a vcpu that is none", vcpus((99, True)), online),
        Case("the second vcpu fails", vcpus((1, False), (0, False), (1, True)), online, vcpus((1, True)), online),
        Case("can-offline given", request("guest-set-vcpus", vcpus=[{"logical-id": 1, "online": True,
                                                                     "can-offline": False}]), online),
        Case("no memory block", request("guest-set-memory-blocks", mem_blks=[])),
        Case("a memory block that is none", request("guest-set-memory-blocks", mem_blks=[
            {"phys-index": 9999, "online": True}, {"phys-index": 9999, "online": False}])),
        Case("a memory block that is on", lambda answers: request("guest-get-memory-blocks"),
             lambda answers: request("guest-set-memory-blocks", mem_blks=[
                 {"phys-index": min(block["phys-index"] for block in answers[0]["return"]), "online": True}])),
        Case("both clocks set", request("guest-set-time", time=seconds * 10**9 + 1), clocks, Host(set_clock)),
        Case("the clock set from the other", Guest("date -s @1500000000 >/dev/null"), request("guest-set-time"),
             Guest("test $(($(date +%s) - $(cat /sys/class/rtc/rtc0/since_epoch))) -le 1 && echo equal"), Host(set_clock)),
        Case("trim", request("guest-fstrim"), vague=("trimmed",)),
        Case("trim of large ranges", request("guest-fstrim", minimum=1 << 20), vague=("trimmed",)),
        Case("trim of ranges that are too large", request("guest-fstrim", minimum=2**63 - 1), vague=("trimmed",)),
    ]
