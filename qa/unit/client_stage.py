# SPDX-License-Identifier: LGPL-2.1-or-later
"""The program `snapfreeze` as the tests run it, and agents that answer it well."""

import contextlib
import os
import subprocess

from fake_agent import PATIENCE, FakeAgent

SNAPFREEZE = os.path.join(os.environ.get("top_builddir", "."), "snapfreeze")

PLAN = {
    "filesystems": [
        {"mountpoint": "/img/inner", "device": "/dev/loop1", "major-minor": "7:1", "fstype": "ext4",
         "mountpoints": ["/img/inner", "/also"], "devices": ["7:1"], "after": [], "backing-hidden": False},
        {"mountpoint": "/img", "device": "/dev/loop0", "fstype": "ext4", "after": ["/img/inner"]},
        {"mountpoint": "/nbd\x1b[2J", "device": "/dev/nbd0", "fstype": "xfs", "after": [],
         "backing-hidden": True},
        {"mountpoint": "/", "device": "/dev/vda1", "fstype": "xfs", "after": ["/img"]},
    ],
    "left-out": [
        {"mountpoint": "/proc", "device": "proc", "fstype": "proc", "reason": "pseudo"},
        {"mountpoint": "/srv", "device": "nas:/srv", "fstype": "nfs4", "reason": "network"},
    ],
    "hooks": [{"name": "10-db.session", "path": "/h/10-db.session", "session": True},
              {"name": "20-app", "path": "/h/20-app", "session": False}],
    "warnings": ["/run is not on tmpfs"],
}
FROZEN = {
    "id": 7, "frozen": 2, "deadline-ms": 300000, "flush-ms": 1234, "freeze-ms": 66, "hooks": [],
    "filesystems": [
        {"mountpoint": "/data", "device": "/dev/vdb", "fstype": "xfs", "result": "frozen",
         "flush-ms": 1200, "freeze-ms": 61},
        {"mountpoint": "/boot/efi", "device": "/dev/vda1", "fstype": "vfat", "result": "synced",
         "flush-ms": 3, "freeze-ms": 0}],
    "not-covered": [{"mountpoint": "/boot/efi", "fstype": "vfat", "reason": "synced"}],
}
THAWED = {"consistent": True, "reasons": [], "frozen-ms": 2100, "thaw-ms": 30, "thawed": 2,
          "filesystems": [{"mountpoint": "/data", "result": "thawed", "thaw-ms": 12}], "hooks": []}
BROKEN = dict(THAWED, consistent=False, reasons=["written-while-frozen: /data"])


def environment(**more):
    clean = {name: value for name, value in os.environ.items()
             if name not in ("SNAPFREEZE_SOCKET", "NO_COLOR")}
    return {**clean, "LC_ALL": "C.UTF-8", **more}


def command_line(agent, *words):
    socket = ["--socket", agent.path] if agent else []
    return [SNAPFREEZE, *socket, *words]


def snapfreeze(agent, *words, stdin="", **env):
    return subprocess.run(command_line(agent, *words), input=stdin, capture_output=True, text=True,
                          timeout=PATIENCE, env=environment(**env), check=False)


@contextlib.contextmanager
def running(agent, *words, stdout=subprocess.PIPE):
    process = subprocess.Popen(command_line(agent, *words), stdout=stdout, stderr=subprocess.PIPE,
                               text=True, env=environment())
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream and not stream.closed:
                stream.close()


def finish(process):
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def equal(got, expected, context=""):
    assert got == expected, f"got {got!r}, expected {expected!r} {context}"


def holds(text, *parts):
    for part in parts:
        assert part in text, f"{part!r} is not in {text!r}"


def agent_of_ours(**answers):
    answers = {name.replace("_", "-"): value for name, value in answers.items()}
    return FakeAgent({"snapfreeze-freeze": FROZEN, "snapfreeze-thaw": THAWED,
                      "snapfreeze-extend": {"deadline-ms": 5000}, **answers})


def agent_of_qemu():
    return FakeAgent({"guest-fsfreeze-status": "thawed", "guest-fsfreeze-freeze": 3,
                      "guest-fsfreeze-freeze-list": 1, "guest-fsfreeze-thaw": 3})
