# SPDX-License-Identifier: LGPL-2.1-or-later
"""A random walk over the matrix, in one guest that lives long: each step is a freeze with a fault (or none, or one with
another that goes on in the background) at one stage, and the four assertions after it. The seed decides all of it."""

import collections
import dataclasses
import json
import random
import time

from . import matrix, stages
from .fault import STAGES, Fault

NONE = Fault("none", "process", lambda cell: None, ends=False, loses=False)
SEED = 20240229  # qa/check's, so that two runs of it are alike


class Step:
    """A fault, maybe one in the background, and a stage. As text: FAULT@STAGE or FAULT+BACKGROUND@STAGE."""

    def __init__(self, fault, stage, background=None):
        self.fault = fault
        self.stage = stage
        self.background = background

    def __str__(self):
        return f"{self.fault.name}{f'+{self.background.name}' if self.background else ''}@{self.stage}"

    def combined(self):
        """One fault that does both; what must come of it is the first one's matter."""
        if not self.background:
            return self.fault
        main, behind = self.fault, self.background

        def both(first, second):
            def call(cell):
                first(cell)
                second(cell)
            return call
        return dataclasses.replace(
            main, name=f"{main.name}+{behind.name}", prepare=both(main.prepare, behind.prepare),
            inject=both(behind.inject, main.inject), heal=both(main.heal, behind.heal),
            clean_up=both(main.clean_up, behind.clean_up), promise_s=main.promise_s + behind.promise_s)


def usable(faults):
    """What may be drawn: what a shared guest survives. (fault, stage) pairs by fault."""
    return [fault for fault in faults if not fault.own_guest and any(places(fault))]


def places(fault):
    return [stage for stage in fault.stages if stage not in stages.MISSING]


def draw(faults, seed):
    """The endless list of steps of a seed."""
    chance = random.Random(seed)
    faults = sorted(usable(faults), key=lambda fault: fault.name)
    behind = [fault for fault in faults if fault.is_background]
    while True:
        dice = chance.random()
        fault = chance.choice(faults)
        stage = chance.choice(places(fault))
        other = chance.choice(behind) if behind else None
        if dice < 0.1:
            yield Step(NONE, stage)
        elif dice < 0.35 and not fault.is_background:
            yield Step(fault, stage, other)
        else:
            yield Step(fault, stage)


def parse(text, faults):
    """The steps that str() of them names, parted by spaces."""
    by_name = {fault.name: fault for fault in [*faults, NONE]}
    for word in text.split():
        names, _, stage = word.partition("@")
        name, _, background = names.partition("+")
        if stage not in STAGES or name not in by_name or (background and background not in by_name):
            raise SystemExit(f"no such step: {word}")
        yield Step(by_name[name], stage, by_name.get(background))


class Walk:
    """.steps so far, .failures; .is_over after a number of freezes or a time, or at the end of the steps."""

    def __init__(self, arenas, faults, steps, tell=print):
        self.arenas = arenas
        self.steps_to_come = steps
        self._tell = tell
        self.lines = []
        self.needs = tuple(dict.fromkeys(need for fault in usable(faults) for need in fault.needs))
        self.results = []
        self.path = []  # since the guest was started
        self.failures = []
        self.freezes = self.answered = 0
        self.agent = None

    def tell(self, text):
        self.lines.append(text)
        self._tell(text)

    def told(self):
        return "\n".join(self.lines)

    def step(self):
        """One. Returns its result, or None where there is no more."""
        step = next(self.steps_to_come, None)
        if step is None:
            return None
        arena = self.arenas.take(self.needs)
        if not self.agent or self.agent.guest is not arena.guest:
            self.agent, self.path = None, []
        self.path.append(str(step))
        result, cell = matrix.run_in_turn(arena, step.combined(), step.stage, True, self.agent)
        self.agent = cell.agent if result.word == matrix.PASSED and cell.agent.is_running() else None
        self.freezes += cell.freezes
        self.answered += cell.freezes_answered
        self.results.append(result)
        self.tell(f"{len(self.results):4} {result.word.upper():6} {result.seconds:5.1f} s  {step}  "
                  f"{result.times or ''}")
        if result.word == matrix.FAILED:
            self.failures.append((list(self.path), result))
            self.tell(f"    {result.reason}\n    these steps in a new guest: --steps '{' '.join(self.path)}'")
        return result

    def finish(self):
        """Ends the agent that is still there, and looks at what is left."""
        if self.agent and not self.arenas.arena.is_broken:
            self.agent.stop(60)
            problem = self.arenas.arena.uncleanness()
            if problem:
                self.failures.append((list(self.path), None))
                self.tell(f"FAILED at the end: {problem}")

    def drawn(self):
        """Text: how often each fault was drawn, and in how many stages."""
        counts, seen = collections.Counter(), collections.defaultdict(set)
        for result in self.results:
            for name in result.fault.name.split("+"):
                counts[name] += 1
                seen[name].add(result.stage)
        return ", ".join(f"{name} {count} ({len(seen[name])})" for name, count in sorted(counts.items()))


def soak(arenas, faults, seconds, seed, json_path=None, steps=None):
    """Until @seconds are over, or for @steps (text). Prints what it did; returns an exit status."""
    print(f"seed {seed}, {seconds} s, {len(usable(faults))} faults" if not steps else f"steps: {steps}", flush=True)
    walk = Walk(arenas, faults, parse(steps, faults) if steps else draw(faults, seed),
                lambda text: print(text, flush=True))
    begun = time.monotonic()
    while (steps or time.monotonic() - begun < seconds) and walk.step():
        pass
    walk.finish()
    length = time.monotonic() - begun
    print(f"\ndrawn, how often (in how many stages): {walk.drawn()}")
    print(f"seed {seed}: {length:.0f} s, {len(walk.results)} steps, {walk.freezes} freezes asked for, {walk.answered} "
          f"of them answered as frozen; {len(walk.failures)} failed; {arenas.boots} guests")
    if json_path:
        with open(json_path, "w") as file:
            json.dump({"seed": seed, "seconds": round(length), "freezes": walk.freezes, "frozen": walk.answered,
                       "failed": len(walk.failures), "guests": arenas.boots,
                       "steps": [result.as_dict() for result in walk.results]}, file, indent=1, ensure_ascii=False)
    return 1 if walk.failures else 0
