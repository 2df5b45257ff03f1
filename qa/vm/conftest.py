# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures: guests that many cases share, agents in them, and the check that a case left its guest clean."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import agents  # noqa: E402
import disks  # noqa: E402
import image  # noqa: E402
from freeze_trace import FreezeTrace  # noqa: E402
from guest import Guest  # noqa: E402
from hook_scripts import Hooks  # noqa: E402
from ports import AgentError, GuestDied, Timeout  # noqa: E402
from scratch import Scratch  # noqa: E402

# Variant -> (its disks, words for the kernel, how they are mounted, what must be writable).
VARIANTS = {
    "layout": (disks.layout, "", "/qa/set-up-disks", disks.PLANNED),
    "root": (disks.root_disks, "qa.root=root", "/qa/set-up-disks root", disks.ROOT_PLANNED),
}


def pytest_addoption(parser):
    parser.addoption("--builddir", default=os.environ.get("top_builddir") or str(HERE.parent.parent),
                     help="the build tree with the programs under test (default: the source tree)")
    parser.addoption("--keep", action="store_true", help="keep the guests' folders: console, disks, sockets")


def boot(config, variant):
    """A guest with its disks mounted, or a skip that says what this machine lacks."""
    make_disks, append, set_up, _ = VARIANTS[variant]
    guest = None
    try:
        guest = Guest(make_disks(), append, builddir=Path(config.getoption("--builddir")).resolve(),
                      keep=config.getoption("--keep"))
        guest.start()
        guest.run(set_up, timeout=300)
    except image.Unavailable as error:
        pytest.skip(f"no guest here: {error}")
    except BaseException:
        if guest:
            guest.stop()
        raise
    guest.variant = variant
    return guest


def unclean(guest, timeout=30):
    """What a case left behind in a guest: "" where every filesystem can be written to, as at the start."""
    try:
        if not guest.is_alive():
            return guest.last_words()
        words = guest.access(VARIANTS[guest.variant][3], timeout=timeout)
        bad = {path: word for path, word in words.items() if word != "done"}
        if bad:
            return f"filesystems left unusable: {bad}"
        left = guest.sh("pidof snapfreeze-agent snapfreeze-freezer qemu-ga; :")
        if left:
            return f"agents left running: {left}"
        if guest.sh("cut -d' ' -f3- /proc/self/mountinfo") != guest.mounted_at_start:
            return "the mount table was changed"
    except (GuestDied, Timeout, AgentError, Exception) as error:
        return str(error)
    return ""


def stop_agents(guest):
    """Thaws and ends what a case started, in the reverse order."""
    for agent in reversed(guest.agents):
        if guest.is_alive():
            agent.clean_up()
        agent.port.close()
    guest.agents.clear()


class Shelf:
    """The shared guests, at most one of a variant; a guest that is not clean is never handed out again."""

    def __init__(self, config):
        self.config = config
        self.guests = {}

    def take(self, variant):
        guest = self.guests.get(variant)
        if guest is None or not guest.is_alive():
            self.drop(variant)
            guest = self.guests[variant] = boot(self.config, variant)
            guest.mounted_at_start = guest.sh("cut -d' ' -f3- /proc/self/mountinfo")
        return guest

    def drop(self, variant):
        guest = self.guests.pop(variant, None)
        if guest:
            guest.stop()


@pytest.fixture(scope="session")
def shelf(pytestconfig):
    shelf = Shelf(pytestconfig)
    yield shelf
    for variant in list(shelf.guests):
        shelf.drop(variant)


def shared(request, shelf, variant):
    guest = request.node.guest = shelf.take(variant)
    yield guest
    stop_agents(guest)
    failed = getattr(request.node, "failed", False)
    problem = unclean(guest, 5 if failed else 30)
    if problem:
        shelf.drop(variant)
        # A case that failed already has said what is wrong.
        if not failed:
            pytest.fail(f"the case left its guest unclean: {problem}")


@pytest.fixture
def guest(request, shelf):
    """The shared guest with all the disks. The case must leave it as it found it."""
    yield from shared(request, shelf, "layout")


@pytest.fixture
def root_guest(request, shelf):
    """The shared guest with / on ext4."""
    yield from shared(request, shelf, "root")


@pytest.fixture
def fresh_guest(request, pytestconfig):
    """A guest of one's own, with all the disks; it may be left in any state."""
    guest = request.node.guest = boot(pytestconfig, "layout")
    yield guest
    guest.stop()


@pytest.fixture
def bare_guest(request, pytestconfig):
    """Starts guests of one's own: bare_guest(disks=[...], append="...") with nothing mounted."""
    started = []

    def start(**options):
        options.setdefault("builddir", Path(pytestconfig.getoption("--builddir")).resolve())
        try:
            started.append(Guest(keep=pytestconfig.getoption("--keep"), **options))
            request.node.guest = started[-1]
            return started[-1].start()
        except image.Unavailable as error:
            pytest.skip(f"no guest here: {error}")
    yield start
    for guest in started:
        guest.stop()


def need_ours(config):
    builddir = Path(config.getoption("--builddir")).resolve()
    missing = [name for name in image.OURS if name not in image.find_ours(builddir)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not built in {builddir} (--builddir)")


@pytest.fixture
def make_agent(pytestconfig):
    """make_agent(guest): our agent in a guest, not yet started; thawed and ended after the case."""
    need_ours(pytestconfig)
    made = []

    def make(guest):
        made.append(agents.Snapfreeze(guest))
        return made[-1]
    yield make
    for agent in made:
        stop_agents(agent.guest)


@pytest.fixture
def agent(request, guest, make_agent):
    """Our agent, running with its defaults in the shared guest. Other options: @pytest.mark.agent("-v",
    config="[freeze]\\ntimeout=5\\n"), or agent.stop() and agent.start(...)."""
    marker = request.node.get_closest_marker("agent")
    return make_agent(guest).start(*(marker.args if marker else ()), **(marker.kwargs if marker else {}))


@pytest.fixture
def scratch(guest):
    """Filesystems of one's own in the shared guest; they go at the end. Ask for it before `agent`."""
    scratch = Scratch(guest)
    yield scratch
    scratch.clean_up()


@pytest.fixture
def hooks(guest):
    """The hooks of the shared guest (hook_scripts.py). Ask for it before `agent`."""
    hooks = Hooks(guest)
    yield hooks
    hooks.clean_up()


@pytest.fixture
def two(hooks):
    """The same, with two that say what they are told."""
    hooks.add("20-b")
    hooks.add("10-a")
    return hooks


@pytest.fixture
def trace(guest):
    """The kernel's view of all freezes and thaws of this case in the shared guest."""
    with FreezeTrace(guest) as trace:
        yield trace


@pytest.fixture
def qemu_ga(guest):
    """Debian's qemu-ga, running in the shared guest."""
    yield agents.QemuGa(guest).start()
    stop_agents(guest)


def pytest_configure(config):
    config.addinivalue_line("markers", "agent(*options, config=, env=): how the fixture `agent` starts it")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.failed = True
        guest = getattr(item, "guest", None)
        if guest and guest.folder:
            report.sections.append(("guest console, its end", guest.console()[-4000:]))
        for agent in guest.agents if guest else ():
            if agent.job:
                report.sections.append((f"{agent.program}'s standard error, its end", agent.job.stderr[-4000:]))
