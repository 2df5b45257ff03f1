# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must hold after every fault, in every stage:

1. within the promised time every filesystem is writable, and every hook has been told to thaw;
2. what was not frozen by us is not thawed by us;
3. the host's next request is answered, and truthfully;
4. the agent can freeze and thaw again, and that freeze is consistent.
"""

import os
import time

from guest import wait_for
from ports import GuestDied, Timeout

from .cell import Failed, describe
from .fault import ANY, HELD, LOST
from .stages import check_hooks

# A machine that emulates two guests at once is late by seconds; what is asserted is that the end comes by itself.
SLACK_S = float(os.environ.get("SNAPFREEZE_FAULTS_SLACK", "6"))
GIVE_UP_S = 90


class Probe:
    """A write to each filesystem, begun at once, each in a process of its own that may hang. What the stage holds
    comes last, so that the others can be waited for first."""

    def __init__(self, cell):
        skipped = cell.fault.except_for(cell)
        self.cell = cell
        self.held = cell.hold.path if cell.hold.is_held and cell.hold.is_in_kernel else None
        self.paths = sorted((path for path in cell.planned if path not in skipped), key=lambda p: p == self.held)
        self.job = cell.guest.spawn(["qa-write", "-t", GIVE_UP_S, "--", *self.paths])

    def _lines(self):
        return [line.split("\t") for line in self.job.stdout.splitlines()]

    def wait_others(self):
        """Until all but what is held could be written to."""
        others = len(self.paths) - (self.held in self.paths)
        try:
            wait_for(lambda: len(self._lines()) >= others or self.job.poll() is not None,
                     self.cell.fault.promise_s + SLACK_S * 2, 0.02)
        except Timeout:
            raise Failed(f"1: not writable in time, though nothing holds them: {self.paths[len(self._lines()):others]}"
                         ) from None

    def check(self, what, since_ns, held_since_ns=None):
        """Waits for the rest, and compares with the promise."""
        job = self.job.wait(GIVE_UP_S + 60)
        late = []
        worst = 0
        for word, ms, path in self._lines():
            begun = held_since_ns if path == self.held and held_since_ns else since_ns
            seconds = (job.start_ns + float(ms) * 1e6 - begun) / 1e9 if word != "error" else 0
            worst = max(worst, seconds)
            if word != "done" or seconds > self.cell.fault.promise_s + SLACK_S:
                late.append(f"{path}: {word} {ms if word == 'error' else f'after {seconds:.1f} s'}")
        self.cell.times[what] = round(worst, 2)
        if late or len(self._lines()) != len(self.paths):
            raise Failed(f"1: not writable {self.cell.fault.promise_s} s after the {what}: "
                         f"{'; '.join(late) or job.stderr}")


def check_witness(cell):
    if not cell.arena.witness_is_frozen():
        raise Failed("2: what another process had frozen was thawed")


def check_thaws(cell):
    """By the kernel's trace: nobody thaws what is not planned, nor more often than it was frozen."""
    devices = {mount["device"] for mount in cell.guest.mounts() if mount["mountpoint"] in cell.planned}
    freezes = [call.device for call in cell.arena.trace.calls("freeze") if call.result == 0]
    for call in cell.arena.trace.calls("thaw"):
        if call.result == 0 and call.device not in freezes and call.device not in devices:
            raise Failed(f"2: {call.device} was thawed, which was never frozen by us")


def check_claims(cell):
    """Whatever calls the freeze consistent is compared with what the kernel saw."""
    if not cell.claims:
        return
    if cell.fault.outcome(cell.stage) == LOST:
        raise Failed(f"3: called consistent after a fault: {describe(cell.claims[0])}")
    asked = cell.thaw_asked_ns / 1e9
    table = {mount["device"]: mount["mountpoint"] for mount in cell.guest.mounts()
             if mount["mountpoint"] in cell.planned}
    early = [table[call.device] for call in cell.arena.trace.calls("thaw")
             if call.device in table and call.begin < asked and call.result == 0]
    if early:
        raise Failed(f"3: called consistent, but {early} had been thawed before the thaw was asked for")


def take_reply(cell, reply):
    """Notes an answer to a thaw, and whether it is a claim."""
    if reply is not None and isinstance(reply.get("return"), int) and reply["return"] > 0:
        cell.claims.append(reply)
    return reply


def hear_pending(cell):
    """The answer to what the host had asked when the fault came, where one can come."""
    if not cell.is_pending():
        return
    if cell.stage == "thawing" and cell.thaw_reply is None:
        cell.thaw_reply = wait_reply(cell)
    elif cell.stage not in ("thawing", "frozen", "after") and cell.freeze_reply is None:
        cell.freeze_reply = wait_reply(cell)


def wait_reply(cell):
    """The answer to the host's last request; None where the agent ends without one."""
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        try:
            return cell.host.read_reply(0.5)
        except Timeout:
            cell.supervise()
            if not cell.is_pending():
                return None
        except (GuestDied, ValueError) as error:
            raise Failed(f"3: the host's request was not answered: {error}") from None
    raise Failed("3: the host's request was not answered")


def is_success(reply):
    return reply is not None and "return" in reply


def check_verdict(cell):
    """The host's next request, a thaw: its answer must be true."""
    outcome = cell.fault.outcome(cell.stage)
    hear_pending(cell)
    was_told_frozen = is_success(cell.freeze_reply)
    take_reply(cell, cell.thaw_reply)
    try:
        cell.connect()
        if outcome == HELD and cell.stage not in ("thawing", "after") and not was_told_frozen:
            raise Failed(f"3: the freeze failed: {describe(cell.freeze_reply)}")
        if cell.thaw_asked_ns is None:
            cell.thaw_asked_ns = cell.now()
        reply = take_reply(cell, cell.host.raw_call("guest-fsfreeze-thaw", GIVE_UP_S))
        cell.wait_settled()
    except Timeout as error:
        raise Failed(f"3: {error}") from None
    has_ended = is_success(cell.thaw_reply)
    if outcome == HELD and not has_ended and not cell.claims:
        raise Failed(f"3: the freeze held, but the thaw said {describe(reply)}")
    if outcome == HELD and has_ended and reply != {"return": 0}:
        raise Failed(f"3: the freeze had ended well, but the next thaw said {describe(reply)}")
    last = cell.host.call("snapfreeze-status", GIVE_UP_S).get("last", {})
    if last.get("consistent") and last["id"] != cell.id_before and not cell.fault.others_may_claim:
        cell.claims.append(last)
    again = cell.host.raw_call("guest-fsfreeze-thaw", GIVE_UP_S)
    if was_told_frozen and not cell.claims and "error" not in again:
        raise Failed(f"3: told that it was frozen, the host is not told that it did not hold: {describe(again)}")
    check_claims(cell)


def check_freezes_again(cell):
    try:
        cell.wait_settled()
        cell.host.send({"execute": "snapfreeze-freeze"})
        cell.freezes += 1
        frozen = cell.host.read_reply(GIVE_UP_S)
        answer = cell.host.raw_call("snapfreeze-thaw", GIVE_UP_S)
    except Timeout as error:
        raise Failed(f"4: {error}") from None
    if not is_success(frozen) or not is_success(answer) or answer["return"]["consistent"] is not True:
        raise Failed(f"4: it cannot freeze again: {describe(frozen)}, {describe(answer)}")
    cell.freezes_answered += 1


def check_all(cell):
    """2, 3 and 4; the first is checked on the way (matrix.py)."""
    outcome = cell.fault.outcome(cell.stage)
    check_verdict(cell)
    cell.freezes += 1
    cell.freezes_answered += is_success(cell.freeze_reply)
    if outcome in (HELD, ANY) or not cell.fault.ends:
        probe = Probe(cell)
        probe.check("thaw", cell.now())
    check_thaws(cell)
    check_witness(cell)
    check_freezes_again(cell)
    problem = check_hooks(cell)
    if problem:
        raise Failed(f"1: {problem}")
