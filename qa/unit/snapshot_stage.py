# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the cases of `snapfreeze snapshot` play: a folder with two images, an agent and a QEMU that scripts play."""

import contextlib
import os
import tempfile

from client_stage import FROZEN, THAWED, equal, holds, running, snapfreeze
from fake_agent import FakeAgent, Refusal
from fake_qmp import MIB, FakeQmp, drive


class Stage:
    """A folder with two images, the agent and QEMU."""

    def __init__(self, agent=None, qmp=None, agents=None, blocks=None):
        self.agents = {"snapfreeze-status": {"state": "thawed"}, "snapfreeze-freeze": FROZEN,
                       "snapfreeze-thaw": THAWED, "snapfreeze-extend": {"deadline-ms": 5000}, **(agents or {})}
        self.agent = agent
        self.qmp_answers = qmp or {}
        self.blocks = blocks

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="snapfreeze-snapshot-"))
        for name in ("a.raw", "b.raw"):
            with open(self.path(name), "wb") as file:
                file.truncate(MIB)
        blocks = self.blocks(self) if self.blocks else [drive("a", self.path("a.raw")), drive("b", self.path("b.raw"))]
        self.agent = self.stack.enter_context(self.agent or FakeAgent(self.agents))
        self.qmp = self.stack.enter_context(FakeQmp(blocks, **self.qmp_answers))
        return self

    def __exit__(self, *_):
        self.stack.close()

    def path(self, name):
        return os.path.join(self.folder, name)

    def words(self, *words):
        # The agent's own address, without the option that is common to all sub-commands.
        return ["snapshot", "--agent", self.agent.path, "--qmp", self.qmp.path, *words]

    def run(self, *words, **env):
        return snapfreeze(None, *self.words(*words), **env)

    def running(self, *words):
        return running(None, *self.words(*words))

    def made(self, folder=""):
        """The files that are there beside the images."""
        return sorted(set(os.listdir(self.path(folder))) - (set() if folder else {"a.raw", "b.raw"}))

    def is_thawed(self):
        """Whether each freeze that was asked for has its thaw behind it."""
        commands = [name for name in self.agent.commands() if name.endswith(("-freeze", "-thaw"))]
        return not commands or (commands[0].endswith("-freeze") and commands[-1].endswith("-thaw"))

    def took_nothing(self, result, status, *words):
        """It failed as it should: nothing frozen, nothing left, and it says why."""
        equal(result.returncode if hasattr(result, "returncode") else result[0], status, result)
        holds(result.stderr if hasattr(result, "stderr") else result[2], *words)
        equal(self.made(), [])
        equal(self.qmp.nodes, set())
        assert self.is_thawed(), self.agent.commands()


def refuse(text):
    def answer(_):
        raise Refusal(text)
    return answer


def times(server, command):
    return [when for (name, _, _), when in zip(server.calls, server.times) if name == command]
