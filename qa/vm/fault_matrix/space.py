# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults around a filesystem that is mounted only in another mount namespace, as a container's: the two processes', and
the end of the only process through which there is a way to it."""

from spaces import Space

from . import own, process
from .fault import ANY, Fault
from .own import OWN
from .process import ASKED


def begin(cell):
    """A namespace that alone has the filesystem, at OWN."""
    device = own.device(cell)
    cell.scratch["space"] = Space(cell.guest, f"mount -t ext4 {device} {OWN}")


def end(cell):
    """With its last process the namespace ends, and with that its mounts."""
    cell.scratch["space"].end()
    cell.guest.wait_for(f"! [ -e /proc/{cell.scratch['space'].pid}/ns/mnt ]", interval=0.02)


def clean_up(cell):
    """Nothing may keep the superblock any more: its device would not go."""
    if "space" in cell.scratch:
        end(cell)
    own.take_away(cell)


def place(cell):
    """Nobody can come there once the process has ended."""
    return [cell.scratch["space"].place(OWN)]


def end_and_kill(cell):
    """Nobody finds it in any table: what the service manager has kept is the only way to it."""
    end(cell)
    process.kill(cell, "both", atomically=True)


def killed(who, **options):
    return Fault(f"space-{who}-sigkill", "space", lambda cell: process.kill(cell, who, atomically=who == "both"), begin,
                 clean_up, **options)


FAULTS = [
    killed("agent", worst="freezing-middle"),
    killed("freezer", loses={"planning": ANY}),
    killed("both", promise_s=4, worst="frozen"),
    Fault("space-ends", "space", end, begin, clean_up, ends=False, loses=False, worst="frozen", except_for=place),
    Fault("space-ends-both-sigkill", "space", end_and_kill, begin, clean_up, promise_s=4, loses=ASKED,
          worst="frozen", except_for=place),
]
