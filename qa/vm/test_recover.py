# SPDX-License-Identifier: LGPL-2.1-or-later
"""The record has one owner, recovery undoes what is ours and nothing else, hosts that come and go change nothing."""

import signal

import pytest

from holding import ALL, SECOND_MS, ask, foreign, freeze_all, kill_both, told, writable_ms

OTHER_SOCKET = ["-m", "unix-listen", "-p", "/run/qa-other.sock"]


def test_recover_leaves_a_foreign_freeze_alone(guest, agent):
    path = "/mnt/linear"
    freeze_all(guest, agent)
    kill_both(guest, agent)
    # Thawed and frozen again by somebody else: as every FITHAW, ours could not tell the difference; so first
    # recover, then freeze by another, then recover again.
    guest.run([agent.path, "--recover"])
    with foreign(guest, path):
        assert guest.run([agent.path, "--recover"]).stderr == ""
        agent.restart()
        assert guest.blocked(ALL, timeout=1) == [path]
        agent.stop()
    assert writable_ms(guest) < SECOND_MS


@pytest.mark.agent(config="[freeze]\nforeign-freeze=accept\n")
def test_recovery_thaws_ours_and_not_what_was_foreign_at_the_freeze(guest, agent):
    path = "/mnt/linear"
    with foreign(guest, path):
        assert agent.freeze() == len(ALL) - 1
        kill_both(guest, agent)
        guest.run([agent.path, "--recover"])
        assert guest.blocked(ALL, timeout=1) == [path]
    agent.restart()
    told(agent)


@pytest.mark.parametrize("who", ["agent", "recovery"])
def test_a_record_in_use_is_nobody_elses(guest, agent, who):
    answer = freeze_all(guest, agent)
    second = guest.run([agent.path, *(["--recover"] if who == "recovery" else OTHER_SOCKET)], check=False)
    assert second.returncode == 1 and f"in use by process {agent.pid}" in second.stderr, second.stderr
    assert guest.blocked(ALL, timeout=1) == ALL
    assert agent.call("snapfreeze-status")["id"] == answer["id"]
    assert ask(agent, "snapfreeze-thaw")["consistent"] is True


def test_a_second_agent_with_a_record_of_its_own_cannot_freeze_what_is_frozen(guest, agent):
    freeze_all(guest, agent)
    second = guest.spawn([agent.path, *OTHER_SOCKET, "-t", "/run/qa-other"])
    guest.wait_for("test -S /run/qa-other.sock")
    job = guest.run([agent.client, "--socket", "/run/qa-other.sock", "freeze"], check=False)
    assert job.returncode == 1 and "frozen already" in job.stderr, job.stderr
    second.kill(signal.SIGTERM)
    assert second.wait().returncode == 0
    assert guest.blocked(ALL, timeout=1) == ALL
    assert ask(agent, "snapfreeze-thaw")["consistent"] is True


@pytest.mark.parametrize("command", ["sync", "sync -f /mnt/ext4-a /mnt/xfs /mnt/btrfs-one /mnt/linear"])
def test_a_sync_while_frozen_writes_nothing_and_spoils_nothing(guest, agent, command):
    freeze_all(guest, agent)
    guest.run(command)
    answer = ask(agent, "snapfreeze-thaw")
    assert answer["consistent"] is True, answer


# ---- hosts that come and go

def test_the_host_hangs_up_while_frozen_and_the_freeze_stays(guest, agent):
    freeze_all(guest, agent)
    agent.port.close()
    assert guest.blocked(ALL, timeout=2) == ALL
    assert agent.status() == "frozen"
    agent.port.close()
    assert ask(agent, "snapfreeze-thaw")["consistent"] is True
    assert writable_ms(guest) < SECOND_MS


def test_the_host_hangs_up_while_frozen_and_the_deadline_thaws(guest, agent):
    ask(agent, "snapfreeze-freeze", timeout=3)
    agent.port.close()
    assert writable_ms(guest) < 3000 + SECOND_MS
    told(agent, "freeze expired")


def test_half_a_message_of_a_host_that_hung_up_is_forgotten(guest, agent):
    freeze_all(guest, agent)
    agent.port.send('{"execute": "guest-fsfreeze-thaw", "argum')
    agent.port.close()
    agent.wait_answer()
    assert agent.status() == "frozen"
    agent.port.send('{"execute": "guest-fsfreeze-th')
    agent.port.sync()
    assert agent.status() == "frozen"
    assert agent.thaw() == len(ALL)


def test_the_host_comes_and_goes_any_number_of_times(guest, agent):
    for _ in range(20):
        agent.port.close()
        agent.wait_answer()
