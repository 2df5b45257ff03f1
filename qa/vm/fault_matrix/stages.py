# SPDX-License-Identifier: LGPL-2.1-or-later
"""Brings an agent to one stage of a freeze, and holds it there inside the kernel until it is let go: no clock decides
what a fault meets."""

import contextlib
import itertools

from .fault import STAGES

HOOKS = "/run/qa-hooks"  # a folder with one hook, which waits as long as there is HOOK_WAITS
HOOK_SAID = "/run/qa-hooks.said"
HOOK_WAITS = "/run/qa-hooks.wait"
HOOK = f"""#!/bin/sh
echo "$1" >>{HOOK_SAID}
while [ "$1" = freeze ] && [ -e {HOOK_WAITS} ]; do usleep 20000; done
"""
HOOKS_CONFIG = f"[hooks]\ndirectory={HOOKS}\ntimeout=120\n"
HOLD = "/mnt/hold"  # arena.py: an ext4 of the matrix's own on the dm device "hold"
FREEZE = {"execute": "guest-fsfreeze-freeze"}
THAW = {"execute": "guest-fsfreeze-thaw"}
# Stages that the program is not ready for, and why.
MISSING = {}


class Hold:
    """What keeps a stage from going on. .path: the filesystem that it concerns, or None; .is_in_kernel: whether a
    thread of the freezer is in D state because of it."""

    def __init__(self, path=None, is_in_kernel=False, let_go=lambda: None):
        self.path = path
        self.is_in_kernel = is_in_kernel
        self._let_go = let_go
        self.is_held = path is not None

    def release(self):
        """Lets it go on; a second time does nothing."""
        if self.is_held:
            self.is_held = False
            self._let_go()


def _helper(cell, *words):
    job = cell.guest.spawn(["qa-hold", *words])
    cell.jobs.append(job)
    return job


def _let_go_of(job):
    def let_go():
        job.close_input()
        # Its own end may wait for the filesystem.
        with contextlib.suppress(Exception):
            job.wait(5)
    return let_go


def _suspended(cell):
    cell.guest.run(["dmsetup", "suspend", "--nolockfs", "--noudevsync", "hold"])
    return lambda: cell.guest.run(["dmsetup", "resume", "--noudevsync", "hold"])


def _planning(cell):
    path = cell.order[len(cell.order) // 2]
    job = _helper(cell, "open", path).wait_output("ready")
    hold = cell.hold = Hold(path, False, _let_go_of(job))
    cell.host.send(FREEZE)
    job.wait_output("held")
    return hold


def _hooks(cell):
    cell.guest.run(f"rm -rf {HOOKS} {HOOK_SAID}; mkdir -m 0755 {HOOKS}; touch {HOOK_WAITS}")
    cell.guest.push(HOOK.encode(), f"{HOOKS}/10-wait")
    hold = cell.hold = Hold(HOOKS, False, lambda: cell.guest.run(["rm", "-f", HOOK_WAITS]))
    cell.host.send(FREEZE)
    cell.guest.wait_for(f"grep -qs freeze {HOOK_SAID}", what="the hook", interval=0.02)
    return hold


def check_hooks(cell):
    """Whatever happened since: every hook that was told to freeze has been told to thaw. Returns what is wrong."""
    said = cell.guest.sh(f"cat {HOOK_SAID} 2>/dev/null; :").split() if cell.stage == "hooks" else []
    for word, following in itertools.zip_longest(said, said[1:]):
        if word == "freeze" and following != "thaw":
            return f"a hook was told only this: {' '.join(said)}"
    return ""


def _flush(cell):
    hold = cell.hold = Hold(HOLD, True, _suspended(cell))
    cell.host.send(FREEZE)
    cell.guest.wait_for("grep -q 'State:.*D' /proc/$(pidof snapfreeze-freezer)/task/*/status", what="the flush",
                        interval=0.01)
    return hold


def _freezing(position):
    def reach(cell):
        path = cell.order[{"first": 0, "middle": len(cell.order) // 2, "last": -1}[position]]
        job = _helper(cell, "write", path).wait_output("held")
        hold = cell.hold = Hold(path, True, _let_go_of(job))
        cell.host.send(FREEZE)
        before = cell.order[:cell.order.index(path)]
        cell.guest.wait_for(lambda: cell.in_state("freezing") == [path] and
                            set(cell.in_state("frozen")) == set(before), what="the freeze's stage", interval=0.01)
        return hold
    return reach


def _frozen(cell):
    cell.host.send(FREEZE)
    cell.freeze_reply = cell.host.read_reply(300)
    assert cell.freeze_reply == {"return": len(cell.planned)}, cell.freeze_reply
    return Hold()


def _thawing(cell):
    _frozen(cell)
    hold = cell.hold = Hold(HOLD, True, _suspended(cell))
    cell.ask_thaw()
    cell.guest.wait_for(lambda: cell.in_state("thawing") == [HOLD], what="the thaw's stage", interval=0.01)
    return hold


def _after(cell):
    _frozen(cell)
    cell.ask_thaw()
    cell.thaw_reply = cell.host.read_reply(300)
    assert cell.thaw_reply == {"return": len(cell.planned)}, cell.thaw_reply
    return Hold()


REACH = {
    "planning": _planning,
    "hooks": _hooks,
    "flush": _flush,
    "freezing-first": _freezing("first"),
    "freezing-middle": _freezing("middle"),
    "freezing-last": _freezing("last"),
    "frozen": _frozen,
    "thawing": _thawing,
    "after": _after,
}
assert set(REACH) | set(MISSING) == set(STAGES)


def reach(cell):
    """Brings @cell to its stage. Returns the hold, which is also cell.hold."""
    cell.hold = REACH[cell.stage](cell)
    return cell.hold
