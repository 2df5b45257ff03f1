# SPDX-License-Identifier: LGPL-2.1-or-later
"""With / itself frozen, the agent's log and pid file on it: it answers, thaws and has lost nothing."""

import re
import signal
import time

import pytest

import disks
from holding import SECOND_MS, ask, freeze_all, holds, kill_both, told, writable_ms

PATHS = list(disks.ROOT_PLANNED)
LOG = "/var/log/snapfreeze.log"


@pytest.fixture
def rooted(root_guest, make_agent):
    """The agent in the guest with / on ext4, its log on it, and verbose."""
    root_guest.run(f"mkdir -p /var/log && rm -f {LOG}")
    yield make_agent(root_guest).start("-v", "-l", LOG)
    root_guest.run(["rm", "-f", LOG])


def entries(guest):
    """(time, text) of each line of the log."""
    lines = guest.sh(f"cat {LOG}").splitlines()
    found = [re.match(r"(\d{4}-\d\d-\d\dT[\d:.]+Z) (.*)", line) for line in lines]
    assert all(found), lines
    return [(match[1], match[2]) for match in found]


def now(guest):
    return guest.sh("date -u +%Y-%m-%dT%H:%M:%S.000Z")


def test_with_the_log_on_a_frozen_root_it_answers_and_loses_no_entry(root_guest, rooted):
    freeze_all(root_guest, rooted, PATHS)
    frozen = now(root_guest)
    until = time.monotonic() + 5
    asked = 0
    while time.monotonic() < until:
        assert rooted.status() == "frozen"
        asked += 1
        time.sleep(0.25)
    thawed = now(root_guest)
    assert ask(rooted, "snapfreeze-thaw")["consistent"] is True
    assert writable_ms(root_guest, PATHS) < SECOND_MS
    held = [text for at, text in entries(root_guest) if frozen <= at < thawed and "guest-fsfreeze-status" in text]
    assert asked - 8 <= len(held) <= asked, "but for those in the first and the last second"
    times = [at for at, _ in entries(root_guest)]
    assert times == sorted(times)
    assert "command=snapfreeze-freeze" in "".join(text for _, text in entries(root_guest))


def test_the_deadline_thaws_a_frozen_root(root_guest, rooted):
    ask(rooted, "snapfreeze-freeze", timeout=3)
    assert 1 < writable_ms(root_guest, PATHS) < 3000 + SECOND_MS
    told(rooted, "freeze expired after ")
    assert "freeze expired" in "".join(text for _, text in entries(root_guest))
    assert holds(root_guest, rooted, PATHS)


@pytest.mark.parametrize("victim", ["agent", "freezer", "both"])
def test_killed_with_root_frozen_it_is_thawed(root_guest, rooted, victim):
    freeze_all(root_guest, rooted, PATHS)
    pids = {"agent": rooted.pid, "freezer": rooted.freezer_pid}
    if victim == "both":
        kill_both(root_guest, rooted, PATHS)
        root_guest.run([rooted.path, "--recover"])
        assert writable_ms(root_guest, PATHS) < SECOND_MS
    else:
        assert writable_ms(root_guest, PATHS, before=f"kill -9 {pids[victim]}") < SECOND_MS
    if victim == "freezer":
        root_guest.wait_for(lambda: rooted.status() == "thawed")
    else:
        rooted.job.wait(60)
        rooted.restart()
    told(rooted)
    assert holds(root_guest, rooted, PATHS)


def test_a_new_agent_recovers_a_root_on_which_its_log_would_be_made(root_guest, rooted):
    freeze_all(root_guest, rooted, PATHS)
    kill_both(root_guest, rooted, PATHS)
    rooted.argv[-1] = "/var/log/snapfreeze-new.log"
    writers = root_guest.spawn(["qa-write", "-t", "30", "--", *PATHS])
    rooted.restart(wait=False)
    writers.wait(120)
    assert writers.stdout.count("done") == len(PATHS), writers.stdout
    rooted.wait_answer()
    told(rooted)
    root_guest.run(["rm", "-f", "/var/log/snapfreeze-new.log"])


def test_a_daemon_with_its_pid_file_on_a_frozen_root_is_told_to_stop(root_guest, make_agent):
    agent = make_agent(root_guest)
    root_guest.run([agent.path, "-d", "-f", "/var/qa.pid", "-l", LOG])
    pid = int(root_guest.sh("cat /var/qa.pid"))
    assert str(pid) in root_guest.sh("pidof snapfreeze-agent").split()
    with root_guest.agent_port() as port:
        port.sync(60)
        port.call("guest-fsfreeze-freeze", 120)
        assert root_guest.blocked(PATHS, timeout=1) == PATHS
        assert writable_ms(root_guest, PATHS, before=f"kill -{int(signal.SIGTERM)} {pid}") < SECOND_MS
        root_guest.wait_for(lambda: not root_guest.sh("pidof snapfreeze-agent; :"))
    assert root_guest.sh("ls /var/qa.pid 2>&1; :").endswith("No such file or directory")
    assert "outcome=" in root_guest.sh(f"cat {LOG}")
    root_guest.run(["rm", "-f", LOG])
