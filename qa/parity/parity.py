# SPDX-License-Identifier: LGPL-2.1-or-later
"""The families of cases, each run against Debian's qemu-ga and against our agent in one guest, and what came of it."""

import collections
import contextlib
import struct

import compare
import daemon
import dialogues
import exchange
import malformed
import purpose
import requests
import sequences
from agents import QemuGa, Snapfreeze

FULL = "[commands]\nprofile=full\n"


class Family:
    """Cases that the agents are started for in one way. @options, @config: of both; ours gets all commands besides.
    @play: what takes the agent through a case; daemon.play starts it itself."""

    def __init__(self, name, make_cases, options=(), config="", play=exchange.play):
        self.name = name
        self.play = play
        self.make_cases = make_cases
        self.options = options
        self.config = config


BLOCKED = "guest-get-osinfo,guest-ping,guest-fsfreeze-freeze"
# The names of what is compared, in the order of the table.
FAMILIES = [
    Family("framing", malformed.framing_cases),
    Family("malformed", malformed.malformed_cases),
    Family("corpus", malformed.corpus_cases),
    Family("names", requests.name_cases),
    Family("wrong arguments", requests.wrong_cases),
    Family("integers", requests.integer_cases),
    Family("reports", requests.report_cases),
    Family("freeze", sequences.freeze_cases),
    Family("files", sequences.file_cases),
    Family("programs", sequences.exec_cases),
    Family("keys", sequences.key_cases),
    Family("passwords", sequences.password_cases),
    Family("shutdown", sequences.shutdown_cases),
    Family("changes", sequences.change_cases),
    Family("blocked by option", daemon.list_cases, ("-b", BLOCKED)),
    Family("blocked by file", daemon.list_cases, config=f"[general]\nblacklist={BLOCKED}\n"),
    Family("started", daemon.start_cases, play=daemon.play),
    Family("dialogues", dialogues.cases, play=dialogues.play),
]


class Result:
    """Of a family: how many cases; what differs on purpose, each with its entry of the list; and what differs."""

    def __init__(self, family, cases, differences):
        self.family = family
        self.cases = cases
        self.explained, self.differs = purpose.sort(family, differences)

    def counts(self):
        differing = {difference.case for difference in self.differs}
        explained = {difference.case for difference, _ in self.explained} - differing
        return self.cases - len(differing) - len(explained), len(explained), len(differing)


def stale(results):
    """Entries of the list that explain nothing any more."""
    return purpose.stale(FAMILIES, [result.family for result in results],
                         [pair for result in results for pair in result.explained])


# ---- the guest

def login(user, seconds):
    """An entry of utmp(5): a user's process."""
    return struct.pack("<h2xi32s4s32s256shhiii4i20x", 7, 1, b"tty1", b"1", user.encode(), b"", 0, 0, 0, seconds, 250000,
                       0, 0, 0, 0)


SAYS = b"""#!/bin/sh
exec >/run/said.new; for word; do echo "$word"; done; %s
mv /run/said.new /run/said; ! test -e /run/fail
"""


@contextlib.contextmanager
def stage(guest):
    """What the requests are about: a user, who is logged in, an address; programs that only say how they were called."""
    before = guest.pull("/etc/passwd")
    guest.push(before + b"qa:x:1000:1000::/run/home:/bin/sh\n", "/etc/passwd", 0o644)
    guest.push(login("qa", 300) + login("root", 200) + login("qa", 100), "/run/utmp", 0o644)
    guest.push(SAYS % b":", "/sbin/shutdown")
    guest.push(SAYS % b"cat", "/usr/sbin/chpasswd")
    guest.run("mkdir -p /run/home; chown 1000:1000 /run/home; ip link set lo up; ln -s ../bin/hwclock /sbin/hwclock")
    try:
        yield
    finally:
        guest.push(before, "/etc/passwd", 0o644)
        guest.run("rm -rf /run/home /run/utmp /run/said /run/said.new /run/fail /run/parity-file "
                  "/sbin/shutdown /usr/sbin/chpasswd /sbin/hwclock")


# ---- running

def play(agent, family, cases, config):
    """Each case against one agent, which is ended then."""
    if family.play is not daemon.play:
        agent.start(*family.options, **({"config": config} if config else {}))
    try:
        return [family.play(agent, case) for case in cases]
    finally:
        agent.clean_up()
        agent.guest.agents.remove(agent)


def run(guest, family, only=None):
    """A family in a guest where nothing else runs."""
    cases = [case for case in family.make_cases() if not only or only in case.name]
    doubles = [name for name, count in collections.Counter(case.name for case in cases).items() if count > 1]
    assert not doubles, doubles
    with stage(guest):
        theirs = play(QemuGa(guest), family, cases, family.config)
        ours = play(Snapfreeze(guest), family, cases, family.config + FULL)
    differences = [difference for triple in zip(cases, theirs, ours)
                   for difference in compare.seen(family.name, *triple)]
    return Result(family, len(cases), differences)
