# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libvirtd of one's own, beside whatever the machine runs.

Owns a mount, process and network namespace in which libvirt's folders are empty, virtlogd and libvirtd in it, and what
these start: when its first process ends, so does everything in it. Nothing is frozen here: that is the guest's affair.
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import image
from guest import LIFE, die_with_us

TOOLS = ("libvirtd", "virtlogd", "virsh", "unshare", "nsenter", "setpriv", "timeout", "qemu-system-x86_64", "qemu-img")
# All of /run, so that no message bus or service manager of the machine is found.
PRIVATE = "/run /var/lib/libvirt /var/cache/libvirt /var/log/libvirt /etc/libvirt"
# The namespace's first process: whoever loses its parent becomes its child, and goes when it ends. libvirtd demands
# a user whom only another package makes.
FIRST = f"""
for folder in {PRIVATE}; do mkdir -p $folder && mount -t tmpfs -o mode=755 libvirt $folder || exit 1; done
mkdir /run/libvirt
cp /etc/passwd /etc/group /run
echo libvirt-qemu:x:65533:65533::/:/bin/false >>/run/passwd
echo libvirt-qemu:x:65533: >>/run/group
mount --bind /run/passwd /etc/passwd && mount --bind /run/group /etc/group || exit 1
echo ready
exec env --ignore-signal=CHLD sleep {LIFE}
"""
CONFIGURATION = {
    "qemu.conf": 'user = "root"\ngroup = "root"\nsecurity_driver = "none"\nnamespaces = []\ncgroup_controllers = []\n'
                 'remember_owner = 0\n',
    "libvirtd.conf": 'unix_sock_rw_perms = "0700"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n'
                     'log_outputs = "3:file:/var/log/libvirt/libvirtd.log"\n',
    "virtlogd.conf": "",
    "libvirt.conf": "",
}


class Client(subprocess.Popen):
    """A virsh that runs."""

    def kill_all(self):
        """SIGKILL to virsh and to what started it."""
        os.killpg(self.pid, signal.SIGKILL)
        self.communicate()


class VirshFailed(Exception):
    """A virsh command that had to succeed did not."""


class Host:
    """From start() to stop(). .virsh() is a client; any number may run at a time."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.first = None
        self.pid = None

    # ---- life

    def start(self):
        image.need(*TOOLS)
        argv = ["timeout", "--kill-after=10", str(LIFE), "setpriv", "--pdeathsig", "KILL",
                "unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc", "sh", "-c", FIRST]
        with open(self.folder / "namespace.log", "wb") as log:
            self.first = subprocess.Popen(argv, preexec_fn=die_with_us, stdin=subprocess.DEVNULL,
                                          stdout=subprocess.PIPE, stderr=log)
        if self.first.stdout.readline() != b"ready\n":
            self.stop()
            raise image.Unavailable(f"no namespaces: {(self.folder / 'namespace.log').read_text()[-400:]}")
        self.pid = self._find_first()
        for name, text in CONFIGURATION.items():
            (self.inside("/etc/libvirt") / name).write_text(text)
        self._start_daemon("virtlogd")
        self.start_libvirtd()
        return self

    def _find_first(self):
        """The namespace's first process, as this machine counts: timeout's child is unshare, whose child it is."""
        pid = self.first.pid
        for _ in range(2):
            pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        return pid

    def stop(self):
        """Ends the namespace and all that is in it: its first process takes the others along."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        elif self.first:
            self.first.kill()
        if self.first:
            self.first.wait()
            self.first.stdout.close()
        self.first = self.pid = None

    def inside(self, path):
        """A path of the namespace, as it can be opened from here."""
        return Path(f"/proc/{self.pid}/root{path}")

    def argv(self, *command):
        """@command in the namespace, and in the root that we have, which may be a chroot's."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--root", "--wd",
                "env", "-i", "LC_ALL=C", "HOME=/root",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *map(str, command)]

    def run(self, *command, timeout=120):
        return subprocess.run(["timeout", "--kill-after=5", str(timeout), *self.argv(*command)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout + 30)

    def version(self):
        """Of libvirt and QEMU."""
        lines = dict(line.split(": ") for line in self.virsh("version").splitlines())
        return f"{lines['Using library']}, {lines['Running hypervisor']}"

    # ---- the daemons

    def _start_daemon(self, name):
        """It returns when the daemon serves."""
        result = self.run(name, "--daemon", "--pid-file", f"/run/{name}.pid")
        if result.returncode != 0 or not self.inside(f"/run/{name}.pid").exists():
            raise image.Unavailable(f"{name} does not start: {result.stderr}{self.log()}")

    def log(self):
        """The end of what libvirtd has complained about."""
        path = self.inside("/var/log/libvirt/libvirtd.log")
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def start_libvirtd(self):
        self._start_daemon("libvirtd")

    def kill_libvirtd(self):
        """SIGKILL; returns when it is gone."""
        pid = self.inside("/run/libvirtd.pid").read_text().strip()
        self.run("kill", "-9", pid)
        deadline = time.monotonic() + 60
        while self.run("kill", "-0", pid).returncode == 0:
            assert time.monotonic() < deadline, "libvirtd does not end"
            time.sleep(0.05)

    # ---- its clients

    def spawn_virsh(self, *command):
        """A client that runs on."""
        return Client(["timeout", "--foreground", "--kill-after=5", "600", *self.argv("virsh", *command)],
                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                      start_new_session=True)

    def virsh(self, *command, timeout=300):
        """The output of a client that must succeed."""
        result = self.try_virsh(*command, timeout=timeout)
        if result.returncode != 0:
            raise VirshFailed(f"virsh {' '.join(map(str, command))}: {result.returncode}: {result.stderr.strip()}")
        return result.stdout.strip()

    def try_virsh(self, *command, timeout=300):
        """A client that may fail: .returncode, .stdout, .stderr."""
        return self.run("virsh", *command, timeout=timeout)
