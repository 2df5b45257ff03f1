# SPDX-License-Identifier: LGPL-2.1-or-later
"""The proof that a freeze makes a copy consistent, for test_proof.py and the demo.

A guest keeps an ext4, an XFS and a btrfs busy; the host copies the disks, frozen by `snapfreeze
snapshot` or running; a second guest, which never knew the first, examines the copies. They are never mounted on
the machine that runs this.
"""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import disks
import image
from freeze_trace import FreezeTrace
from guest import Disk
from writers import Writers

FILESYSTEMS = {"ext4": "/data/ext4", "xfs": "/data/xfs", "btrfs": "/data/btrfs"}
PLAIN = ("plain-0", "plain-1", "plain-2")
SYNCED = ("fsynced-0", "fsynced-1")
# Mounted so that nothing is repaired or replayed: what the disk itself holds. Then once more rw, which replays.
AS_IT_IS = {"ext4": "ro,noload", "xfs": "ro,norecovery", "btrfs": "ro,rescue=nologreplay"}
# Where the kernel lets a write to a frozen filesystem wait.
WAITS_FOR_THAW = "percpu_rwsem_wait"
# Names come and go, so that there is always metadata under way too.
CHURN = """
cd "$0" || exit 1
n=0
while :; do
	mkdir "dir-$n"; : >"dir-$n/file"; mv "dir-$n/file" "dir-$n/renamed"
	[ $n -lt 20 ] || rm -r "dir-$((n - 20))"
	n=$((n + 1)); usleep 200000
done
"""


@dataclass
class Copy:
    """Copied disks (file system -> raw file), and the moment they show, by the guest's clock."""
    paths: dict
    moment_ms: float = 0.0
    is_frozen: bool = False
    acknowledged: dict = field(default_factory=dict)  # file -> the last record acknowledged before


@dataclass
class Finding:
    """One thing that was examined: of which file system, what, whether it is good, and what was seen."""
    filesystem: str
    what: str
    is_good: bool
    seen: str


def make_disks():
    """The disks of the busy guest."""
    # Large enough for each to be written to for several minutes; XFS takes no less than 300 MB.
    return [disks.empty("ext4", 200, disks.ext4), disks.empty("xfs", 320, disks.xfs),
            disks.empty("btrfs", 300, disks.btrfs)]


def copied_disks(**copies):
    """The disks of a guest to examine copies in; the names serve as prefixes of the serials."""
    return [Disk(f"{name}-{fstype}", path) for name, copy in copies.items() for fstype, path in copy.paths.items()]


def mount_disks(guest):
    """Mounts the disks of make_disks(), where they are not mounted."""
    guest.run("modprobe -a xfs btrfs")
    for fstype, path in FILESYSTEMS.items():
        guest.run(f"mountpoint -q {path} || {{ mkdir -p {path} && "
                  f"mount -t {fstype} $(readlink -f /dev/qa/{fstype}) {path}; }}")


class Busy:
    """A guest whose file systems are written to without end. The guest is started by the caller, and left busy."""

    def __init__(self, guest):
        self.guest = guest
        mount_disks(guest)
        for path in FILESYSTEMS.values():
            guest.run(["mkdir", "-p", f"{path}/names"])
        # What mounting left dirty is no part of it.
        guest.run("sync")
        self.plain = Writers(guest, files(PLAIN), "-b", 1024, "-r", 100000, log="/run/plain.log")
        self.synced = Writers(guest, files(SYNCED), "-b", 1024, "-r", 50000, "-s", log="/run/synced.log")
        self.churn = [guest.spawn(["sh", "-c", CHURN, f"{path}/names"]) for path in FILESYSTEMS.values()]

    def wait_records(self, count):
        """Waits until each file has so many more records than now."""
        last = {**self.plain.last(), **self.synced.last()}
        for writers in (self.plain, self.synced):
            self.guest.wait_for(lambda: all(number >= last[name] + count for name, number in writers.last().items()),
                                300, 0.5, f"{count} more records in each file")

    def wait_blocked(self):
        """Waits until each writer stands in a write that a freeze lets wait."""
        count = f"for pid in $(pidof qa-writer); do cat /proc/$pid/wchan; echo; done | grep -cx {WAITS_FOR_THAW}; :"
        wanted = len(FILESYSTEMS) * len(PLAIN + SYNCED)
        self.guest.wait_for(lambda: int(self.guest.sh(count)) == wanted, 120, 0.1, f"a standstill of {wanted} writers")

    def now_ms(self):
        return self.guest.run(["true"]).start_ns / 1e6

    def acknowledged(self):
        return {**self.plain.acknowledged(), **self.synced.acknowledged()}

    def stop(self):
        """Ends the writers; what they have written stays."""
        for job in (self.plain.job, self.synced.job, *self.churn):
            job.kill()
            job.wait()

    def copied(self, paths, moment_ms, is_frozen):
        """The Copy that somebody else has made: file system -> raw file, as it was at that moment."""
        copy = Copy(dict(paths), moment_ms, is_frozen)
        self.wait_records(5)
        self._count(copy)
        return copy

    def _copy(self, folder):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return Copy({fstype: folder / fstype for fstype in FILESYSTEMS})

    def _count(self, copy):
        copy.acknowledged = {name: max((number for number, _, end in acks if end <= copy.moment_ms), default=-1)
                             for name, acks in self.acknowledged().items()}

    def copy_running(self, folder):
        """Copies the disks with nothing frozen."""
        copy = self._copy(folder)
        copy.moment_ms = self.now_ms()
        self.guest.start_copy(copy.paths)
        self.guest.finish_copy(copy.paths)
        self._count(copy)
        return copy

    def snapshot(self, *words, **streams):
        """Has `snapfreeze snapshot` do what @words say. Returns the finished command, the moment that it shows, and
        file -> the longest write around it, in ms."""
        client = image.find_ours(self.guest.builddir)["snapfreeze"]
        begin_ms = self.now_ms()
        with FreezeTrace(self.guest) as trace:
            done = subprocess.run([client, "snapshot", "--agent", self.guest.folder / "agent", "--qmp",
                                   self.guest.folder / "monitor", *words], text=True, check=False, **streams)
            moment_ms = trace.moment_ms() if trace.calls("thaw") else None
        end_ms = self.now_ms()
        self.wait_records(5)
        stalls = {name: max((end - start for _, start, end in acks if end >= begin_ms and start <= end_ms), default=0.0)
                  for name, acks in self.acknowledged().items()}
        return done, moment_ms, stalls

    def copy_frozen(self, folder, *words, **streams):
        """Has `snapfreeze snapshot` back up the disks. Returns the copy, the finished command, and the stalls."""
        copy = self._copy(folder)
        copy.is_frozen = True
        disks_to = [word for fstype in FILESYSTEMS for word in ("--disk", f"disk-{fstype}={fstype}")]
        done, copy.moment_ms, stalls = self.snapshot("--backup", folder, "--format", "raw", *disks_to, *words, **streams)
        if done.returncode == 0:
            self._count(copy)
        return copy, done, stalls

    def keep_overlaid(self, folder, moment_ms):
        """What lies under the overlays that `snapfreeze snapshot` made, as a copy."""
        copy = self._copy(folder)
        copy.is_frozen, copy.moment_ms = True, moment_ms
        for fstype, path in copy.paths.items():
            image.output("qemu-img", "convert", "-U", "-O", "raw", self.guest.folder / f"{fstype}.qcow2", path)
        self._count(copy)
        return copy


def files(names):
    return [f"{path}/{name}" for path in FILESYSTEMS.values() for name in names]


class Examination:
    """What a guest finds on the copies that are its disks (copied_disks)."""

    def __init__(self, guest, name, copy):
        self.guest = guest
        self.name = name
        self.copy = copy
        self.findings = []

    def run(self):
        """All findings, of every file system."""
        self.guest.run("modprobe -a xfs btrfs; mkdir -p /copy")
        for fstype, examine in {"ext4": self._ext4, "xfs": self._xfs, "btrfs": self._btrfs}.items():
            examine(self.guest.sh(f"readlink -f /dev/qa/{self.name}-{fstype}"))
        return self.findings

    def _find(self, fstype, what, is_good, seen):
        self.findings.append(Finding(fstype, what, bool(is_good), seen))

    def _check(self, fstype, *argv):
        """A checker that repairs nothing and must find nothing."""
        job = self.guest.run(argv, timeout=600, check=False)
        lines = [line for line in (job.stdout + job.stderr).splitlines() if line.strip()]
        seen = "clean" if job.returncode == 0 else f"status {job.returncode}: {complaint(lines)}"
        self._find(fstype, " ".join(argv[:-1]), job.returncode == 0, seen)

    def _mount(self, fstype, device, options):
        if fstype == "btrfs":
            # Two copies of one file system bear the same name: forget the other.
            self.guest.run("btrfs -q device scan --forget", check=False)
        job = self.guest.run(["mount", "-t", fstype, "-o", options, device, "/copy"], check=False)
        return None if job.returncode == 0 else job.stderr.strip() or f"status {job.returncode}"

    def _records(self, fstype, device, options):
        """Everything acknowledged is there, nothing is torn, nothing is from after the freeze. Whether it mounts."""
        problem = self._mount(fstype, device, options)
        if problem:
            self._find(fstype, f"mount -o {options}", False, problem)
            return False
        for names, kind in ((PLAIN, "written"), (SYNCED, "fsynced")):
            wanted = {name: self.copy.acknowledged[f"{FILESYSTEMS[fstype]}/{name}"] for name in names}
            job = self.guest.run(["qa-writer", "--verify", *(f"/copy/{name}" for name in names)], check=False)
            found = {Path(line["file"]).name: line for line in map(json.loads, job.stdout.splitlines())}
            is_good, seen = compare(wanted, found, self.copy.is_frozen)
            self._find(fstype, f"{kind}, mounted {options}", is_good, seen)
        self.guest.run("umount /copy")
        return True

    def _ext4(self, device):
        features = self.guest.run(["dumpe2fs", "-h", device], check=False).stdout
        needs = "needs_recovery" in features
        self._find("ext4", "dumpe2fs -h", features and not needs, "needs_recovery" if needs else "no needs_recovery")
        self._check("ext4", "e2fsck", "-fn", device)
        self._records("ext4", device, AS_IT_IS["ext4"])
        self._records("ext4", device, "rw")

    def _xfs(self, device):
        self._records("xfs", device, AS_IT_IS["xfs"])
        # A frozen XFS keeps one record in its log on purpose: xfs_repair wants it replayed first.
        if self._records("xfs", device, "rw"):
            self._check("xfs", "xfs_repair", "-n", device)

    def _btrfs(self, device):
        self._check("btrfs", "btrfs", "check", "--readonly", device)
        self._records("btrfs", device, AS_IT_IS["btrfs"])
        self._records("btrfs", device, "rw")


def complaint(lines):
    """The line of a checker's output that says most."""
    for word in ("wrong", "differences", "inconsisten", "alert", "error"):
        for line in lines:
            if word in line.lower():
                return line.strip()[:90]
    return lines[0].strip()[:90] if lines else "no output"


def compare(wanted, found, is_frozen):
    """What was acknowledged (name -> last record) against what --verify found: whether it holds, and in words."""
    missing = sum(max(0, last - found.get(name, {"last": -1})["last"]) for name, last in wanted.items())
    torn = sum(line["torn"] for line in found.values())
    # A record whose write was done and whose acknowledgement was under way may be there.
    later = sum(line["last"] > wanted[name] + 1 for name, line in found.items()) if is_frozen else 0
    there = sum(line["records"] for line in found.values())
    acknowledged = sum(last + 1 for last in wanted.values())
    seen = [f"{acknowledged} acknowledged, {missing} missing, {torn} torn"]
    if later:
        seen.append(f"{later} files hold records from after the freeze")
    is_good = acknowledged > 0 and there >= acknowledged and not missing and not torn and not later
    return is_good, ", ".join(seen)
