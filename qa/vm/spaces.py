# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mount namespaces of a guest, as a container or a service has one: made, looked into and ended by a case."""

import contextlib


class Space:
    """A mount namespace of its own, with one process in it that waits. .pid is that process."""

    def __init__(self, guest, set_up=":", inside=None, user=False):
        """@set_up: commands that run in it first; @inside: another Space that it is made in; @user: it belongs to a
        user namespace of its own, too."""
        self.guest = guest
        enter = inside.enter if inside else []
        script = f"{{ {set_up}; }} && echo ready && exec cat"
        self.job = guest.spawn([*enter, "unshare", *(["-U", "-r"] if user else []), "-m", "--propagation", "private", "sh", "-c", script])
        self.job.wait_output("ready")
        self.pid = self.job.pid

    @property
    def enter(self):
        """What a command begins with that runs in it."""
        return ["nsenter", "-t", str(self.pid), "-m"]

    def run(self, command, **options):
        command = ["sh", "-c", command] if isinstance(command, str) else list(command)
        return self.guest.run([*self.enter, *command], **options)

    def place(self, path):
        """How the agent names what is mounted at @path in it."""
        return f"/proc/{self.pid}/root{path}"

    def is_blocked(self, path, timeout=2):
        """Whether a write from within waits."""
        job = self.run(["qa-write", "-t", str(timeout), "--", path], timeout=60, check=False)
        word = job.stdout.split("\t")[0]
        assert word in ("done", "blocked"), job.stdout + job.stderr
        return word == "blocked"

    def another_process(self):
        """One more process that lives in it: its pid."""
        job = self.guest.spawn([*self.enter, "sh", "-c", "echo ready && exec cat"])
        job.wait_output("ready")
        return job

    def end(self):
        if self.job.poll() is None:
            self.job.kill()
            self.job.wait()


@contextlib.contextmanager
def spaces(guest):
    """A maker of namespaces that all end here, the last one first."""
    made = []

    def make(set_up=":", **options):
        made.append(Space(guest, set_up, **options))
        return made[-1]
    try:
        yield make
    finally:
        for space in reversed(made):
            space.end()
