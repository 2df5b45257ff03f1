# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was measured, as tables for people and as JSON for programs."""

import statistics

from bench import OURS, THEIRS
from stalls import PHASES


def cell(numbers):
    """Median, minimum, maximum; ping is the only row below 10 ms, so one decimal place is enough."""
    if not numbers:
        return "-"
    middle = statistics.median(numbers)
    return f"{middle:.1f} ({min(numbers):.1f} to {max(numbers):.1f})"


def ratio(values):
    theirs, ours = values.get(THEIRS), values.get(OURS)
    if not theirs or not ours or statistics.median(theirs) == 0:
        return "-"
    return f"{statistics.median(ours) / statistics.median(theirs):.3f}"


def table(lines):
    """Columns as wide as they must be; the first to the left, the others to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join([line[0].ljust(widths[0])] + [word.rjust(width) for word, width in zip(line[1:], widths[1:])])
                     for line in lines)


def rows_table(rows):
    lines = [["median (minimum to maximum)", THEIRS, OURS, "ratio"]]
    lines += [[row, cell(values.get(THEIRS)), cell(values.get(OURS)), ratio(values)] for row, values in rows.items()]
    return table(lines)


def stalls_table(loads):
    """Of the longest stall in each phase, the median over the rounds."""
    lines = [["longest stall by phase, ms", "agent", *PHASES, "whole, at worst"]]
    for load, agents in loads.items():
        for kind in next(iter(agents.values()))[0]["by-phase"]:
            for agent, runs in agents.items():
                words = []
                for phase in PHASES:
                    found = [run["by-phase"][kind][phase] for run in runs if phase in run["by-phase"][kind]]
                    words.append(f"{statistics.median(found):.0f}" if found else "-")
                words.append(f"{max(run['longest'][kind] for run in runs):.0f}")
                lines.append([f"{load}: {kind}", agent, *words])
    return table(lines)


def text(bench):
    parts = [rows_table(bench.rows)] if bench.rows else []
    if bench.stalls:
        parts.append(stalls_table(bench.stalls))
    parts.append("\n".join(["Only the ratio means something on another machine.", *bench.remarks]))
    return "\n\n".join(parts)


def as_json(bench, facts):
    return {**facts, "rows": bench.rows, "stalls": bench.stalls, "remarks": bench.remarks}
