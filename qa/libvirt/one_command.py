# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases: `snapfreeze snapshot --domain`, which is a client of libvirt like any other, through virsh."""

import json
import shutil
import subprocess

import disks
import image
from case import case
from freeze_trace import FreezeTrace
from lab import PATHS


def snapshot(lab, *words, status=0):
    """What the command prints, or where it fails what it says."""
    client = image.find_ours(lab.guest.builddir)["snapfreeze"]
    result = lab.host.run(client, "--json", "snapshot", "--domain", lab.guest.name, *words, timeout=300)
    assert result.returncode == status, result.stderr
    return json.loads(result.stdout) if result.stdout else result.stderr


def sources(lab):
    """libvirt's name of each disk -> the file that the guest writes to."""
    return {row.split()[0]: row.split()[1] for row in lab.virsh("domblklist").splitlines()[2:] if row.strip()}


@case("snapshot-create-as by snapfreeze snapshot --domain", "overlays of all disks at one moment while all is frozen; "
      "libvirt knows them")
def one_command_makes_the_overlays_while_all_is_frozen(lab):
    before = sources(lab)
    with FreezeTrace(lab.guest) as trace:
        reply = snapshot(lab)
        frozen, thawed = trace.calls("freeze"), trace.calls("thaw")
    assert reply["consistent"] is True and len(frozen) == len(thawed) == len(PATHS)
    assert {entry["disk"]: entry["image"] for entry in reply["disks"]} == before
    assert {entry["disk"]: entry["file"] for entry in reply["disks"]} == sources(lab)
    assert lab.blocked() == []
    held_ms = (min(call.begin for call in thawed) - max(call.end for call in frozen)) * 1000
    return f"{len(before)} overlays; writers stood still for {reply['still-ms']:.0f} ms, {held_ms:.0f} of them held"


@case("backup-begin by snapfreeze snapshot --domain --backup", "the guest writes on while the backup of the frozen moment "
      "is copied")
def one_command_backs_up_the_frozen_moment(lab):
    folder = lab.folder / "one-command"
    lab.guest.run("rm -f /data/ext4/later; echo before >/data/ext4/before; sync")
    target = lab.guest.targets()["ext4"]
    reply = snapshot(lab, "--backup", folder, "--format", "raw", "--disk", target)
    lab.guest.run("echo later >/data/ext4/later; sync")
    assert reply["consistent"] is True and [entry["disk"] for entry in reply["disks"]] == [target]
    listing = subprocess.run([disks.tool("debugfs"), "-R", "ls -p /", folder / f"{target}.raw"], capture_output=True,
                             text=True).stdout
    shutil.rmtree(folder)
    assert "/before/" in listing and "/later/" not in listing
    assert lab.blocked() == []
    return f"writers stood still for {reply['still-ms']:.0f} ms, copied in {reply['copy-ms']:.0f} ms"


@case("snapfreeze snapshot --domain beside another job", "refused before anything is frozen: libvirt would have it wait for "
      "half a minute while frozen")
def one_command_beside_another_job_freezes_nothing(lab):
    before, files = sources(lab), sorted(lab.guest.folder.iterdir())
    target = lab.guest.targets()["xfs"]
    (lab.folder / "job.xml").write_text(f"<domainbackup mode='pull'><server transport='unix' socket='{lab.folder}/nbd'/>"
                                        f"<disks><disk name='{target}' type='file'><scratch file='{lab.folder}/scratch'/>"
                                        "</disk></disks></domainbackup>")
    lab.virsh("backup-begin", lab.folder / "job.xml")
    try:
        with FreezeTrace(lab.guest) as trace:
            said = snapshot(lab, status=1)
            assert trace.calls("freeze") == []
    finally:
        lab.virsh("domjobabort")
    assert "has a job already" in said, said
    assert sources(lab) == before and sorted(lab.guest.folder.iterdir()) == files
    return said.strip().removeprefix("snapfreeze: ")
