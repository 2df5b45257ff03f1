# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the cases share: the host, one domain on it with three disks, and our agent there.

A case gets a Lab in its rest: the domain runs, everything is mounted and can be written to, the agent answers.
"""

import contextlib
import json
import re

import proof
from agents import Snapfreeze
from domain import Domain
from guest import CommandFailed, wait_for
from host import Host
from ports import AgentError, GuestDied, Timeout

PATHS = list(proof.FILESYSTEMS.values())
FULL = "[commands]\nprofile=full\n"
ADDRESS = "192.0.2.10"
HOOKS = "/run/qa-hooks"
LEASE_S = 15  # short, and yet longer than a client takes on a busy machine
# This guest's way to power off, for it has no init that knows another.
SHUTDOWN = b"""#!/bin/sh
echo "shutdown: $*" >/dev/console
case " $* " in *" -P "*) sync; poweroff -f ;; *" -r "*) sync; reboot -f ;; esac
"""
# A hook that waits for a file while freezing.
WAITING = f"""#!/bin/sh
[ "$1" = freeze ] || exit 0
: >{HOOKS}.begun
until [ -e {HOOKS}.go ]; do usleep 50000; done
""".encode()


def last_line(error):
    """Of virsh's complaint."""
    return error.splitlines()[-1].removeprefix("error: ")


class DomainAgent(Snapfreeze):
    """Our agent in a domain; every call goes through libvirt."""

    def wait_answer(self, timeout=120):
        wait_for(lambda: self.guest.try_virsh("qemu-agent-command", '{"execute":"guest-ping"}').returncode == 0, timeout,
                 0.2, "an answer through libvirt")

    def call(self, command, timeout=120, **arguments):
        request = {"execute": command, "arguments": {name.replace("_", "-"): value for name, value in arguments.items()}}
        result = self.guest.try_virsh("qemu-agent-command", json.dumps(request), timeout=timeout)
        if result.returncode != 0:
            raise AgentError({"class": "virsh", "desc": result.stderr.strip()})
        return json.loads(result.stdout)["return"]


class Lab:
    """From start() to stop()."""

    def __init__(self, folder, builddir, keep=False):
        self.host = Host(folder)
        self.folder = self.host.folder
        self.guest = Domain(self.host, proof.make_disks(), builddir=builddir, keep=keep)
        self.agent = None
        self.images = None  # copying.py's, made once

    def start(self):
        try:
            self.host.start()
            self.guest.start()
            self.prepare()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        if self.host.pid:
            self.guest.stop()
        self.host.stop()

    def renew(self):
        """Another guest, and libvirtd running, whatever a case has left."""
        self.guest.stop()
        self.host.stop()
        self.host.start()
        self.guest.start()
        self.prepare()

    def prepare(self):
        """What each boot begins with."""
        guest = self.guest
        proof.mount_disks(guest)
        guest.run(f"modprobe virtio_net && ip link set eth0 up && ip addr add {ADDRESS}/24 dev eth0")
        guest.run("echo qa:x:1000:1000::/home/qa:/bin/sh >>/etc/passwd; echo qa:x:1000: >>/etc/group; "
                  "mkdir -p /home/qa && chown 1000:1000 /home/qa")
        guest.push(SHUTDOWN, "/sbin/shutdown")
        guest.agents.clear()
        self.agent = DomainAgent(guest)
        self.agent.start(config=FULL)

    @contextlib.contextmanager
    def configured(self, text):
        """The agent with another configuration, for as long as this lasts."""
        self.agent.stop()
        self.agent.start(config=FULL + text)
        try:
            yield
        finally:
            self.agent.stop()
            self.agent.start(config=FULL)

    def is_in_its_rest(self):
        """Whether the next case may begin."""
        try:
            return self.guest.is_alive() and self.agent.job.poll() is None and self.agent.status() == "thawed" and \
                self.blocked() == []
        except (AgentError, CommandFailed, GuestDied, Timeout):
            return False

    # ---- looking and doing, in the guest and as libvirt

    def blocked(self, timeout=5):
        return self.guest.blocked(PATHS, timeout)

    def virsh(self, command, *arguments, timeout=300):
        return self.guest.virsh(command, *arguments, timeout=timeout)

    def refused(self, command, *arguments):
        """The error of a virsh command that must fail."""
        result = self.guest.try_virsh(command, *arguments)
        assert result.returncode != 0, f"virsh {command} did not fail: {result.stdout}"
        return result.stderr.strip()

    def spawn_virsh(self, command, *arguments):
        """A client that runs on."""
        return self.host.spawn_virsh(command, self.guest.name, *arguments)

    def freeze(self, *paths):
        """By domfsfreeze; the number that it tells of."""
        options = [word for path in paths for word in ("--mountpoint", path)]
        return int(re.search(r"(\d+) filesystem", self.virsh("domfsfreeze", *options))[1])

    def thaw(self):
        return int(re.search(r"(\d+) filesystem", self.virsh("domfsthaw"))[1])

    def holds(self):
        """A freeze by libvirt works, from beginning to end."""
        assert self.freeze() == len(PATHS)
        assert self.blocked(timeout=1) == PATHS
        assert self.thaw() == len(PATHS)
        assert self.blocked() == []
        return True

    @contextlib.contextmanager
    def waiting_hook(self):
        """Each freeze waits in a hook until .release_hook()."""
        self.guest.run(f"rm -rf {HOOKS} {HOOKS}.*; mkdir -m 0755 {HOOKS}")
        self.guest.push(WAITING, f"{HOOKS}/10-wait")
        try:
            with self.configured(f"[hooks]\ndirectory={HOOKS}\ntimeout=120\n"):
                yield
        finally:
            self.guest.run(f"rm -rf {HOOKS} {HOOKS}.*")

    def wait_hook(self):
        self.guest.wait_for(["test", "-e", f"{HOOKS}.begun"])

    def release_hook(self):
        self.guest.run(["touch", f"{HOOKS}.go"])
