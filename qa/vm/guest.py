# SPDX-License-Identifier: LGPL-2.1-or-later
"""A virtual machine to test in: started, driven and ended by this process.

Everything that runs in it is started through the command port, whose server lives on a tmpfs: it
answers while every disk is frozen.
"""

import ctypes
import functools
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import image
import processors
from freeze_trace import KERNEL_WORDS
from ports import AgentPort, CommandPort, GuestDied, Qmp, Timeout

# Software emulation on a busy machine is slow: no limit here is tight.
BOOT_TIMEOUT = int(os.environ.get("SNAPFREEZE_VM_BOOT_TIMEOUT", "300"))
LIFE = int(os.environ.get("SNAPFREEZE_VM_LIFE", "3600"))
PORTS = {"agent": "org.qemu.guest_agent.0", "test": "org.snapfreeze.test.1", "command": "qa.command"}


class CommandFailed(Exception):
    """A command in the guest that had to succeed did not."""


def die_with_us():
    # QEMU must not outlive the tests, however they end.
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)


def qemu_argv(base, archive, folder, accel, append, memory=1024, cpus=2):
    argv = ["timeout", "--kill-after=10", str(LIFE), "setpriv", "--pdeathsig", "KILL",
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-M", "q35", "-m", str(memory), "-smp", str(cpus), "-rtc", "base=utc",
            "-accel", "kvm" if accel == "kvm" else "tcg,thread=multi",
            "-cpu", "host" if accel == "kvm" else "qemu64",
            "-kernel", str(base.kernel), "-initrd", str(archive),
            "-qmp", f"unix:{folder}/qmp,server=on,wait=off",
            # A monitor serves one client at a time: this one is for programs under test.
            "-qmp", f"unix:{folder}/monitor,server=on,wait=off",
            "-device", "virtio-serial-pci,id=serial", "-device", "virtio-rng-pci"]
    for name, port in PORTS.items():
        argv += ["-chardev", f"socket,id={name},path={folder}/{name},server=on,wait=off",
                 "-device", f"virtserialport,bus=serial.0,chardev={name},id=port-{name},name={port}"]
    argv += ["-append", kernel_words(append)]
    return argv


def kernel_words(append):
    # no_timer_check: on a busy machine the emulated timer comes too late for the kernel's patience, which panics.
    return f"console=ttyS0 panic=-1 snapfreeze.qa mitigations=off nokaslr no_timer_check {KERNEL_WORDS} {append}"


def spawn_qemu(argv, folder, **streams):
    image.need("qemu-system-x86_64", "timeout", "setpriv")
    with open(folder / "qemu.log", "wb") as log:
        options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **streams}
        return subprocess.Popen(argv, preexec_fn=die_with_us, **options)


def end(process):
    """Ends a QEMU by the timeout that runs it; setpriv sees to it that QEMU goes too."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def kvm_boots(base):
    """Whether this kernel really comes up under KVM: there are machines with a /dev/kvm where it does not."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    answer = image.cache_dir() / f"kvm-{base.release}-on-{os.uname().release}"
    with image.locked("kvm"):
        if not answer.exists():
            with tempfile.TemporaryDirectory(prefix="sfvm-") as folder:
                folder = Path(folder)
                image.extra(base, folder / "initrd")
                argv = qemu_argv(base, folder / "initrd", folder, "kvm", "quiet")
                argv[2] = "30"
                process = spawn_qemu(argv + ["-serial", f"file:{folder}/console"], folder)
                ready = False
                while process.poll() is None and not ready:
                    time.sleep(0.2)
                    console = folder / "console"
                    ready = console.exists() and b"init: ready" in console.read_bytes()
                end(process)
            answer.write_text("yes\n" if ready else "no\n")
    return answer.read_text() == "yes\n"


def accelerator(base):
    """kvm or tcg; SNAPFREEZE_VM_ACCEL overrides."""
    return os.environ.get("SNAPFREEZE_VM_ACCEL") or ("kvm" if kvm_boots(base) else "tcg")


def wait_for(predicate, timeout=60, interval=0.05, what=None):
    """Waits until @predicate is true, and returns what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"{what or 'what was waited for'} did not come within {timeout} s")
        time.sleep(interval)


def make_folder(keep):
    """A guest's folder, named after this process; those of processes that are gone are removed."""
    for stale in Path(tempfile.gettempdir()).glob("sfvm-[0-9]*-*"):
        if not Path("/proc", stale.name.split("-")[1]).exists():
            shutil.rmtree(stale, ignore_errors=True)
    # A short name: a socket's path has at most 107 bytes.
    return Path(tempfile.mkdtemp(prefix=f"sfvm-{'keep' if keep else os.getpid()}-"))


@functools.cache
def symbols():
    """Of the kernel that all guests run, by one that answers."""
    with Guest() as other:
        other.port.look = None  # not for ever, if this one hangs too
        return processors.Symbols(other.sh("cat /proc/kallsyms"))


class Disk:
    """A disk of the guest: its serial, the image below, and the bus: virtio-blk or virtio-scsi."""

    def __init__(self, serial, backing, bus="blk"):
        self.serial = serial
        self.backing = Path(backing)
        self.bus = bus


class Guest:
    """One machine from start() to stop(). Disks are overlays: each start finds them as they were made."""

    def __init__(self, disks=(), append="", builddir=None, memory=1024, cpus=2, keep=False, qemu_args=()):
        self.disks = list(disks)
        self.append = append
        self.builddir = builddir
        self.memory = memory
        self.cpus = cpus
        self.keep = keep
        self.qemu_args = list(qemu_args)
        self.process = None
        self.folder = None
        self.boot_seconds = None
        self.agents = []  # those that agents.py started in it
        self.traces = []  # of freeze_trace.py, those that look on

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # ---- life

    def start(self, interactive=False):
        begin = time.monotonic()
        base = image.base()
        self.accel = accelerator(base)
        self.folder = make_folder(self.keep)
        try:
            image.extra(base, self.folder / "initrd", self.builddir)
            argv = self._argv(base, interactive)
            streams = {"stdin": None, "stdout": None} if interactive else {}
            self.process = spawn_qemu(argv, self.folder, **streams)
            wait_for(lambda: self._has("command") or self.process.poll() is not None, 60, what="QEMU's sockets")
            if self.process.poll() is not None:
                raise GuestDied(self.last_words())
            self.port = CommandPort(self.folder / "command", self.last_words, self.processors)
            self.qmp_port = Qmp(self.folder / "qmp")
            self.port.wait_ready(BOOT_TIMEOUT)
            (self.folder / "initrd").unlink()  # some 50 MB
        except Exception as error:
            words = self.last_words()
            self.stop()
            raise type(error)(f"{error}\n{words}") if isinstance(error, (GuestDied, Timeout)) else error
        self.boot_seconds = time.monotonic() - begin
        return self

    def _has(self, name):
        return (self.folder / name).exists() and (self.folder / "qmp").exists()

    def _argv(self, base, interactive):
        scsi = any(disk.bus == "scsi" for disk in self.disks)
        append = f"qa.disks={len(self.disks)} {'qa.scsi' if scsi else ''} {'' if interactive else 'quiet'} {self.append}"
        argv = qemu_argv(base, self.folder / "initrd", self.folder, self.accel, append, self.memory, self.cpus)
        argv += ["-serial", "mon:stdio" if interactive else f"file:{self.folder}/console"]
        argv += ["-chardev", f"socket,id=isa,path={self.folder}/isa,server=on,wait=off",
                 "-device", "isa-serial,chardev=isa,index=1"]
        if scsi:
            argv += ["-device", "virtio-scsi-pci,id=scsi"]
        for number, disk in enumerate(self.disks):
            overlay = self._make_overlay(disk)
            # A killed guest's disks are thrown away: nothing is gained by the host's flushes.
            argv += ["-blockdev", f"driver=file,node-name=file-{disk.serial},filename={overlay},cache.no-flush=on",
                     "-blockdev", f"driver=qcow2,node-name={disk.serial},file=file-{disk.serial},"
                                  "discard=unmap,cache.no-flush=on"]
            device = "virtio-blk-pci" if disk.bus == "blk" else f"scsi-hd,bus=scsi.0,scsi-id={number}"
            argv += ["-device", f"{device},drive={disk.serial},serial={disk.serial},id=disk-{disk.serial}"]
        if scsi:
            argv += ["-device", "pcie-root-port,id=plug,chassis=1"]  # where one virtio-blk disk may come and go
        if interactive:
            argv.insert(1, "--foreground")  # else QEMU may not read the terminal
        return argv + self.qemu_args

    def _make_overlay(self, disk):
        overlay = self.folder / f"{disk.serial}.qcow2"
        image.need("qemu-img")
        image.output("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", disk.backing, overlay)
        return overlay

    def stop(self):
        """Ends the machine at once, as if its power was cut."""
        if self.process:
            end(self.process)
        if self.folder and not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def qemu_pid(self):
        """Of QEMU itself: timeout's child, which setpriv became."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    # ---- the console

    def console(self):
        """All that the kernel and PID 1 have said."""
        path = self.folder / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def last_words(self):
        """For an error's text: how QEMU ended, and the end of the console."""
        log = self.folder / "qemu.log"
        text = log.read_text(errors="replace")[-1500:] if log.exists() else ""
        status = self.process.poll() if self.process else None
        return f"QEMU: exit status {status} {text}\nconsole: …{self.console()[-3000:]}"

    def monitor(self, line, cpu):
        """What QEMU's monitor for people says to a line, asked about one processor."""
        return self.qmp_port.call("human-monitor-command", 30, raw={"command-line": line, "cpu-index": cpu})

    def processors(self):
        """For an error's text: what they do in a guest that answers no more."""
        return processors.describe(self.monitor, self.cpus, symbols)

    # ---- commands in the guest

    def spawn(self, command):
        """Starts a command: a list, or text for sh. Returns at once."""
        return self.port.start(["sh", "-c", command] if isinstance(command, str) else list(command))

    def run(self, command, timeout=120, input=None, check=True):
        """Runs a command to its end. With check, CommandFailed where its status is not 0."""
        job = self.spawn(command)
        if input is not None:
            job.write(input)
        job.close_input()
        try:
            job.wait(timeout)
        except Timeout:
            job.kill()
            raise
        if check and job.returncode != 0:
            raise CommandFailed(f"{command}: status {job.returncode}\n{job.stdout[-2000:]}{job.stderr[-2000:]}")
        return job

    def sh(self, command, timeout=120):
        """Standard output of a command that must succeed, without the last newline."""
        return self.run(command, timeout).stdout.rstrip("\n")

    def push(self, source, target, mode=0o755):
        """Copies a file, or bytes, into the guest."""
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        self.run(f"cat >{shlex.quote(target)} && chmod {mode:o} {shlex.quote(target)}", input=data)

    def pull(self, path):
        """A file of the guest, as bytes."""
        return self.run(["cat", path]).out

    def wait_for(self, predicate, timeout=60, interval=0.05, what=None):
        """Waits for @predicate, or, where it is text or a list, for that command's success in the guest."""
        if not callable(predicate):
            command, predicate = predicate, lambda: self.run(command, check=False).returncode == 0
            what = what or f"success of {command}"
        return wait_for(predicate, timeout, interval, what)

    # ---- looking at filesystems

    def access(self, paths, timeout=5, read=False, sync=False):
        """Path -> "done", "blocked" or an errno's name: one write (or read) each, side by side."""
        flags = (["-r"] if read else []) + (["-s"] if sync else [])
        job = self.run(["qa-write", *flags, "-t", timeout, "--", *paths], timeout=timeout + 60, check=False)
        lines = [line.split("\t") for line in job.stdout.splitlines()]
        result = {path: detail if word == "error" else word for word, detail, path in lines}
        if set(result) != set(paths):
            raise CommandFailed(f"qa-write: {job.stdout!r} {job.stderr!r}")
        return result

    def write_ms(self, path, timeout=60):
        """How long one write took, in ms by the guest's clock; None where it was still blocked."""
        word, ms, _ = self.run(["qa-write", "-t", timeout, "--", path], timeout=timeout + 60,
                               check=False).stdout.rstrip("\n").split("\t")
        return float(ms) if word == "done" else None

    def blocked(self, paths, timeout=5):
        """Which of @paths cannot be written to now."""
        return [path for path, word in self.access(paths, timeout).items() if word == "blocked"]

    def mounts(self):
        """The guest's mount table: dicts with id, parent, device (major:minor), root, mountpoint, options,
        fstype, source, super."""
        table = []
        for line in self.sh("cat /proc/self/mountinfo").splitlines():
            left, _, right = line.partition(" - ")
            fields, (fstype, source, superblock) = left.split(" "), right.split(" ")
            table.append({"id": int(fields[0]), "parent": int(fields[1]), "device": fields[2],
                          "root": unescape(fields[3]), "mountpoint": unescape(fields[4]), "options": fields[5],
                          "fstype": fstype, "source": unescape(source), "super": superblock})
        return table

    # ---- as the hypervisor

    def agent_port(self, name="agent"):
        """The host's end of an agent port: "agent" (org.qemu.guest_agent.0), "test"
        (org.snapfreeze.test.1) or "isa" (/dev/ttyS1)."""
        return AgentPort(self.folder / name)

    def agent_call(self, command, timeout=60, **arguments):
        """Opens the agent's port, syncs, calls, closes."""
        with self.agent_port() as port:
            port.sync(timeout)
            return port.call(command, timeout, **arguments)

    def qmp(self, command, timeout=120, **arguments):
        return self.qmp_port.call(command, timeout, **arguments)

    def plug(self, serial, path, timeout=60, bus="scsi"):
        """Adds a raw image as one more disk, /dev/qa/SERIAL in the guest, which may write to it. On the bus "blk" there
        is room for one."""
        device = {"scsi": {"driver": "scsi-hd", "bus": "scsi.0"}, "blk": {"driver": "virtio-blk-pci", "bus": "plug"}}[bus]
        self.qmp("blockdev-add", driver="raw", node_name=serial,
                 file={"driver": "file", "filename": str(path), "cache": {"no-flush": True}})
        self.qmp("device_add", **device, drive=serial, serial=serial, id=f"disk-{serial}")
        self.wait_for(["sh", "-c", f"name-devices; test -b /dev/qa/{serial}"], timeout)

    def unplug(self, serial, timeout=60):
        """Takes such a SCSI disk away again; it must not be mounted any more."""
        self.run(f'echo 1 >"/sys/block/$(basename "$(readlink -f /dev/qa/{serial})")/device/delete"')
        self.qmp("device_del", id=f"disk-{serial}")
        self.qmp_port.wait_event("DEVICE_DELETED", lambda data: data.get("device") == f"disk-{serial}", timeout)
        self.qmp("blockdev-del", node_name=serial)
        self.run("name-devices")

    def copy_disks(self, targets, timeout=600):
        """Copies disks (serial -> path of a raw file) as they are at this one moment, while the guest
        runs on. Returns when the copies are whole."""
        self.start_copy(targets)
        self.finish_copy(targets, timeout)

    def start_copy(self, targets):
        """Fixes the moment of the copy, and returns: the guest may be thawed, the copy goes on."""
        self.qmp("transaction", actions=[
            {"type": "drive-backup", "data": {"device": serial, "job-id": f"copy-{serial}", "target": str(path),
                                              "sync": "full", "format": "raw"}}
            for serial, path in targets.items()])

    def finish_copy(self, targets, timeout=600):
        for serial in targets:
            event = self.qmp_port.wait_event("BLOCK_JOB_COMPLETED", lambda data, name=f"copy-{serial}":
                                             data.get("device") == name, timeout)
            if "error" in event["data"]:
                raise CommandFailed(f"copy of {serial}: {event['data']['error']}")


def unescape(text):
    """A field of mountinfo without its octal escapes."""
    raw = text.encode()
    for code in (b"040", b"011", b"012", b"134", b"043"):
        raw = raw.replace(b"\\" + code, bytes([int(code, 8)]))
    return raw.decode(errors="surrogateescape")
