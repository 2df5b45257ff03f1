# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent as its unit runs it: started by a service manager (qa-manager stands in), with a store of descriptors,
ExecStopPost=--recover, and a new start after each end."""

import contextlib
import signal

import agents
from ports import GuestDied, Timeout

NOTIFY = "/run/qa-notify"
CONFIG = "/run/agent.conf"
# TimeoutStopSec=, of which ExecStopPost has its own: 60 s in the unit, which a cell need not wait out.
STOP_POST_S = 4


class Supervised(agents.Snapfreeze):
    """.job is the manager; .pid and .freezer_pid are the agent's and its freezer's; .how it was started (cell.py)."""

    how = None

    def start(self, *options, config="", wrapper=(), wait=True):
        self.guest.push(config.encode(), CONFIG, 0o644)
        self.command = [*wrapper, self.path, "-c", CONFIG, *options]
        self.port.close()
        self.job = self.guest.spawn(["qa-manager", NOTIFY, *self.command])
        self._wait_lines("started", 1)
        if wait:
            self.wait_answer()
        return self

    def lines(self, word):
        return [line.partition(" ")[2] for line in self.job.stdout.splitlines() if line.startswith(word + " ")]

    def _wait_lines(self, word, count):
        self.guest.wait_for(lambda: len(self.lines(word)) >= count, what=f"{count} times '{word}'", interval=0.01)

    @property
    def pid(self):
        return int(self.lines("started")[-1])

    @property
    def freezer_pid(self):
        """Of the agent that runs now: the one before may have left one that cannot die yet."""
        found = self.guest.sh(f"for pid in $(pidof snapfreeze-freezer); do grep -qs '^PPid:.{self.pid}$' "
                              f"/proc/$pid/status && echo $pid; done; :").split()
        return int(found[-1])

    def is_running(self):
        return self.job is not None and self.job.poll() is None

    def has_ended(self):
        return len(self.lines("ended")) >= len(self.lines("started"))

    def wait_ended(self, timeout=60):
        self.guest.wait_for(self.has_ended, timeout, what="the agent's end", interval=0.01)

    def end_status(self):
        return self.lines("ended")[-1]

    def stop_post(self):
        """ExecStopPost."""
        self.guest.run(["timeout", "-s", "KILL", STOP_POST_S, self.path, "-c", CONFIG, "--recover"], check=False)

    def start_again(self, wait=False):
        self.port.close()
        count = len(self.lines("started"))
        self.job.write("start\n")
        self._wait_lines("started", count + 1)
        if wait:
            self.wait_answer()

    def supervise(self):
        """Starts it again where it has ended. Returns whether it had."""
        if not self.has_ended():
            return False
        self.stop_post()
        self.start_again()
        return True

    def stop(self, timeout=60):
        """SIGTERM to it, and the manager's end."""
        if self.job and self.job.poll() is None:
            if not self.has_ended():
                self.guest.run(["kill", "-CONT", self.pid], check=False)
                self.signal(signal.SIGTERM)
                self.wait_ended(timeout)
            self.job.close_input()
            self.job.wait(timeout)
        self.port.close()
        return 0

    def abandon(self):
        """Whatever state it is in: ends all of it, for a guest that is to be used again."""
        with contextlib.suppress(GuestDied, Timeout):
            self.guest.run("kill -CONT $(pidof snapfreeze-agent snapfreeze-freezer); "
                           "kill -TERM $(pidof snapfreeze-agent); :")
            with contextlib.suppress(Timeout):
                self.guest.wait_for("! pidof snapfreeze-agent", timeout=15)
            self.guest.run("kill -9 $(pidof snapfreeze-agent snapfreeze-freezer); :")
            if self.job:
                self.job.close_input()
                self.job.wait(20)
        self.port.close()
