# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hooks of a case: scripts in the guest, and what they were told. The fixtures are in conftest.py."""

import pytest

from agents import TEST_CHANNEL
from holding import SECOND_MS, holds, writable_ms

FOLDER = "/run/qa-hooks"
SAID = "/run/qa-hooks.said"
CONFIG = f"[hooks]\ndirectory={FOLDER}\n"
# Each writes down what it was told.
SAY = f'echo "${{0##*/}} $1" >> {SAID}\n'
HELD = SAY + f'echo frozen\nread word; echo "heard $word" >> {SAID}\nread word || echo eof >> {SAID}\n'
QUIET_A, QUIET_B = "10-a freeze", "20-b freeze"
BACK = ["20-b thaw", "10-a thaw"]
hooked = pytest.mark.agent(config=CONFIG)
on_two_channels = pytest.mark.agent(config=CONFIG + TEST_CHANNEL)


class Hooks:
    """The guest's hooks: scripts of a case, and what they were told so far."""

    def __init__(self, guest):
        self.guest = guest
        guest.run(f"rm -rf {FOLDER} {SAID} {SAID}.*; mkdir -m 0755 {FOLDER}")

    def clean_up(self):
        self.guest.run(f"rm -rf {FOLDER} {SAID} {SAID}.*")

    def add(self, name, script=SAY, mode=0o755):
        self.guest.push(f"#!/bin/sh\n{script}".encode(), f"{FOLDER}/{name}", mode)

    def said(self):
        return self.guest.sh(f"cat {SAID} 2>/dev/null; :").splitlines()

    def wait(self, *lines):
        """Waits until they have said this."""
        self.guest.wait_for(lambda: self.said() == list(lines), what=f"{lines} of the hooks")
        return True


def thawed(guest, agent):
    """All is as before: nothing is frozen, and the next freeze works."""
    assert writable_ms(guest) < 10 * SECOND_MS
    return holds(guest, agent)
