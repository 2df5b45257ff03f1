# SPDX-License-Identifier: LGPL-2.1-or-later
"""The proof of the shipped hooks, for test_mariadb.py and the command databases: a server under write load, a freeze
with the hook and one without, copies of the server's disk, and a second guest that starts the server on these."""

import time
from dataclasses import dataclass
from pathlib import Path

import image
import server_image
from guest import Disk, Guest
from servers import Finding

# Emulation is slow: what is tested is not whether a hook is fast.
CONFIG = "[hooks]\ntimeout = 120\n"


@dataclass
class Copy:
    """A copied disk, and what the server's clients had been told."""
    path: Path
    before: object  # from just before the freeze was asked for, see Server.before_freeze()
    acknowledged: dict  # table -> the last statement acknowledged before the freeze was answered
    reply: dict  # None where nothing was frozen
    verdict: dict
    seconds: float  # from asking to the answer


def boot(kind, builddir, keep=False, copies=None):
    """A guest with the server's empty disk, or with copies (name -> Copy) to examine."""
    if copies:
        drives = [Disk(name, copy.path) for name, copy in copies.items()]
    else:
        drives = [kind.disk()]
    guest = Guest([server_image.root_disk(), *drives], "qa.root=servers", builddir=builddir, keep=keep)
    guest.start()
    # Where the images were made by somebody else than root: the agent refuses such folders.
    for change in ("chown root:", "chmod 755"):
        guest.run(f"{change} / /etc /usr /usr/local /usr/local/etc", check=False)
    return guest


class Hooks:
    """The shipped hooks in a guest's folder of hooks."""

    def __init__(self, guest):
        self.guest = guest
        etc = f"{image.build_paths(guest.builddir)['sysconfdir']}/snapfreeze"
        self.folder, self.settings = f"{etc}/hooks.d", f"{etc}/hooks.conf.d"
        guest.run(["mkdir", "-p", self.folder, self.settings])

    def enable(self, name, shipped, settings=""):
        source = Path(self.guest.builddir) / "packaging/hooks.d" / shipped
        self.guest.push(source, f"{self.folder}/{name}")
        self.guest.push(settings.encode(), f"{self.settings}/{name.removesuffix('.session')}", 0o644)

    def disable_all(self):
        self.guest.run(f"rm -f {self.folder}/* {self.settings}/*")


def start_busy(kind, guest):
    """The server of @kind, made, started, and written to."""
    server = kind(guest)
    server.make()
    server.start()
    server.load()
    server.wait_more(30)
    return server


def enable(server):
    """The server's hooks, and no others."""
    hooks = Hooks(server.guest)
    hooks.disable_all()
    for name, (shipped, settings) in server.hooks.items():
        hooks.enable(name, shipped, settings)
    return hooks


def copy_frozen(server, agent, path):
    """Freezes, copies the disk as it then is, thaws."""
    guest = server.guest
    before = server.before_freeze()
    begin = time.monotonic()
    reply = agent.call("snapfreeze-freeze", 600, label="databases")
    seconds = time.monotonic() - begin
    # Nothing can be acknowledged now, so this is what had been when the freeze was answered.
    acknowledged = server.acknowledged()
    guest.start_copy({server.name: path})
    verdict = agent.call("snapfreeze-thaw", 600, id=reply["id"])
    guest.finish_copy({server.name: path})
    server.wait_more(5)
    return Copy(Path(path), before, acknowledged, reply, verdict, seconds)


def copy_running(server, path):
    """Copies the disk with nothing frozen."""
    acknowledged = server.acknowledged()
    server.guest.copy_disks({server.name: path})
    return Copy(Path(path), server.before_freeze(), acknowledged, None, None, 0)


def examine(kind, guest, name, copy):
    """All findings of one copy, a disk of @guest. Only one at a time, and the last is left running."""
    server = kind(guest)
    server.mount(name)
    findings = list(server.look(copy.before))
    try:
        server.start()
    except AssertionError as error:
        return [*findings, Finding("starts", False, str(error)[-300:])]
    findings += server.examine(copy.acknowledged, copy.before)
    server.stop()
    return findings


def bad(findings):
    return [f"{found.what}: {found.seen}" for found in findings if not found.is_good]
