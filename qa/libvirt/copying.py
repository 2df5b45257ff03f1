# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases: images that libvirt makes of busy disks, examined by a second guest that never knew the first (proof.py).

Three of the same writers: a snapshot without a freeze, which the checks must refuse, one with --quiesce, and a backup
between domfsfreeze and domfsthaw. They are made once, by the first case that asks.
"""

import tempfile
import time
from pathlib import Path
from xml.sax.saxutils import quoteattr

import image
import proof
from case import case
from freeze_trace import FreezeTrace
from guest import Guest, wait_for


class Images:
    """The copies, and what a second guest finds on each. By a copy's name: "running", "quiesced", "backup"."""

    def __init__(self, lab):
        self.lab = lab
        self.folder = Path(tempfile.mkdtemp(prefix="images-", dir=lab.folder))
        self.copies = {}
        self.seconds = {}  # it took
        self.freezes = {}  # how many the kernel saw
        self.findings = {}

    def make(self):
        lab = self.lab
        busy = proof.Busy(lab.guest)
        try:
            busy.wait_records(30)
            self.copies["running"] = self._snapshot(busy, "running")
            busy.wait_records(10)
            self.copies["quiesced"] = self._snapshot(busy, "quiesced", "--quiesce")
            busy.wait_records(10)
            self.copies["backup"] = self._backup(busy)
        finally:
            busy.stop()

    def _raw(self, name):
        return {fstype: self.folder / f"{name}-{fstype}" for fstype in proof.FILESYSTEMS}

    def _snapshot(self, busy, name, *options):
        """An overlay over each disk; what was the image until then is the copy."""
        lab, copies = self.lab, self._raw(name)
        bases = lab.guest.images()
        overlays = [word for serial, target in lab.guest.targets().items()
                    for word in ("--diskspec", f"{target},file={self.folder}/{name}-{serial}.qcow2")]
        moment = busy.now_ms()
        with FreezeTrace(lab.guest) as trace:
            begin = time.monotonic()
            lab.virsh("snapshot-create-as", name, "--disk-only", "--atomic", "--no-metadata", *options, *overlays)
            self.seconds[name] = time.monotonic() - begin
            freezes, thaws = trace.calls("freeze"), trace.calls("thaw")
        if freezes:
            # Nobody can acknowledge between the two: any time between them divides the records.
            moment = (max(call.end for call in freezes) + min(call.begin for call in thaws)) * 500
        for serial, base in bases.items():
            image.output("qemu-img", "convert", "-U", "-O", "raw", base, copies[serial])
        self.freezes[name] = len(freezes)
        return busy.copied(copies, moment, bool(freezes))

    def _backup(self, busy):
        """A full backup, begun while frozen; it goes on while the guest does."""
        lab, copies = self.lab, self._raw("backup")
        disks = "".join(f"<disk name='{target}' type='file'><driver type='raw'/>"
                        f"<target file={quoteattr(str(copies[serial]))}/></disk>"
                        for serial, target in lab.guest.targets().items())
        (self.folder / "backup.xml").write_text(f"<domainbackup mode='push'><disks>{disks}</disks></domainbackup>")
        begin = time.monotonic()
        assert lab.freeze() == 3
        moment = busy.now_ms()
        lab.virsh("backup-begin", self.folder / "backup.xml")
        assert lab.thaw() == 3
        self.seconds["backup"] = time.monotonic() - begin
        wait_for(lambda: "None" in lab.virsh("domjobinfo"), 300, 0.2, "the backup's end")
        assert "Completed" in lab.virsh("domjobinfo", "--completed")
        return busy.copied(copies, moment, True)

    def examine(self):
        """The lab's guest stands still meanwhile: machines for tests have few cores."""
        self.lab.virsh("suspend")
        try:
            with Guest(proof.copied_disks(**self.copies)) as guest:
                for name, copy in self.copies.items():
                    self.findings[name] = proof.Examination(guest, name, copy).run()
        finally:
            self.lab.virsh("resume")

    def bad(self, name):
        return [f"{found.filesystem}: {found.what}: {found.seen}" for found in self.findings[name] if not found.is_good]


def images(lab):
    if not lab.images:
        made = Images(lab)
        made.make()
        made.examine()
        lab.images = made
    return lab.images


@case("snapshot-create-as --disk-only", "without a freeze the image is not consistent: else these checks prove nothing")
def a_snapshot_without_quiesce_is_not_consistent(lab):
    made = images(lab)
    assert made.freezes["running"] == 0
    assert {text.partition(":")[0] for text in made.bad("running")} == set(proof.FILESYSTEMS)
    return f"{len(made.bad('running'))} of {len(made.findings['running'])} checks fail, as some must"


@case("snapshot-create-as --disk-only --quiesce", "the image is consistent, and the guest writes on")
def a_quiesced_snapshot_is_consistent(lab):
    made = images(lab)
    assert made.freezes["quiesced"] == 3
    assert made.bad("quiesced") == []
    assert lab.blocked() == []
    return f"all of {len(made.findings['quiesced'])} checks pass; {made.seconds['quiesced']:.1f} s in all"


@case("domfsfreeze, backup-begin, domfsthaw", "the backup is that of the frozen moment, though it ends long after")
def a_backup_begun_while_frozen_is_consistent(lab):
    made = images(lab)
    assert made.bad("backup") == []
    assert lab.blocked() == []
    return f"all of {len(made.findings['backup'])} checks pass; {made.seconds['backup']:.1f} s from freeze to thaw"
