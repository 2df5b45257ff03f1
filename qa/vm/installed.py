# SPDX-License-Identifier: LGPL-2.1-or-later
"""A running Debian guest with systemd: its units, its journal, its packages, its reboot."""

import re
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import pytest

import image
import installed_image
from guest import BOOT_TIMEOUT, Guest
from ports import AgentError, AgentPort, CommandPort, GuestDied, Timeout

UNIT = "snapfreeze-agent.service"
BOTH = ["/", "/srv"]


class InstalledGuest(Guest):
    """As Guest, with Debian's own PID 1. Its programs are those of its packages."""

    def __init__(self, **options):
        super().__init__(installed_image.installed_disks(), "qa.root=installed qa.systemd", **options)

    def _argv(self, base, interactive):
        # What the guest reboots is to come back.
        return [word for word in super()._argv(base, interactive) if word != "-no-reboot"]

    def start(self, interactive=False):
        super().start(interactive)
        self.port_of_host = AgentPort(self.folder / "agent")
        return self

    def wait_booted(self, timeout=BOOT_TIMEOUT):
        """Waits until systemd has started what it starts, and says whether all went well: "running"."""
        return self.run(["systemctl", "is-system-running", "--wait"], timeout, check=False).stdout.strip()

    def wait_rebooted(self, timeout=BOOT_TIMEOUT):
        """After the guest was told to reboot: waits until it has, and is up again."""
        self.qmp_port.wait_event("RESET", lambda data: data["guest"], timeout)
        self.port_of_host.close()
        self.port.close()
        self.port = CommandPort(self.folder / "command", self.last_words)
        self.port.wait_ready(timeout)
        return self.wait_booted(timeout)

    def now(self):
        """The guest's clock, in seconds."""
        return float(self.sh("date +%s.%N"))

    # ---- the agent, as systemd runs it

    def wait_answer(self, timeout=120):
        """Waits until the agent answers on the host's port."""
        def answers():
            try:
                self.port_of_host.open()
                self.port_of_host.sync(5)
                return True
            except (Timeout, GuestDied, OSError):
                self.port_of_host.close()
                return False
        self.wait_for(answers, timeout, what="the agent's answer")

    def show(self, name, unit=UNIT):
        """A property of a unit."""
        return self.sh(["systemctl", "show", "--value", "--property", name, unit])

    @property
    def agent_pid(self):
        return int(self.show("MainPID"))

    @property
    def freezer_pid(self):
        return int(self.sh("pidof snapfreeze-freezer"))

    def failed_units(self):
        return self.sh(["systemctl", "list-units", "--state=failed", "--plain", "--no-legend"])

    # ---- the journal

    def journal(self, *options):
        """What it holds: lines of text."""
        job = self.run(["journalctl", "--no-pager", "--quiet", "--output=cat", *options], check=False)
        return job.stdout.splitlines()

    def late_times(self, words):
        """The times that the agent's entries with @words name themselves, since they were written later."""
        found = [re.match(r"\[(\S+)Z\] ", line) for line in self.journal(f"--unit={UNIT}") if words in line]
        return [datetime.fromisoformat(match[1]).replace(tzinfo=timezone.utc).timestamp() for match in found if match]

    # ---- packages

    def install(self, *debs, timeout=600):
        """apt-get install; returns all that it said."""
        for deb in debs:
            self.push(deb, f"/root/{deb.name}", 0o644)
        return self.apt("install", *(f"/root/{deb.name}" for deb in debs), timeout=timeout)

    def apt(self, *words, timeout=600):
        job = self.run(f"DEBIAN_FRONTEND=noninteractive apt-get -y {' '.join(words)} 2>&1", timeout)
        return job.stdout.replace("\r", "")  # dpkg writes to a terminal of apt's


class FragileDisk:
    """An ext4 filesystem on a disk that can be made to answer nothing any more. Meanwhile a stop of the agent's unit is
    waited for @stop_s seconds at most, since it does not come to an end by itself then."""

    path = "/mnt/fragile"
    folder = f"/run/systemd/system/{UNIT}.d"

    def __init__(self, guest, stop_s):
        self.guest = guest
        guest.run(f"mkdir -p {self.folder} && printf '[Service]\\nTimeoutStopSec={stop_s}\\n' >{self.folder}/stop.conf && "
                  "systemctl daemon-reload")
        guest.run(f"modprobe nbd && truncate -s 24M /run/nbd.img && mke2fs -q -F -t ext4 /run/nbd.img && mkdir {self.path}")
        self.server = guest.spawn(["qa-nbd", "/dev/nbd0", "/run/nbd.img"])
        self.server.wait_output("serving")
        guest.run(["mount", "/dev/nbd0", self.path])

    def hang(self):
        self.guest.run(["kill", "-USR1", str(self.server.pid)])
        self.guest.wait_for("grep -q '(qa-nbd) T' /proc/[0-9]*/stat", what="the server's stop")

    def go_on(self):
        self.guest.run(["kill", "-USR2", str(self.server.pid)])

    def remove(self):
        self.go_on()
        self.guest.wait_for(f"! mountpoint -q {self.path} || umount {self.path}")
        self.server.kill(15)
        self.server.wait(60)
        self.guest.run(f"rm -r /run/nbd.img {self.folder} && rmdir {self.path} && systemctl daemon-reload")


def freeze(guest, *paths, **arguments):
    """As the host; all of @paths, of all where there are none, are then frozen."""
    guest.wait_answer()
    guest.port_of_host.send({"execute": "snapfreeze-freeze",
                             "arguments": {**({"mountpoints": paths} if paths else {}), **arguments}})
    reply = guest.port_of_host.read_reply(300)
    assert "return" in reply, reply
    assert set(guest.blocked(BOTH, timeout=2)) == set(paths or BOTH)


def enabled(guest):
    """The commands that the host may use."""
    guest.wait_answer()
    return {entry["name"] for entry in guest.port_of_host.call("guest-info")["supported_commands"] if entry["enabled"]}


def told(guest, words):
    """The host that froze learns that it did not hold, and why."""
    guest.wait_answer()
    with pytest.raises(AgentError, match=words):
        guest.port_of_host.call("guest-fsfreeze-thaw")
    with pytest.raises(AgentError, match="may be inconsistent"):
        guest.port_of_host.call("guest-fsfreeze-thaw")


def change_while_a_frozen_disk_hangs(guest, fragile, command):
    """Runs a package manager's @command with /srv and @fragile frozen, and this one's disk without an answer. All else is
    thawed, the command ends, and whatever version there is then runs, and thaws the rest when the disk answers. Returns the
    job."""
    guest.wait_answer()
    guest.port_of_host.send({"execute": "guest-fsfreeze-freeze-list",
                             "arguments": {"mountpoints": ["/srv", fragile.path]}})
    assert guest.port_of_host.read_reply(120)["return"] == 2
    fragile.hang()
    job = guest.run(f"{command} 2>&1", timeout=900, check=False)
    print(f"\n{command}: ended with {job.returncode} after {job.ms / 1000:.0f} s\n{job.stdout}")
    assert f"still frozen, since the disk does not answer:\n{fragile.path}\n" in job.stdout.replace("\r", "")
    assert guest.blocked(BOTH, timeout=60) == []
    guest.wait_answer()
    assert guest.show("ActiveState") == "active"
    assert guest.blocked([fragile.path], timeout=1) == [fragile.path]
    fragile.go_on()
    guest.wait_for(lambda: guest.blocked([fragile.path], timeout=5) == [], 120, what="the thaw")
    guest.wait_for(lambda: guest.port_of_host.call("snapfreeze-status")["state"] in ("thawed", "expired"), 120)
    told(guest, "the agent was stopped")
    return job


def bumped(deb, version, into):
    """The same package with another version, in the folder @into."""
    with tempfile.TemporaryDirectory() as scratch:
        image.output("dpkg-deb", "-R", deb, scratch)
        control = Path(scratch) / "DEBIAN/control"
        control.write_text(re.sub("(?m)^Version: .*", f"Version: {version}", control.read_text()))
        target = Path(into) / f"{deb.name.partition('_')[0]}_{version}.deb"
        image.output("dpkg-deb", "--root-owner-group", "-b", scratch, target)
    return target
