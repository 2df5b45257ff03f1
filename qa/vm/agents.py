# SPDX-License-Identifier: LGPL-2.1-or-later
"""An agent that runs in a guest: ours, or Debian's qemu-ga to compare with."""

import contextlib
import signal
import time

import image
from ports import AgentError, GuestDied, Timeout

PORT = "/dev/virtio-ports/org.qemu.guest_agent.0"
TEST_PORT = "/dev/virtio-ports/org.snapfreeze.test.1"
SOCKET = "/run/qa-agent.sock"
# Channels beside the main one, for the agent's configuration.
TEST_CHANNEL = f"[channel:test]\nmethod=virtio-serial\npath={TEST_PORT}\n"
SOCKET_CHANNEL = f"[channel:local]\nmethod=unix-listen\npath={SOCKET}\n"
CONF = "/run/agent.conf"


class Agent:
    """A running agent. .job is its process as the guest's command server sees it (.job.stderr is its log)."""

    program = "qemu-ga"

    def __init__(self, guest, path=None):
        self.guest = guest
        self.path = path or self.program
        self.job = None
        self.argv = None
        self.port = guest.agent_port()
        guest.agents.append(self)

    def start(self, *options, config=None, env=None, wait=True):
        """Starts it with @options and the text of a configuration file. Waits until it answers, unless told not to."""
        options = [str(option) for option in options]
        env = dict(env or {})
        if config is not None:
            self.guest.push(config.encode(), CONF, 0o644)
            options = [*self._config_options(env), *options]
        env = [f"{name}={value}" for name, value in env.items()]
        self.argv = ["env", *env, self.path, *self._default_options(options), *options]
        return self.restart(wait)

    def _default_options(self, options):
        return ["-t", "/run"]

    def _config_options(self, env):
        """What makes it read CONF: options, or a variable in @env."""
        return ["-c", CONF]

    def restart(self, wait=True):
        """Starts it again as before; the old process must be gone."""
        self.port.close()
        self.job = self.guest.spawn(self.argv)
        if wait:
            self.wait_answer()
        return self

    def wait_answer(self, timeout=120):
        """Waits until it answers on the main port."""
        deadline = time.monotonic() + timeout
        while True:
            if self.job.poll() is not None:
                raise GuestDied(f"the agent ended ({self.job.returncode}): {self.job.stdout}{self.job.stderr}")
            try:
                self.port.open()
                return self.port.sync(5)
            except (Timeout, GuestDied, OSError):
                self.port.close()
                if time.monotonic() > deadline:
                    raise Timeout(f"the agent does not answer: {self.job.stderr[-1000:]}") from None

    @property
    def pid(self):
        """The agent's process in the guest (env became it)."""
        return self.job.pid

    def signal(self, signo):
        """A signal to the agent alone."""
        self.guest.run(["kill", f"-{int(signo)}", str(self.pid)])

    def stop(self, timeout=60):
        """SIGTERM, and its exit status."""
        if self.job and self.job.poll() is None:
            self.signal(signal.SIGTERM)
            self.job.wait(timeout)
        self.port.close()
        return self.job.returncode if self.job else None

    def call(self, command, timeout=120, **arguments):
        """A call on the main port, as the hypervisor: what it returns, or AgentError."""
        self.port.open()
        return self.port.call(command, timeout, **arguments)

    def status(self):
        return self.call("guest-fsfreeze-status")

    def freeze(self, timeout=300):
        return self.call("guest-fsfreeze-freeze", timeout)

    def thaw(self, timeout=300):
        return self.call("guest-fsfreeze-thaw", timeout)

    def clean_up(self):
        """Thaws and ends it, whatever state it is in. Never raises for the agent's sake."""
        try:
            if self.job and self.job.poll() is None:
                self.job.kill(signal.SIGCONT)  # a case may have stopped it, or its freezer
                self.port.close()
                self.port.open()
                self.port.sync(10)
                self.thaw(60)
        except (AgentError, Timeout, GuestDied, OSError, KeyError, ValueError):
            pass
        try:
            self.stop(20)
        except Exception:  # in whatever state the guest is: the check for a clean one comes next
            with contextlib.suppress(GuestDied):
                self.job.kill()
        self.port.close()


class QemuGa(Agent):
    """Debian's own agent, for comparison."""

    def _default_options(self, options):
        return ["-m", "virtio-serial", "-p", PORT, "-t", "/run"]

    def _config_options(self, env):
        # Version 7.2 has no -c.
        env["QGA_CONF"] = CONF
        return []


class Snapfreeze(Agent):
    """Ours, out of the build tree, at the path it is installed to."""

    program = "snapfreeze-agent"

    def __init__(self, guest):
        folders = image.build_paths(guest.builddir)
        super().__init__(guest, f"{folders['snapfreeze-agent']}/snapfreeze-agent")
        self.client = f"{folders['snapfreeze']}/snapfreeze"

    def _default_options(self, options):
        return []

    @property
    def freezer_pid(self):
        return int(self.guest.sh("pidof snapfreeze-freezer").split()[-1])
