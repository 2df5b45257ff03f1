# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults of the two processes: killed, crashed, stopped, told to end, started anew."""

from signal import SIGKILL

from .fault import ANY, Fault

FAULTS = [
    Fault("agent-sigkill", "process", lambda cell: kill(cell, "agent"), worst="freezing-middle"),
    Fault("freezer-sigkill", "process", lambda cell: kill(cell, "freezer"), loses={"planning": ANY}),
    Fault("both-sigkill", "process", lambda cell: kill(cell, "both", atomically=True), promise_s=4),
]


def kill(cell, who, signo=SIGKILL, atomically=False):
    pids = cell.pids(who)
    cell.kill(who, signo, atomically)
    cell.wait_gone(*pids)
    if who != "freezer":
        cell.agent.wait_ended()
