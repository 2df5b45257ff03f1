# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tests' guest as a domain of libvirt: the same kernel, disks and command port, started and ended by virsh.

libvirt has the monitor and the agent's channel for itself; the command port is the test's own way into the guest.
"""

import json
import shutil
import subprocess
import time
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import image
from guest import BOOT_TIMEOUT, Guest, accelerator, kernel_words, make_folder, wait_for
from host import VirshFailed
from ports import CommandPort, Timeout

NAME = "snapfreeze-qa"
MAC = "52:54:00:5f:ee:2e"
XML = """<domain type={type}>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>{cpus}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{append}</cmdline>
  </os>
  <features><acpi/></features>
  {cpu}
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <pm><suspend-to-mem enabled='yes'/><suspend-to-disk enabled='no'/></pm>
  <devices>
    {disks}
    <controller type='usb' model='none'/>
    <interface type='user'><mac address='{mac}'/><model type='virtio'/></interface>
    <serial type='file'><source path={console}/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <channel type='unix'><source mode='bind' path={command}/><target type='virtio' name='qa.command'/></channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='none'/>
  </devices>
</domain>
"""
DISK = """<disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/><source file={path}/>
      <target dev='{target}' bus='virtio'/><serial>{serial}</serial>
    </disk>"""
CPU = {"kvm": "<cpu mode='host-passthrough'/>",
       "tcg": "<cpu mode='custom' match='exact' check='none'><model>qemu64</model></cpu>"}


class Domain(Guest):
    """A guest on a Host. What Guest does by QEMU's monitor it cannot do."""

    name = NAME

    def __init__(self, host, disks, **options):
        super().__init__(disks, **options)
        self.host = host
        self.port = None

    # ---- life

    def start(self):
        base = image.base()
        self.accel = accelerator(base)
        self.folder = make_folder(self.keep)
        image.extra(base, self.folder / "initrd", self.builddir)
        (self.folder / "domain.xml").write_text(self._xml(base))
        try:
            self.host.virsh("define", self.folder / "domain.xml")
            self.power_on()
        except Exception as error:
            words = self.last_words()
            self.stop()
            raise type(error)(f"{error}\n{words}") from error
        return self

    def targets(self):
        """Serial -> libvirt's name of the disk."""
        return {disk.serial: f"vd{'abcdefgh'[number]}" for number, disk in enumerate(self.disks)}

    def images(self):
        """Serial -> the image that QEMU writes to now: a snapshot has put another on top."""
        rows = (line.split() for line in self.virsh("domblklist").splitlines()[2:] if line.strip())
        active = {row[0]: Path(row[1]) for row in rows}
        return {serial: active[target] for serial, target in self.targets().items()}

    def _xml(self, base):
        drives = [DISK.format(path=quoteattr(str(self._make_overlay(disk))), target=self.targets()[disk.serial],
                              serial=disk.serial) for disk in self.disks]
        append = kernel_words(f"qa.disks={len(self.disks)} quiet {self.append}")
        return XML.format(type=quoteattr("kvm" if self.accel == "kvm" else "qemu"), name=NAME, memory=self.memory,
                          cpus=self.cpus, kernel=escape(str(base.kernel)), initrd=escape(f"{self.folder}/initrd"),
                          append=escape(append), cpu=CPU[self.accel], disks="\n    ".join(drives), mac=MAC,
                          console=quoteattr(f"{self.folder}/console"), command=quoteattr(f"{self.folder}/command"))

    def power_on(self):
        """Starts the defined domain, and waits until it can be talked to."""
        begin = time.monotonic()
        self.host.virsh("start", NAME)
        self.port = CommandPort(self.folder / "command", self.last_words, self.processors)
        self.port.wait_ready(BOOT_TIMEOUT)
        self.boot_seconds = time.monotonic() - begin

    def save_and_restore(self, path):
        """All of its memory goes to @path, and comes back from there."""
        self.host.virsh("save", NAME, path)
        self.host.virsh("restore", path)
        path.unlink()
        self.port.connect_again()

    def state(self):
        return self.host.try_virsh("domstate", NAME).stdout.strip()

    def is_alive(self):
        return self.state() == "running"

    def wait_state(self, state, timeout=120):
        wait_for(lambda: self.state() == state, timeout, 0.2, f"the domain's state '{state}'")

    def stop(self):
        """Ends the machine at once. Where libvirt cannot, the end of the host's namespace does."""
        try:
            if self.host.try_virsh("destroy", NAME, timeout=60).returncode == 0:
                self.wait_state("shut off", 60)
            self.host.try_virsh("undefine", NAME, "--snapshots-metadata", "--checkpoints-metadata", timeout=60)
        except (subprocess.TimeoutExpired, Timeout, VirshFailed):
            pass
        if self.folder and not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def last_words(self):
        log = self.host.inside(f"/var/log/libvirt/qemu/{NAME}.log")
        words = log.read_text(errors="replace")[-1500:] if log.exists() else ""
        state = self.try_virsh("domstate", "--reason").stdout.strip() if self.host.pid else "unknown"
        return f"state: {state}\nQEMU's log: …{words}\nlibvirtd's: …{self.host.log()}\nconsole: …{self.console()[-3000:]}"

    def monitor(self, line, cpu):
        request = {"execute": "human-monitor-command", "arguments": {"command-line": line, "cpu-index": cpu}}
        return json.loads(self.virsh("qemu-monitor-command", json.dumps(request), timeout=30))["return"]

    # ---- libvirt's clients

    def virsh(self, command, *arguments, timeout=300):
        """The output of a virsh command about this domain that must succeed."""
        return self.host.virsh(command, NAME, *arguments, timeout=timeout)

    def try_virsh(self, command, *arguments, timeout=300):
        return self.host.try_virsh(command, NAME, *arguments, timeout=timeout)
