# SPDX-License-Identifier: LGPL-2.1-or-later
"""One fault at one stage: what its functions and the assertions share."""

import json

from agents import TEST_CHANNEL
from guest import wait_for
from ports import GuestDied, Timeout

from .arena import WITNESS
from .stages import HOOKS_CONFIG, THAW, Hold
from .supervised import Supervised

# What the witness's guest holds beside it for nothing: four more plain ext4 would only make each freeze longer.
LEFT_OUT = (WITNESS, "/mnt/uncovered", "/mnt/covered", "/mnt/with space", "/mnt/grün-日本")


class Failed(AssertionError):
    """One of the assertions did not hold; the text says which, and what was seen."""


class Cell:
    """.guest; .agent (supervised.py); .host, the main channel, on which the freeze is asked for; .control, another
    channel; .planned, what is frozen, and .order, the same in freezing order; .hold (stages.py); .stage."""

    def __init__(self, arena, fault, stage, agent=None):
        self.arena = arena
        self.fault = fault
        self.stage = stage
        self.guest = arena.guest
        self.agent = agent or Supervised(self.guest)
        self.host = self.agent.port
        self.control = self.guest.agent_port("test")
        self.hold = Hold()
        self.jobs = []  # of the guest, ended with the cell
        self.scratch = {}  # whatever a fault keeps between its functions
        self.freeze_reply = None  # to the host's freeze; None: none came (yet)
        self.thaw_reply = None
        self.thaw_asked_ns = None  # the guest's CLOCK_MONOTONIC
        self.injected_ns = self.released_ns = self.healed_ns = None
        self.times = {}  # assertion -> seconds until all was writable
        self.freezes = self.freezes_answered = 0  # that were asked for, and answered as frozen
        self.claims = []  # replies that call the freeze consistent
        self.asked_on = None  # the connection on which the host's last request went out

    # ---- the agent

    def config(self):
        freeze = {"freeze-parallel": "1", "exclude": ";".join(LEFT_OUT)}
        general = {}
        for line in self.fault.config.get("freeze", "").splitlines():
            name, _, value = line.partition("=")
            freeze[name] = value if name != "exclude" else ";".join((*LEFT_OUT, value))
        for line in self.fault.config.get("general", "").splitlines():
            name, _, value = line.partition("=")
            general[name] = value
        more = "".join(f"[{group}]\n{text}\n" for group, text in self.fault.config.items()
                       if group not in ("freeze", "general"))
        hooks = HOOKS_CONFIG if self.stage == "hooks" else ""
        return key_file("general", general) + key_file("freeze", freeze) + TEST_CHANNEL + hooks + more

    def start(self):
        self._start_agent()
        self.starts = len(self.agent.lines("started"))
        self.control.open()
        self.control.sync(120)
        self.id_before = self.control.call("snapfreeze-status", 120).get("last", {}).get("id")
        plan = self.control.call("snapfreeze-plan", 120)["filesystems"]
        self.order = [place(entry) for entry in plan if entry["fstype"] not in ("vfat",)]
        self.planned = self.order
        self.asked_on = self.host.socket

    def _start_agent(self):
        """One that an earlier cell left may go on, if this one would start it alike."""
        how = [self.config(), self.fault.options, self.fault.wrapper]
        if self.agent.job and self.agent.how == how:
            return self.connect()
        if self.agent.job:
            self.agent.stop()
        self.agent.how = how
        return self.agent.start(*self.fault.options, config=how[0], wrapper=self.fault.wrapper)

    def supervise(self):
        """What the service manager does, where the fault has one: starts again what has ended."""
        if self.fault.supervised and self.agent.supervise():
            self.control.close()

    def pids(self, who):
        """who: "agent", "freezer" or "both"."""
        return {"agent": [self.agent.pid], "freezer": [self.agent.freezer_pid],
                "both": [self.agent.freezer_pid, self.agent.pid]}[who]

    def kill(self, who, signo, atomically=False):
        """Signals; with @atomically, stopped before, so that neither learns of the other's death."""
        pids = " ".join(map(str, self.pids(who)))
        stop = f"kill -STOP {pids}; " if atomically else ""
        self.mark(self.guest.run(f"{stop}kill -{int(signo)} {pids}"))

    def wait_gone(self, *pids):
        """Until each of these processes is gone, a zombie, or cannot go because a thread of it waits in the kernel."""
        for pid in pids:
            self.guest.wait_for(lambda pid=pid: self.guest.sh(
                f"cut -d' ' -f3 /proc/{pid}/stat 2>/dev/null; :") in ("", "Z", "X", "D"), interval=0.02)

    def wait_thread_state(self, pid, letter):
        """Until a process's first thread is in this state, as ps shows it."""
        self.guest.wait_for(lambda: self.guest.sh(f"cut -d' ' -f3 /proc/{pid}/stat") == letter, interval=0.02)

    def in_state(self, name):
        """Mount points, by snapfreeze-status on the other channel."""
        report = self.control.call("snapfreeze-status", 120)
        return [place(entry) for entry in report.get("filesystems", []) if entry["state"] == name]

    # ---- the host

    def ask_thaw(self):
        self.thaw_asked_ns = self.now()
        self.host.send(THAW)

    def connect(self, timeout=120):
        """The host's next connection, in step: to whichever agent runs then."""
        def is_answered():
            self.supervise()
            try:
                self.host.open()
                self.host.sync(10)
                return True
            except (Timeout, GuestDied, OSError):
                self.host.close()
                return False
        wait_for(is_answered, timeout, 0.1, "an answer to the host's next request")

    def is_pending(self):
        """Whether the host's last request can still be answered: same connection, same agent."""
        return self.host.socket is not None and self.host.socket is self.asked_on \
            and len(self.agent.lines("started")) == self.starts and not self.agent.has_ended()

    def state(self):
        return self.host.call("snapfreeze-status", 120)["state"]

    def wait_settled(self, timeout=120):
        """Until nothing of a freeze is under way any more."""
        wait_for(lambda: self.state() in ("thawed", "expired"), timeout, 0.05, "the end of the freeze")

    # ---- time

    def now(self):
        """The guest's CLOCK_MONOTONIC in ns."""
        return self.guest.run(["true"]).end_ns

    def mark(self, job=None):
        """The moment of the fault, which the promise counts from: now, or the end of @job. The last mark counts."""
        self.injected_ns = job.end_ns if job else self.now()


def place(entry):
    """A path that leads from here to a filesystem of a plan or a report."""
    space = entry.get("namespace")
    return f"/proc/{space['pid']}/root{entry['mountpoint']}" if space else entry["mountpoint"]


def key_file(group, values):
    return f"[{group}]\n" + "".join(f"{name}={value}\n" for name, value in values.items())


def describe(reply):
    return "no answer" if reply is None else json.dumps(reply, ensure_ascii=False)


__all__ = ["Cell", "Failed", "AgentError", "HOLD", "WITNESS", "describe"]
