# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs cells in guests that they share, and tells what came of them."""

import importlib
import json
import random
import sys
import time
import traceback

import image

from . import assertions, stages
from .arena import Arena
from .cell import Cell, Failed
from .fault import LOST, ROWS, STAGES

PASSED, FAILED, SENSELESS, MISSING = "passed", "failed", "not applicable", "not there yet"


def all_faults():
    """Of all rows, in the rows' order. A row's module has a list FAULTS."""
    found = []
    for row in ROWS:
        try:
            found += importlib.import_module(f"{__package__}.{row}").FAULTS
        except ModuleNotFoundError as error:
            if error.name != f"{__package__}.{row}":
                raise
    names = [fault.name for fault in found]
    assert len(set(names)) == len(names), "two faults of one name"
    return found


class Result:
    """Of one round of one cell."""

    def __init__(self, fault, stage, word, reason="", seconds=0, times=None):
        self.fault = fault
        self.stage = stage
        self.word = word
        self.reason = reason
        self.seconds = seconds
        self.times = times or {}

    def as_dict(self):
        return {"row": self.fault.row, "fault": self.fault.name, "stage": self.stage, "result": self.word,
                "reason": self.reason, "seconds": round(self.seconds, 1), "writable_s": self.times}


def not_run(fault, stage):
    """Why a cell is not run, as a result; None where it is."""
    if stage in fault.senseless:
        return Result(fault, stage, SENSELESS, fault.senseless[stage])
    if stage in stages.MISSING:
        return Result(fault, stage, MISSING, stages.MISSING[stage])
    return None


def _go_through(cell):
    """The cell itself. Raises Failed, or whatever went wrong."""
    fault = cell.fault
    lost = fault.ends and fault.outcome(cell.stage) == LOST
    stages.reach(cell)
    fault.inject(cell)
    if cell.injected_ns is None:
        cell.mark()
    probe = assertions.Probe(cell) if lost and not fault.after_heal else None
    cell.supervise()
    if probe and not fault.after_release:
        probe.wait_others()
    cell.hold.release()
    cell.released_ns = cell.now()
    if probe:
        cell.supervise()
        probe.check("fault", max(cell.injected_ns, fault.after_release and cell.released_ns), cell.released_ns)
    elif lost:
        probe = assertions.Probe(cell)
    fault.heal(cell)
    cell.healed_ns = cell.now()
    if lost and fault.after_heal:
        cell.supervise()
        probe.check("heal", cell.healed_ns)
    assertions.check_all(cell)


def _clean_up(cell, keep_agent):
    """Leaves the guest as it was found; what does not go is the next guest's reason."""
    cell.hold.release()
    cell.control.close()
    for job in cell.jobs:
        if job.poll() is None:
            job.close_input()
    if not keep_agent:
        cell.agent.stop(30)
    cell.fault.clean_up(cell)
    if not cell.arena.witness_is_frozen():
        raise Failed("2: what another process had frozen was thawed")
    problem = cell.arena.uncleanness(keep_agent)
    if problem:
        raise Failed(f"1: {problem}")


def _clean_up_after_failure(cell):
    """As far as it goes. The guest counts as broken: its next user gets another."""
    cell.arena.is_broken = True
    for step in (cell.hold.release, cell.control.close, lambda: cell.fault.heal(cell), cell.agent.abandon,
                 lambda: cell.fault.clean_up(cell)):
        try:
            step()
        except Exception:  # it is on its way out
            pass


def run_cell(arena, fault, stage):
    """One round: a Result."""
    return run_in_turn(arena, fault, stage, False)[0]


def run_in_turn(arena, fault, stage, keep_agent=True, agent=None):
    """One round, with the @agent that an earlier one left, if it may go on. Returns the Result and the cell, whose
    agent is left for the next one."""
    cell = Cell(arena, fault, stage, agent)
    # One that was started in a way of its own may not outlive what it needs.
    keep_agent = keep_agent and not (fault.config or fault.options or fault.wrapper)
    return _run(cell, keep_agent), cell


def _run(cell, keep_agent):
    begun = time.monotonic()
    fault, stage = cell.fault, cell.stage
    cell.arena.trace.clear()
    try:
        fault.prepare(cell)
        cell.start()
        _go_through(cell)
        _clean_up(cell, keep_agent)
        return Result(fault, stage, PASSED, "", time.monotonic() - begun, cell.times)
    except Exception as error:
        words = str(error) if isinstance(error, Failed) else "".join(traceback.format_exception_only(error)).strip()
        if not isinstance(error, Failed):
            words += " at " + " < ".join(f"{frame.name}:{frame.lineno}"
                                         for frame in reversed(traceback.extract_tb(error.__traceback__)[-4:]))
        words += log_of(cell)
        _clean_up_after_failure(cell)
        return Result(fault, stage, FAILED, words, time.monotonic() - begun, cell.times)


def log_of(cell):
    text = cell.agent.job.stderr[-1200:].strip() if cell.agent.job else ""
    return f"\n    log: {text}" if text else ""


class Arenas:
    """The guest at hand, and the next one where that is broken or another is needed."""

    def __init__(self, builddir, keep=False):
        self.builddir = builddir
        self.keep = keep
        self.arena = None
        self.boots = 0

    def take(self, needs, own=False):
        if self.arena and (own or self.arena.is_broken or set(needs) - set(self.arena.needs)
                           or not self.arena.guest.is_alive()):
            self.drop()
        if not self.arena:
            self.boots += 1
            self.arena = Arena(self.builddir, needs, self.keep).start()
            self.arena.is_broken = own
        return self.arena

    def drop(self):
        if self.arena:
            self.arena.stop()
        self.arena = None


def run(arenas, faults, chosen_stages=STAGES, rounds=1, tell=lambda result: None):
    """All cells of @faults, row by row; without @chosen_stages each at its worst stage. Returns the results."""
    results = []
    for row in ROWS:
        mine = [fault for fault in faults if fault.row == row]
        needs = tuple(dict.fromkeys(need for fault in mine for need in fault.needs))
        for fault in mine:
            for stage in chosen_stages or [fault.worst]:
                for _ in range(rounds):
                    result = not_run(fault, stage) or run_cell(arenas.take(needs, fault.own_guest), fault, stage)
                    results.append(result)
                    tell(result)
    return results


def table(results):
    """Text: a line per fault, a column per stage; passed/runs, "-" for what makes no sense, "." for not there yet."""
    faults = list(dict.fromkeys(result.fault.name for result in results))
    columns = [stage for stage in STAGES if any(result.stage == stage for result in results)]
    widths = [max(len(stage), 5) for stage in columns]
    first = max(map(len, faults), default=0)
    lines = [" ".join([" " * first, *(stage.rjust(width) for stage, width in zip(columns, widths))])]
    for name in faults:
        words = []
        for stage in columns:
            mine = [result for result in results if result.fault.name == name and result.stage == stage]
            passed = sum(result.word == PASSED for result in mine)
            failed = sum(result.word == FAILED for result in mine)
            blank = "-" if any(result.word == SENSELESS for result in mine) else "."
            words.append(f"{passed}/{passed + failed}" if passed + failed else blank)
        lines.append(" ".join([name.ljust(first), *(word.rjust(width) for word, width in zip(words, widths))]))
    return "\n".join(lines)


def summary(results, seconds, boots):
    counts = {word: sum(result.word == word for result in results) for word in (PASSED, FAILED, SENSELESS, MISSING)}
    return f"{', '.join(f'{count} {word}' for word, count in counts.items())}; {boots} guests, {seconds:.0f} s"


def reasons(results):
    """Why cells were not run, each once."""
    lines = {}
    for result in results:
        if result.word in (SENSELESS, MISSING):
            lines.setdefault((result.fault.name, result.reason), []).append(result.stage)
    return "\n".join(f"  {name}: {', '.join(where)}: {reason}" for (name, reason), where in lines.items())


def write_json(path, results):
    if path:
        with open(path, "w") as file:
            json.dump([result.as_dict() for result in results], file, indent=1, ensure_ascii=False)


def main(options):
    """What the program qa/vm/faults does. Returns its exit status."""
    results = []

    def tell(result):
        results.append(result)
        write_json(options.json, results)  # each time: a run of an hour may be ended by hand
        if result.word in (PASSED, FAILED):
            where = f"{result.fault.name} at {result.stage}"
            print(f"{result.word.upper():6} {result.seconds:5.1f} s  {where}  {result.times or ''}", flush=True)
            if result.word == FAILED:
                print(f"    {result.reason}", flush=True)
    faults = [fault for fault in all_faults() if (not options.row or fault.row in options.row)
              and (not options.fault or fault.name in options.fault)]
    begun = time.monotonic()
    arenas = Arenas(options.builddir, options.keep)
    try:
        if options.soak or options.steps:
            from . import walk
            seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
            return walk.soak(arenas, faults, options.soak, seed, options.json, options.steps)
        run(arenas, faults, None if options.worst else options.stage or STAGES, options.rounds, tell)
    except image.Unavailable as error:
        print(f"faults: {error}", file=sys.stderr)
        return 77
    finally:
        arenas.drop()
    print(f"\n{table(results)}\n\n- makes no sense, . not there yet:\n{reasons(results)}")
    print(summary(results, time.monotonic() - begun, arenas.boots))
    return 1 if any(result.word == FAILED for result in results) else 0
