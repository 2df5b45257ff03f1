# SPDX-License-Identifier: LGPL-2.1-or-later
"""The list of cases, which run.py prints and test_libvirt.py runs."""

from dataclasses import dataclass


@dataclass
class Case:
    """@commands of virsh, what @must_hold in the guest, and the function that proves it and says what it saw."""
    commands: str
    must_hold: str
    run: object


CASES = {}


def case(commands, must_hold):
    """Lists the function as a case, under its name. It gets a Lab in its rest, leaves it so, and returns in words
    what was seen."""
    def add(function):
        CASES[function.__name__.replace("_", "-")] = Case(commands, must_hold, function)
        return function
    return add
