#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual of `snapfreeze` beside the program: each sub-command and option that --help prints stands
in the page, with the same kind of value, and the other way round."""

import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import tap

SNAPFREEZE = os.path.join(os.environ.get("top_builddir", "."), "snapfreeze")
PAGE = os.path.join(os.environ.get("top_srcdir", "."), "man", "snapfreeze.1")
HELP_OPTION = re.compile(r"^  (?:-(\w), )?--([\w-]+)(?:=(\S+))?  ", re.M)
PAGE_OPTION = re.compile(r"^\.It (?:Fl (\w) , )?Fl Fl ([\w-]+)(?: Ar (\S+))?$", re.M)
# GLib spells this pair "-h, --help", and has nothing to say about its value.
HELP = ("h", "help", "")


def printed(*words):
    return subprocess.run([SNAPFREEZE, *words, "--help"], capture_output=True, text=True, check=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout


def options_of(pattern, text):
    return set(pattern.findall(text))


def page_part(kind, title):
    """What stands below a heading, up to the next of its kind or above."""
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    ends = r"^\.Sh " if kind == "Sh" else r"^\.S[hs] "
    start = re.search(rf"^\.{kind} {title}$", text, re.M)
    assert start, f"the page has no '.{kind} {title}'"
    rest = text[start.end():]
    end = re.search(ends, rest, re.M)
    return rest[:end.start()] if end else rest


def program_commands():
    return re.findall(r"^  (\w+) +\S", printed().split("Commands (")[1].split("\n\n")[0], re.M)


def test_commands_are_the_same():
    program, page = program_commands(), re.findall(r"^\.Ss (\w+)$", page_part("Sh", "COMMANDS"), re.M)
    assert len(program) > 1 and sorted(program) == sorted(page), (program, page)


def test_common_options_are_the_same():
    program, page = options_of(HELP_OPTION, printed()), options_of(PAGE_OPTION, page_part("Sh", "OPTIONS"))
    assert HELP in page
    assert program | {HELP} == page, program ^ page


def test_each_commands_options_are_the_same():
    common = options_of(HELP_OPTION, printed())
    for command in program_commands():
        program = options_of(HELP_OPTION, printed(command)) - common - {HELP}
        page = options_of(PAGE_OPTION, page_part("Ss", command))
        assert program == page, (command, program ^ page)


def test_page_is_clean():
    if not shutil.which("mandoc"):
        raise tap.Skip("mandoc is not installed")
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", PAGE], capture_output=True, text=True,
                          check=False)
    assert lint.returncode == 0 and not lint.stdout, lint.stdout


if __name__ == "__main__":
    sys.exit(tap.run(sys.modules[__name__]))
