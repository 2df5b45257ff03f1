# SPDX-License-Identifier: LGPL-2.1-or-later
"""The proof of consistency: a copy taken while frozen passes every check, one taken while running does not."""

import json
import subprocess

import pytest

import proof


@pytest.fixture
def copies(bare_guest, make_agent, tmp_path):
    """(the copy of the running disks, the copy of the frozen ones, what the command said), out of one busy guest."""
    guest = bare_guest(disks=proof.make_disks())
    busy = proof.Busy(guest)
    agent = make_agent(guest).start()
    agent.port.close()
    busy.wait_records(100)
    running = busy.copy_running(tmp_path / "running")
    frozen, done, _ = busy.copy_frozen(tmp_path / "frozen", "--json", stdout=subprocess.PIPE)
    guest.stop()
    return running, frozen, json.loads(done.stdout)


def bad(findings):
    return [f"{found.filesystem}: {found.what}: {found.seen}" for found in findings if not found.is_good]


def test_a_copy_of_frozen_disks_is_consistent_and_one_of_running_disks_is_not(copies, bare_guest):
    running, frozen, reply = copies
    assert [entry["result"] for entry in reply["freeze"]["filesystems"]] == ["frozen"] * len(proof.FILESYSTEMS)
    assert reply["consistent"] is True, reply["thaw"]["reasons"]

    guest = bare_guest(disks=proof.copied_disks(running=running, frozen=frozen), builddir=None)
    findings = proof.Examination(guest, "frozen", frozen).run()
    assert bad(findings) == []
    assert {found.filesystem for found in findings} == set(proof.FILESYSTEMS)

    # The same checks must see that the other copy is not what a freeze makes, else they prove nothing.
    without = [found for found in proof.Examination(guest, "running", running).run() if not found.is_good]
    assert {found.filesystem for found in without} == set(proof.FILESYSTEMS)
    assert any(found.what == "dumpe2fs -h" for found in without)
    # Not even a replayed journal brings back what was acknowledged without fsync.
    assert {found.filesystem for found in without if found.what == "written, mounted rw"} == set(proof.FILESYSTEMS)


# ---- the comparison itself, without a guest

def line(last, torn=0):
    return {"last": last, "records": last + 1, "torn": torn}


@pytest.mark.parametrize("found, is_frozen, is_good", [
    ({"a": line(9)}, True, True),
    ({"a": line(10)}, True, True),
    ({"a": line(11)}, True, False),
    ({"a": line(11)}, False, True),
    ({"a": line(8)}, True, False),
    ({"a": line(9, torn=1)}, True, False),
    ({}, True, False),
])
def test_the_comparison_finds_what_is_missing_torn_or_too_new(found, is_frozen, is_good):
    assert proof.compare({"a": 9}, found, is_frozen)[0] is is_good


def test_nothing_acknowledged_proves_nothing():
    assert not proof.compare({"a": -1}, {"a": line(-1)}, True)[0]
