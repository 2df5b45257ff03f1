# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long writers stood still, by phase of a run. Numbers only: no guest is needed.

A write is (begin, end) in ms. A phase is (name, begin, end). A write counts for a phase with the part of it that lies
there, so that the phases of one long stall add up to it.
"""

PHASES = ("before", "flush", "freeze", "hold", "thaw")


def phases(asked, flushed, frozen, thaw_asked, begin, end):
    """@flushed is None for an agent that has no flush of its own: all until the answer is the freeze."""
    start = asked if flushed is None else flushed
    found = [("before", begin, asked), ("flush", asked, start), ("freeze", start, frozen), ("hold", frozen, thaw_asked),
             ("thaw", thaw_asked, end)]
    return [phase for phase in found if phase[0] != "flush" or flushed is not None]


def clip(write, begin, end):
    return max(min(write[1], end) - max(write[0], begin), 0.0)


def by_phase(writes, run_phases):
    """Phase -> the longest that one of @writes stood still in it."""
    return {name: max((clip(write, begin, end) for write in writes), default=0.0) for name, begin, end in run_phases}


def longest(writes, since):
    """The longest of those that ended after @since, whole."""
    return max((end - begin for begin, end in writes if end > since), default=0.0)
