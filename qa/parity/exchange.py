# SPDX-License-Identifier: LGPL-2.1-or-later
"""A case: what is sent to an agent; and what was seen of it: the lines that came back, what the guest showed after it."""

import json
import random
import re
import time

from ports import Timeout

REPLY_SECONDS = 120
MARKER_SECONDS = 30
THE_NUMBER = b"4711"
# What stands among the lines where none can: the agent waits for the rest of a message.
WAITS = b"(waits for more)"
# How qemu-ga answers to a 0xFF, which is none of the case's own.
TO_0XFF = rb"JSON parse error, stray '.*\\uFFFD'"


class Guest:
    """A step that runs a command in the guest; its output is seen too."""

    def __init__(self, command):
        self.command = command


class Host:
    """A step that the host does by itself: a function of the guest and the agent."""

    def __init__(self, function):
        self.function = function


class Until:
    """A step that repeats a request until a predicate of its answer holds; only that answer is seen."""

    def __init__(self, step, predicate):
        self.step = step
        self.predicate = predicate


class Case:
    """@steps, in order: a dict is a request whose answer is awaited; bytes are sent as they are, and nothing is awaited;
    a function of the answers so far makes one of these; Guest, Host and Until as above. @vague: members of what is
    returned of which only the type must agree; "*" is all. @chosen: finds in the first answer a number that each agent
    chooses as it likes; it becomes THE_NUMBER wherever it stands. @is_open: may leave a message unfinished."""

    def __init__(self, name, *steps, vague=(), chosen=None, is_open=False):
        self.name = name
        self.steps = steps
        self.vague = frozenset(vague)
        self.chosen = chosen
        self.is_open = is_open

    def __repr__(self):
        return self.name


class Seen:
    """@lines as they came, without newlines; @shown, what the guest's commands printed."""

    def __init__(self):
        self.lines = []
        self.shown = []


def request(command, **arguments):
    """A request; an underscore in an argument's name stands for a dash."""
    made = {"execute": command}
    if arguments:
        made["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
    return made


def encoded(*requests):
    """Requests as bytes, a line each."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in requests)


def answers(seen):
    return [json.loads(line.lstrip(b"\xff")) for line in seen.lines]


def repeat(agent, until, seen):
    deadline = time.monotonic() + REPLY_SECONDS
    while True:
        take_step(agent, until.step, seen)
        if until.predicate(answers(seen)[-1]):
            return
        if time.monotonic() > deadline:
            raise Timeout(f"not within {REPLY_SECONDS} s; the last answer: {seen.lines[-1]}")
        seen.lines.pop()
        time.sleep(0.02)


def take_step(agent, step, seen):
    if callable(step):
        step = step(answers(seen))
    if isinstance(step, Guest):
        seen.shown.append(agent.guest.run(step.command, check=False).stdout)
    elif isinstance(step, Host):
        step.function(agent.guest, agent)
    elif isinstance(step, Until):
        repeat(agent, step, seen)
    else:
        agent.port.send(step)
        if isinstance(step, dict):
            seen.lines.append(agent.port.read_line(REPLY_SECONDS))


def take_rest(port, seen, is_open):
    """All that was answered to what was not awaited: the answers come in order, so a request of our own ends it."""
    number = random.randrange(1, 2**31)
    port.send((b"\xff" if is_open else b"") + encoded(request("guest-sync-delimited", id=number)))
    end = b'\xff{"return": %d}' % number
    try:
        line = port.read_line(MARKER_SECONDS)
        while line != end:
            seen.lines.append(line)
            line = port.read_line(MARKER_SECONDS)
        if is_open and seen.lines and re.search(TO_0XFF, seen.lines[-1]):
            seen.lines.pop()
    except Timeout:
        # It went into the unfinished message.
        seen.lines.append(WAITS)
        port.sync()


def play(agent, case):
    """Runs @case against an agent that runs and owes no answer, and leaves it so."""
    seen = Seen()
    agent.port.open()
    for step in case.steps:
        take_step(agent, step, seen)
    take_rest(agent.port, seen, case.is_open)
    if case.chosen:
        hide_chosen(case, seen)
    return seen


def hide_chosen(case, seen):
    try:
        number = case.chosen(answers(seen)[0]["return"])
    except (KeyError, TypeError):
        return  # It was refused.
    seen.lines = [re.sub(rb"\b%d\b" % number, THE_NUMBER, line) for line in seen.lines]
