# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the functions named test_* of a module and prints TAP, with nothing but the standard library."""

import inspect
import sys
import traceback


class Skip(Exception):
    """Why a case cannot run here."""


def run(module):
    cases = [(name, function) for name, function in inspect.getmembers(module, inspect.isfunction)
             if name.startswith("test_")]
    cases.sort(key=lambda case: case[1].__code__.co_firstlineno)
    wanted = sys.argv[1:]
    cases = [case for case in cases if not wanted or case[0] in wanted]
    print(f"1..{len(cases)}", flush=True)
    failed = 0
    for number, (name, function) in enumerate(cases, 1):
        title = name[len("test_"):].replace("_", "-")
        try:
            function()
        except Skip as skip:
            print(f"ok {number} {title} # SKIP {skip}", flush=True)
        except Exception:
            failed += 1
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            print(f"not ok {number} {title}", flush=True)
        else:
            print(f"ok {number} {title}", flush=True)
    return 1 if failed else 0
