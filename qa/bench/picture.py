# SPDX-License-Identifier: LGPL-2.1-or-later
"""A picture of the writers' stalls over time, by gnuplot: a column for each load, the agents one above the other.

A write that takes long climbs from 0 at its begin to its whole length at its end; what is left white below the peaks is
when writers wrote.
"""

import shutil
import subprocess
from pathlib import Path

from bench import OURS, THEIRS

PANEL = (560, 330)
# The widest first: the writers of one disk often stand still together, and lie on each other.
STYLES = {"endless": "#b0b0b0' linewidth 4", "plain": "#0060ad' linewidth 2", "fsync": "#dd181f' linewidth 1"}
SHADES = {"flush": "#fff2cc", "freeze": "#f8cecc", "hold": "#d5e8d4"}
TERMINALS = {".svg": "svg dynamic", ".png": "pngcairo"}


class Missing(Exception):
    """The picture cannot be drawn; the text says why."""


def terminal(path):
    """Checked before anything is measured."""
    suffix = Path(path).suffix
    if suffix not in TERMINALS:
        raise Missing(f"--picture {path}: the name must end in .svg or .png")
    if not shutil.which("gnuplot"):
        raise Missing("--picture needs gnuplot, which is not installed (qa/vm/install-tools bench, or the package "
                      "gnuplot-nox)")
    return TERMINALS[suffix]


def data_block(name, writes):
    """Each write is a line of its own: from (begin, 0) to (end, length)."""
    lines = [f"${name} << EOD"]
    for begin, end in writes:
        lines += [f"{begin / 1000:.4f} 0", f"{end / 1000:.4f} {(end - begin) / 1000:.4f}", ""]
    return "\n".join([*(lines if writes else [*lines, "0 0"]), "EOD"])


def panel(number, load, agent, run, span, height):
    """One agent under one load: its data, and how it is drawn."""
    kinds = {}
    for name, writes in run["writes"].items():
        kinds.setdefault(name.split(" ")[0], []).extend(writes)
    blocks, curves = [], []
    for kind, style in STYLES.items():
        if kind in kinds:
            blocks.append(data_block(f"d{number}{kind}", kinds[kind]))
            curves.append(f"$d{number}{kind} using 1:2 with lines linecolor rgb '{style} title '{kind}'")
    shades = [f"set object {at} rectangle from {begin / 1000}, graph 0 to {end / 1000}, graph 1 "
              f"fillcolor rgb '{SHADES[phase]}' fillstyle solid noborder behind"
              for at, (phase, (begin, end)) in enumerate(run["phases"].items(), 1) if phase in SHADES and end > begin]
    return "\n".join([*blocks, "unset object", *shades, f"set title '{load}: {agent}'", f"set xrange [{span[0]}:{span[1]}]",
                      f"set yrange [0:{height}]", "plot " + ", ".join(curves)])


def script(path, loads, terminal_name):
    columns = len(loads)
    head = [f"set terminal {terminal_name} size {PANEL[0] * columns},{PANEL[1] * 2}", f"set output '{path}'",
            "set xlabel 's since the freeze was asked for'", "set ylabel 'a write takes, s'", "set key top left",
            f"set multiplot layout 2,{columns} rowsfirst title "
            "'Writers that stand still (yellow: flush, red: freeze, green: held)'"]
    panels = []
    for row, agent in enumerate((THEIRS, OURS)):
        for column, (load, agents) in enumerate(loads.items()):
            if agent not in agents:
                panels.append("set multiplot next")
                continue
            # The same scales for both, so that they can be compared.
            firsts = [runs[0] for runs in agents.values()]
            spans = [span for run in firsts for span in run["phases"].values()]
            height = max([0.1] + [(end - begin) / 1000 for run in firsts for writes in run["writes"].values()
                                  for begin, end in writes])
            panels.append(panel(row * columns + column, load, agent, agents[agent][0],
                                (min(span[0] for span in spans) / 1000, max(span[1] for span in spans) / 1000), height * 1.05))
    return "\n".join([*head, *panels, "unset multiplot", ""])


def draw(path, loads):
    """@loads: as Bench.stalls; the first round of each agent."""
    text = script(path, loads, terminal(path))
    result = subprocess.run(["gnuplot", "-"], input=text, text=True, capture_output=True)
    if result.returncode != 0:
        raise Missing(f"gnuplot: {result.stderr.strip()[-400:]}")
