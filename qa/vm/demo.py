# SPDX-License-Identifier: LGPL-2.1-or-later
"""demo.py BUILDDIR: what qa/demo shows once everything is built. Owns the guests and the words; proof.py does the work."""

import os
import sys
import tempfile
import time
from pathlib import Path

import image
import proof
from agents import Snapfreeze
from guest import CommandFailed, Guest
from ports import AgentError, GuestDied, Timeout

BEGUN = float(os.environ.get("SNAPFREEZE_DEMO_BEGUN", time.time()))
COLOURS = {"ok": 32, "BAD": 31, "bold": 1}


class Failed(Exception):
    """The demonstration did not show what it should; the text says in what."""


def paint(word, text):
    """@text in the colour of @word, on a terminal that may have colours."""
    wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\033[{COLOURS[word]}m{text}\033[0m" if wanted and word in COLOURS else text


def say(text):
    print(f"{time.time() - BEGUN:4.0f} s  {text}", flush=True)


def title(text):
    print(f"\n{paint('bold', text)}", flush=True)


# ---- the freeze

def show_stalls(stalls):
    title("The longest write of each writer around the freeze, in ms")
    for fstype, path in proof.FILESYSTEMS.items():
        cells = []
        for kind, names in (("plain", proof.PLAIN), ("fsynced", proof.SYNCED)):
            cells.append(f"{kind} " + " ".join(f"{stalls[f'{path}/{name}']:6.0f}" for name in names))
        print(f"  {fstype:<7}{'    '.join(cells)}")


# ---- the proof

def show_findings(findings):
    wide = max(len(found.what) for found in findings)
    for found in findings:
        word = "ok" if found.is_good else "BAD"
        print(f"  {paint(word, f'{word:<4}')}{found.filesystem:<6}{found.what:<{wide}}  {found.seen}", flush=True)


def judge(with_freeze, without):
    """Raises what is wrong with the whole."""
    wrong = [f"{found.filesystem}: {found.what}: {found.seen}" for found in with_freeze if not found.is_good]
    if wrong:
        raise Failed("the image is not consistent: " + "; ".join(wrong))
    if all(found.is_good for found in without):
        raise Failed("the copy without a freeze passes too: the checks prove nothing")


# ---- the demonstration

def take_copies(builddir, folder):
    guest = Guest(proof.make_disks(), builddir=builddir)
    try:
        say("booting a guest with an ext4, an XFS and a btrfs disk")
        guest.start()
        say(f"it is up ({'KVM' if guest.accel == 'kvm' else 'software emulation'}); "
            f"{len(proof.files(proof.PLAIN))} files are written to, {len(proof.files(proof.SYNCED))} more with fsync")
        busy = proof.Busy(guest)
        agent = Snapfreeze(guest).start()
        busy.wait_records(200)
        say("to compare with: copying the disks with no freeze")
        running = busy.copy_running(folder / "running")
        busy.wait_records(100)
        planned = agent.call("snapfreeze-plan")["filesystems"]
        agent.port.close()
        say("what the agent will freeze, in order: " + ", ".join(entry["mountpoint"] for entry in planned))
        title("snapfreeze snapshot --backup: freeze over virtio-serial, backups of all disks, thaw")
        frozen, done, stalls = busy.copy_frozen(folder / "frozen", "--label", "demo")
        if done.returncode != 0:
            raise Failed("no consistent snapshot was taken")
        return running, frozen, stalls
    finally:
        guest.stop()


def examine(running, frozen):
    guest = Guest(proof.copied_disks(running=running, frozen=frozen))
    try:
        print()
        say("booting a second guest with the copies as its disks")
        guest.start()
        title("The copy taken while frozen: examined as it is, then mounted rw, which replays journals")
        with_freeze = proof.Examination(guest, "frozen", frozen).run()
        show_findings(with_freeze)
        title("The copy taken with no freeze: the same checks, which must fail")
        without = proof.Examination(guest, "running", running).run()
        show_findings(without)
        print(f"  {sum(not found.is_good for found in without)} of {len(without)} fail, as some must")
        return with_freeze, without
    finally:
        guest.stop()


def main():
    builddir = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="sfdemo-") as folder:
        say("preparing the guest out of Debian's packages")
        image.base()
        running, frozen, stalls = take_copies(builddir, Path(folder))
        show_stalls(stalls)
        judge(*examine(running, frozen))
    print()
    say("done")
    print(paint("ok", "The image is consistent."))


if __name__ == "__main__":
    try:
        main()
    except image.Unavailable as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(77)
    except (Failed, AgentError, CommandFailed, GuestDied, Timeout, OSError) as error:
        sys.stdout.flush()
        print(f"FAILED: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
