# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writers of checksummed records in a guest, and what was acknowledged to them (guest/qa-writer.c)."""

import json
import subprocess

import image


class Writers:
    """A process per file. The log of acknowledgements lies on the guest's tmpfs."""

    def __init__(self, guest, files, *options, log="/run/qa-writer.log"):
        self.guest = guest
        self.files = list(files)
        self.log = log
        guest.run(["rm", "-f", log])
        self.job = guest.spawn(["qa-writer", *map(str, options), "-l", log, "--", *self.files])

    def wait_records(self, count, timeout=120):
        """Waits until each file has @count acknowledged records."""
        self.guest.wait_for(lambda: all(len(acks) >= count for acks in self.acknowledged().values()), timeout,
                            0.3, f"{count} records in each file")
        return self

    def acknowledged(self):
        """File -> [(sequence, start in ms, end in ms)], by the guest's monotonic clock, up to now."""
        result = {name: [] for name in self.files}
        for line in self.guest.run(f"cat {self.log} 2>/dev/null", check=False).stdout.splitlines(keepends=True):
            if line.endswith("\n"):
                index, sequence, start, end = map(int, line.split())
                result[self.files[index]].append((sequence, start / 1e6, end / 1e6))
        return result

    def last(self):
        """File -> the last acknowledged sequence number, -1 where there is none."""
        return {name: acks[-1][0] if acks else -1 for name, acks in self.acknowledged().items()}

    def longest_stall(self):
        """The longest that one write (and fsync) took, in ms."""
        return max((end - start for acks in self.acknowledged().values() for _, start, end in acks), default=0.0)

    def stop(self, timeout=120):
        self.job.kill(15)
        self.job.wait(timeout)
        return self


def verify(path, guest=None):
    """What qa-writer says of a file, on this machine or in a guest: a dict with intact, last, torn, …"""
    if guest:
        return json.loads(guest.run(["qa-writer", "--verify", path], check=False).stdout)
    result = subprocess.run([image.helpers() / "qa-writer", "--verify", path], capture_output=True, text=True)
    return json.loads(result.stdout)
