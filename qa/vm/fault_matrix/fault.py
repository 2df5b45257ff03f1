# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a fault is: what it does to a guest, in which stages that makes sense, and what must come of the freeze."""

from dataclasses import dataclass, field
from typing import Any, Callable

# In the order in which a freeze goes through them.
STAGES = ("planning", "hooks", "flush", "freezing-first", "freezing-middle", "freezing-last", "frozen", "thawing",
          "after")
BEFORE_FREEZING = ("planning", "hooks", "flush")
FREEZING = ("freezing-first", "freezing-middle", "freezing-last")
ROWS = ("process", "memory", "disk", "table", "space", "host", "log")

# What must come of the freeze, in a stage. LOST: it must not count as consistent, and a host that was told "frozen"
# must be told so. HELD: it must count as consistent. ANY: either, but never a claim that the kernel's trace disproves.
LOST, HELD, ANY = "lost", "held", "any"


def nothing(cell):
    """What most faults do to prepare and to heal."""


@dataclass
class Fault:
    """One row's line. The functions are called with the cell (cell.py), in this order; each returns when what it does
    is done, without sleeping."""

    name: str
    row: str
    inject: Callable[[Any], None]
    # Before the agent starts: devices, files, limits. And after the cell, whatever came of it.
    prepare: Callable[[Any], None] = nothing
    clean_up: Callable[[Any], None] = nothing
    # Ends what lasts (SIGCONT, resume, the host reads again); after the freeze was let go.
    heal: Callable[[Any], None] = nothing
    # The stage that qa/check runs.
    worst: str = "frozen"
    # Stage -> why it makes no sense there. Listed, not dropped.
    senseless: dict = field(default_factory=dict)
    # True: LOST wherever a freeze is under way; False: HELD; or a dict of stages, whose key None is the default.
    loses: Any = True
    # False: it spoils the freeze at most, and does not end it. The host asks for the thaw then, and the promise counts
    # from there.
    ends: bool = True
    # All writable so many seconds after the injection (what the stage holds: after it let go) ...
    promise_s: float = 1
    # ... or after the stage let go, where the freeze is to go on until its deadline ...
    after_release: bool = False
    # ... or after the heal: what hangs cannot be thawed before.
    after_heal: bool = False
    # The freeze held, but not for this host: another channel may be told so.
    others_may_claim: bool = False
    # What is not expected to be writable in time, by mount point: cell -> list. A device that is gone, for example.
    except_for: Callable[[Any], list] = lambda cell: []
    # Lines for the agent's configuration, by group: {"freeze": "timeout=5"}; and how it is started: words before and
    # behind its path.
    config: dict = field(default_factory=dict)
    wrapper: tuple = ()
    options: tuple = ()
    # Whether the supervisor starts again what died: by ExecStopPost and a new start.
    supervised: bool = True
    # It does the freeze no harm and may go on while another fault comes: the walk lays it behind others.
    is_background: bool = False
    # A guest of its own: what it does cannot be undone.
    own_guest: bool = False
    # Disks for its guest, each (serial, MiB, mkfs or None), see disks.empty; blank ones for preference. They are
    # /dev/qa/SERIAL, on virtio-scsi where the serial begins with "scsi".
    needs: tuple = ()

    def __post_init__(self):
        assert self.row in ROWS and self.worst in STAGES, self.name
        assert self.worst not in self.senseless and set(self.senseless) <= set(STAGES), self.name

    def outcome(self, stage):
        """LOST, HELD or ANY."""
        value = self.loses
        if isinstance(value, dict):
            value = value.get(stage, value.get(None, True))
        if value is True and stage == "after":
            return HELD  # it had ended well before the fault came
        return {True: LOST, False: HELD}.get(value, value)

    @property
    def stages(self):
        return [stage for stage in STAGES if stage not in self.senseless]


def only(stages, reason):
    """For Fault.senseless: the fault makes sense in @stages alone."""
    return {stage: reason for stage in STAGES if stage not in stages}
