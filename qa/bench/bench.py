# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest that is measured in, the agents that take turns in it, and what was measured."""

import sys
import time

from agents import QemuGa, Snapfreeze
from guest import PORTS
from ports import AgentError

SETTLE_SECONDS = 1.5
THEIRS, OURS = "qemu-ga", "snapfreeze"
PROGRAMS = {THEIRS: "qemu-ga", OURS: "snapfreeze-agent snapfreeze-freezer"}


class Variant:
    """An agent as it is started for its turn: a name, a class, and options of its start()."""

    def __init__(self, name, kind, **options):
        self.name = name
        self.kind = kind
        self.options = options


BOTH = (Variant(THEIRS, QemuGa), Variant(OURS, Snapfreeze))
UNLIMITED = Variant(OURS, Snapfreeze, config="[freeze]\nflush-throttle = false\n")


class Bench:
    """rows: row -> agent -> list of numbers. stalls: load -> agent -> list of runs (stalls.py)."""

    def __init__(self, guest, rounds, sizes):
        self.guest = guest
        self.rounds = rounds
        self.sizes = sizes
        self.rows = {}
        self.stalls = {}
        self.remarks = []
        self.failed = []  # names of rows
        self.begun = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.begun:5.0f} s  {text}", file=sys.stderr, flush=True)

    def note(self, row, agent, value):
        self.rows.setdefault(row, {}).setdefault(agent, []).append(value)

    def in_turn(self, title, measure, *arguments, rounds=None, variants=BOTH):
        """A B A B: in each round each agent is started anew, so that none profits from what another left behind."""
        for turn in range(rounds or self.rounds):
            for variant in variants:
                self.say(f"{title}: {variant.name}, round {turn + 1}")
                with Turn(self, variant) as turn_of_agent:
                    measure(turn_of_agent, *arguments)


class Turn:
    """One agent, running in the guest for one measurement."""

    def __init__(self, bench, variant, port="agent"):
        self.bench = bench
        self.guest = bench.guest
        self.sizes = bench.sizes
        self.name = variant.name
        self.is_ours = variant.kind is Snapfreeze
        self.options = variant.options
        self.agent = variant.kind(bench.guest)
        self.arguments = []
        if port != "agent":
            self.agent.port = bench.guest.agent_port(port)
            self.arguments = ["-p", f"/dev/virtio-ports/{PORTS[port]}"]

    def __enter__(self):
        # A freezer may outlive its agent for a moment, and would be counted as this one's.
        self.guest.wait_for(lambda: not self.pids(), what="the end of the agent before")
        self.started_ms, _ = milliseconds(self.agent.start, *self.arguments, **self.options)
        return self

    def __exit__(self, *_):
        self.agent.clean_up()
        self.guest.agents.remove(self.agent)

    def note(self, row, value):
        self.bench.note(row, self.name, value)

    def call(self, command, timeout=600):
        """How long the host waits for the answer, in ms, and the answer."""
        return milliseconds(self.agent.call, command, timeout)

    def line_ms(self, command, timeout=600):
        """How long the host waits for the last byte of the answer; what it makes of megabytes is no agent's time."""
        port = self.agent.port
        port.open()

        def ask():
            port.send({"execute": command})
            return port.read_line(timeout)
        took, line = milliseconds(ask)
        if not line.startswith(b'{"return"'):
            raise AgentError({"desc": line[:200]})
        return took

    def freeze(self):
        """In ms: what the host waits, and ours by its parts: {"plan", "flush", "freeze"}."""
        if not self.is_ours:
            return self.call("guest-fsfreeze-freeze")[0], {}
        took, answer = self.call("snapfreeze-freeze")
        flush, freeze = answer["flush-ms"], answer["freeze-ms"]
        return took, {"plan": max(took - flush - freeze, 0), "flush": flush, "freeze": freeze}

    def thaw(self):
        if not self.is_ours:
            return self.call("guest-fsfreeze-thaw")[0]
        took, answer = self.call("snapfreeze-thaw")
        # What is not consistent was not measured under the conditions that the row names.
        for reason in answer["reasons"]:
            self.bench.say(f"not consistent: {reason}")
        return took

    def pids(self):
        return self.guest.run(f"pidof {PROGRAMS[self.name]}", check=False).stdout.split()

    def pss_kib(self):
        """Of all processes of the agent that runs."""
        script = "awk '/^Pss:/ { n += $2 } END { print n }' " + " ".join(f"/proc/{pid}/smaps_rollup" for pid in self.pids())
        return int(self.guest.sh(script))

    def switches(self):
        """How often the agent's threads were woken."""
        files = " ".join(f"/proc/{pid}/task/*/status" for pid in self.pids())
        return int(self.guest.sh(f"awk '/^voluntary_ctxt/ {{ n += $2 }} END {{ print n }}' {files}"))


def milliseconds(function, *arguments, **options):
    begin = time.monotonic()
    result = function(*arguments, **options)
    return (time.monotonic() - begin) * 1000, result


def settle():
    """Right after a thaw the kernel's locks are still in the mode for freezing, and the next freeze is cheaper."""
    time.sleep(SETTLE_SECONDS)
