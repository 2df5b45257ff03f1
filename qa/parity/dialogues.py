# SPDX-License-Identifier: LGPL-2.1-or-later
"""What hosts say to an agent, from first to last word, and which answers they take: the files in dialogues/, replayed.

A line of such a file is a comment (#), or
  > TEXT            sent in one write; \\n, \\xff as in Python; each $ID is a new number, "$ID=" the last one again
  < SECONDS RULE    within so long an answer comes that the client takes; RULE as in clients.py
  frozen PATH       waits until nothing can be written there, by whoever looks in the guest
  guest COMMAND     runs a command in the guest
  open, hang-up     the host's side of the port
  vague MEMBERS     values that are no difference between two agents, only their type
"""

import re
import shlex
import time
from pathlib import Path

import clients
from exchange import THE_NUMBER, Seen

FOLDER = Path(__file__).resolve().parent / "dialogues"


class Dialogue:
    def __init__(self, path):
        self.name = path.name
        self.vague = frozenset()
        self.steps = []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            word, _, rest = line.partition(" ")
            if word == "vague":
                self.vague = frozenset(rest.split())
            elif word and not word.startswith("#"):
                self.steps.append((number, word, rest))

    def __repr__(self):
        return self.name


class Replay:
    """One dialogue with one agent."""

    def __init__(self, agent):
        self.agent = agent
        self.seen = Seen()
        self.id = int(time.time() * 1000)
        self.ids = []

    def new_id(self):
        self.id += 1
        self.ids.append(self.id)
        return str(self.id)

    def send(self, text):
        text = re.sub(r"\$ID(?!=)", lambda match: self.new_id(), text)
        self.agent.port.send(text.encode().decode("unicode_escape").encode("latin-1"))

    def take(self, words):
        seconds, _, rule = words.partition(" ")
        line = clients.wait(self.agent.port, float(seconds), rule.replace("$ID=", str(self.id)))
        for number in self.ids:
            line = line.replace(str(number).encode(), THE_NUMBER)
        self.seen.lines.append(line)

    def step(self, word, rest):
        guest, port = self.agent.guest, self.agent.port
        if word == ">":
            self.send(rest)
        elif word == "<":
            self.take(rest)
        elif word == "frozen":
            paths = shlex.split(rest)
            guest.wait_for(lambda: guest.blocked(paths, timeout=1) == paths, what=f"the freeze of {rest}")
        elif word == "guest":
            self.seen.shown.append(guest.run(rest, check=False).stdout)
        elif word in ("open", "hang-up"):
            (port.open if word == "open" else port.close)()
        else:
            raise ValueError(f"no such step: {word}")


def play(agent, dialogue):
    replay = Replay(agent)
    agent.port.close()
    try:
        for number, word, rest in dialogue.steps:
            replay.step(word, rest)
    except clients.Refused as error:
        # What the client does then is its own affair; that it comes to it is a difference, and never one on purpose.
        replay.seen.lines.append(f"{agent.program}: {dialogue.name}, line {number}: {error}".encode())
        agent.port.open()
        agent.port.sync()
        agent.thaw()
    agent.port.close()
    return replay.seen


def cases():
    return [Dialogue(path) for path in sorted(FOLDER.iterdir()) if path.suffix == ".dialogue"]
