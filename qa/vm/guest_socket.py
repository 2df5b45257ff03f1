# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of the agent's sockets within the guest."""

import json

from ports import AgentPort, GuestDied


class GuestSocket(AgentPort):
    """A connection from within the guest: GuestSocket(guest, "unix", PATH) or (guest, "vsock", CID, PORT,
    OWN_PORT). Calls as on any other port."""

    def __init__(self, guest, *where):
        super().__init__(" ".join(map(str, where)))
        self.guest = guest
        self.where = where
        self.job = None

    def open(self):
        if self.job is None:
            self.job = self.guest.spawn(["qa-socket", *self.where])
            self.taken = 0
        return self

    def close(self):
        """Hangs up; a relay that does not end by that is killed."""
        job, self.job = self.job, None
        if job is not None:
            job.kill()
            job.wait()

    def send(self, data):
        self.open()
        if not isinstance(data, (bytes, str)):
            data = json.dumps(data)
        self.job.write(data)

    def read_line(self, timeout=60):
        self.job._wait_until(lambda: b"\n" in self.job.out[self.taken:] or self.job.returncode is not None, timeout,
                             "no line")
        line, newline, _ = self.job.out[self.taken:].partition(b"\n")
        if not newline:
            raise GuestDied(f"{self.path} was closed: {self.job.stderr}")
        self.taken += len(line) + 1
        return line

    def wait_closed(self, timeout=60):
        """Waits until the agent has hung up (or refused the connection); returns what it sent."""
        return self.job.wait(timeout).out
