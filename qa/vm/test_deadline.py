# SPDX-License-Identifier: LGPL-2.1-or-later
"""The deadline thaws by itself, in the guest's own time, and the host learns of it."""

import re
import time

import pytest

from holding import ALL, SECOND_MS, ask, freeze_all, holds, told, writable_ms
from ports import AgentError


def left_ms(agent):
    return agent.call("snapfreeze-status")["left-ms"]


def test_the_deadline_thaws_by_itself_and_every_thaw_says_so(guest, agent):
    answer = ask(agent, "snapfreeze-freeze", timeout=3)
    assert answer["frozen"] == len(ALL) and 0 < answer["deadline-ms"] <= 3000
    # By its own clock the write begins while all is frozen, and cannot end before the deadline.
    ms = writable_ms(guest)
    assert 1 < ms < 3000 + SECOND_MS
    guest.wait_for(lambda: agent.status() == "thawed")
    words = told(agent, "freeze expired after ")
    seconds = int(re.match(r"freeze expired after (\d+) s: the snapshot may be inconsistent$", words)[1])
    assert 3 <= seconds <= 5, "counted from the first freeze, of which the deadline is not a part"
    assert agent.call("snapfreeze-thaw")["consistent"] is False
    agent.stop()
    agent.restart()
    told(agent, words)
    assert holds(guest, agent)


@pytest.mark.agent(config="[freeze]\ntimeout=3\n")
def test_the_configured_deadline_holds_for_hosts_that_name_none(guest, agent):
    assert agent.freeze() == len(ALL)
    assert writable_ms(guest) < 3000 + SECOND_MS
    guest.wait_for(lambda: agent.status() == "thawed")
    told(agent, "freeze expired after ")


def test_extend_prolongs(guest, agent):
    answer = freeze_all(guest, agent, timeout=4)
    until = time.monotonic() + 8
    while time.monotonic() < until:
        assert ask(agent, "snapfreeze-extend", id=answer["id"], timeout=4)["deadline-ms"] > 3000
        assert agent.status() == "frozen"
        time.sleep(0.5)
    assert guest.blocked(ALL, timeout=0.5) == ALL
    thaw = ask(agent, "snapfreeze-thaw", id=answer["id"])
    assert thaw["consistent"] is True and thaw["frozen-ms"] > 7000, thaw
    with pytest.raises(AgentError, match="nothing is frozen"):
        ask(agent, "snapfreeze-extend", id=answer["id"], timeout=4)


@pytest.mark.agent(config="[freeze]\nmax-timeout=5\ntimeout=2\n")
def test_extend_never_goes_past_the_maximum(guest, agent):
    answer = freeze_all(guest, agent)
    with pytest.raises(AgentError, match="'timeout' must be from 0 to 5"):
        ask(agent, "snapfreeze-extend", id=answer["id"], timeout=6)
    with pytest.raises(AgentError, match="not the current one"):
        ask(agent, "snapfreeze-extend", id=answer["id"] + 1, timeout=2)
    try:
        while True:
            ask(agent, "snapfreeze-extend", id=answer["id"], timeout=5)
            time.sleep(0.2)
    except AgentError as error:
        assert "nothing is frozen" in error.desc
    assert writable_ms(guest) < SECOND_MS
    told(agent, "freeze expired after ")


def test_the_guests_clock_set_while_frozen_changes_nothing(guest, agent):
    now = int(guest.sh("date +%s"))
    freeze_all(guest, agent, timeout=8)
    try:
        for jump in (-86400, 365 * 86400):
            before = left_ms(agent)
            guest.run(["date", "-s", f"@{now + jump}"])
            assert before - 3000 < left_ms(agent) <= before
        assert guest.blocked(ALL, timeout=0.5) == ALL
        begun = time.monotonic()
        assert writable_ms(guest) < 8000 + SECOND_MS
        assert time.monotonic() - begun < 30
    finally:
        guest.run(["date", "-s", f"@{now}"])
    told(agent, "freeze expired after ")


def test_while_the_guest_is_paused_its_deadline_stands_still(guest, agent):
    freeze_all(guest, agent, timeout=5)
    before = left_ms(agent)
    guest.qmp("stop")
    time.sleep(6)  # longer than what is left
    guest.qmp("cont")
    assert 0 < left_ms(agent) <= before
    assert agent.status() == "frozen"
    assert 1 < writable_ms(guest) < 5000 + SECOND_MS
    told(agent, "freeze expired after ")
