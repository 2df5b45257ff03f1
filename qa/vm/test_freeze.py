# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a freeze is: frozen, told as frozen, thawed again; and a rehearsal, which is none."""

import pytest

import disks
from ports import AgentError

PLANNED = list(disks.PLANNED)
# Ways to write to a planned filesystem that are no mount of the whole of it.
SIDE_DOORS = ["/mnt/btrfs-two", "/mnt/bind", "/mnt/overlay"]


def results(answer, member="result"):
    """Mount point -> result, out of an answer's filesystems."""
    return {entry["mountpoint"]: entry[member] for entry in answer["filesystems"]}


# ---- frozen means frozen

def test_frozen_means_frozen_and_thawed_means_writable(guest, agent):
    assert agent.status() == "thawed"
    assert agent.freeze() == len(PLANNED)
    assert agent.status() == "frozen"
    # First reads: a writer that hangs in an overlay holds its folder locked.
    readable = [*PLANNED, *disks.ALIASES, *disks.SYNCED, *disks.LEFT_OUT]
    assert set(guest.access(readable, timeout=20, read=True).values()) == {"done"}
    words = guest.access([*PLANNED, *SIDE_DOORS, "/mnt/tmpfs"], timeout=3)
    assert words == {**dict.fromkeys(PLANNED + SIDE_DOORS, "blocked"), "/mnt/tmpfs": "done"}
    assert set(guest.access(PLANNED, timeout=20, read=True).values()) == {"done"}, "whoever waits to write"
    assert agent.thaw() == len(PLANNED)
    assert agent.status() == "thawed"
    assert set(guest.access(PLANNED + SIDE_DOORS, timeout=30, sync=True).values()) == {"done"}


def test_a_second_freeze_and_whatever_is_not_allowed_while_frozen_is_refused(guest, agent):
    agent.freeze()
    for command in ("guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list", "snapfreeze-freeze", "snapfreeze-plan"):
        with pytest.raises(AgentError) as caught:
            agent.call(command)
        assert caught.value.klass == "CommandNotFound"
        assert caught.value.desc == f"Command {command} has been disabled: the agent is in frozen state"
    assert agent.call("guest-ping") == {}
    assert agent.call("guest-info")["supported_commands"]
    assert agent.call("guest-sync", id=7) == 7
    assert agent.thaw() == len(PLANNED)
    assert agent.thaw() == 0, "nothing was frozen"


def test_vfat_is_reported_synced_and_is_not_counted(guest, agent):
    guest.run("echo content >/mnt/vfat/file")
    answer = agent.call("snapfreeze-freeze")
    assert results(answer)["/mnt/vfat"] == "synced"
    assert answer["frozen"] == len(PLANNED)
    assert {"mountpoint": "/mnt/vfat", "fstype": "vfat", "reason": "synced"} in answer["not-covered"]
    # Synced it is: what was written before is on the disk.
    assert b"content" in guest.run("dd if=/dev/qa/vfat bs=1M count=1 iflag=direct 2>/dev/null | grep -ao content",
                                   check=False).out
    assert agent.call("snapfreeze-thaw")["consistent"] is True
    guest.run("rm /mnt/vfat/file; sync -f /mnt/vfat")


def test_the_answers_have_the_members_that_are_promised(guest, agent):
    assert agent.call("snapfreeze-status")["state"] == "thawed"
    before = agent.call("snapfreeze-plan")

    agent.port.send({"execute": "snapfreeze-freeze", "arguments": {"timeout": 200, "label": "nightly"}})
    freeze = agent.port.read_reply()["return"]
    assert freeze.keys() >= {"id", "frozen", "deadline-ms", "filesystems", "not-covered", "reasons", "flush-ms",
                             "freeze-ms"}
    assert results(freeze) == {**dict.fromkeys(PLANNED, "frozen"), **dict.fromkeys(disks.SYNCED, "synced")}
    assert 100_000 < freeze["deadline-ms"] <= 200_000
    assert freeze["id"] > 0 and freeze["frozen"] == len(PLANNED) and freeze["reasons"] == []
    for entry, planned in zip(freeze["filesystems"], before["filesystems"], strict=True):
        assert entry.keys() == {"mountpoint", "device", "fstype", "result", "flush-ms", "freeze-ms"}
        assert {name: planned[name] for name in ("mountpoint", "device", "fstype")}.items() <= entry.items()
        if entry["result"] == "frozen":
            assert entry["fstype"] == disks.PLANNED[entry["mountpoint"]]
            assert 0 < entry["freeze-ms"] <= freeze["freeze-ms"] + 50

    status = agent.call("snapfreeze-status")
    assert status.keys() >= {"state", "id", "label", "age-ms", "left-ms", "filesystems"}
    assert (status["state"], status["id"], status["label"]) == ("frozen", freeze["id"], "nightly")
    assert results(status, "state") == results(freeze)
    assert 0 < status["left-ms"] <= freeze["deadline-ms"]

    thaw = agent.call("snapfreeze-thaw", id=freeze["id"])
    assert thaw.keys() >= {"consistent", "reasons", "frozen-ms", "filesystems"}
    assert (thaw["consistent"], thaw["reasons"]) == (True, [])
    assert thaw["frozen-ms"] >= status["age-ms"]
    assert results(thaw) == {**dict.fromkeys(PLANNED, "thawed"), **dict.fromkeys(disks.SYNCED, "synced")}
    for entry in thaw["filesystems"]:
        assert entry.keys() == {"mountpoint", "device", "fstype", "result", "thaw-ms"}

    after = agent.call("snapfreeze-status")
    assert after["state"] == "thawed"
    assert after["last"].items() >= {"id": freeze["id"], "consistent": True, "reasons": [], "label": "nightly"}.items()


def test_a_thaw_by_a_wrong_id_thaws_nothing(guest, agent):
    number = agent.call("snapfreeze-freeze")["id"]
    with pytest.raises(AgentError, match=f"freeze {number + 1} is not the current one"):
        agent.call("snapfreeze-thaw", id=number + 1)
    assert agent.status() == "frozen"
    assert guest.blocked(PLANNED, timeout=2) == PLANNED
    assert agent.call("snapfreeze-thaw", id=number)["consistent"] is True


def test_the_plan_is_what_a_freeze_does(guest, agent):
    plan = agent.call("snapfreeze-plan")
    assert {entry["mountpoint"]: entry["fstype"] for entry in plan["filesystems"]} == {**disks.PLANNED, **disks.SYNCED}
    order = [entry["mountpoint"] for entry in plan["filesystems"]]
    left_out = {entry["mountpoint"]: entry["reason"] for entry in plan["left-out"]}
    assert left_out["/mnt/overlay"] == "overlay"
    assert left_out["/mnt/tmpfs"] == "pseudo"
    assert left_out["/mnt/read-only"] == "read-only"
    after = {entry["mountpoint"]: entry["after"] for entry in plan["filesystems"]}
    assert {(before, path) for path, list in after.items() for before in list} == set(disks.EDGES)
    assert set(guest.access(PLANNED, timeout=30).values()) == {"done"}
    freeze = agent.call("snapfreeze-freeze")
    assert [entry["mountpoint"] for entry in freeze["filesystems"]] == order
    assert agent.thaw() == len(PLANNED)


# ---- a rehearsal

@pytest.mark.agent("--rehearse")
def test_a_rehearsal_touches_nothing(guest, trace, agent):
    assert agent.call("snapfreeze-plan")["rehearsal"] is True
    answer = agent.call("snapfreeze-freeze")
    assert answer["rehearsal"] is True and answer["frozen"] > 0
    assert agent.status() == "thawed"
    assert agent.call("snapfreeze-status")["rehearsal"] is True
    assert set(guest.access(PLANNED + SIDE_DOORS, timeout=30, sync=True).values()) == {"done"}
    thaw = agent.call("snapfreeze-thaw")
    assert thaw["rehearsal"] is True and thaw["consistent"] is False
    assert any("rehearsal" in reason for reason in thaw["reasons"])
    assert agent.freeze() == answer["frozen"], "the host's tools see what they would see"
    assert agent.status() == "thawed"
    assert agent.thaw() == answer["frozen"]
    assert trace.calls("freeze") == [] and trace.calls("thaw") == []


@pytest.mark.agent("--rehearse")
def test_a_rehearsal_does_not_undo_another_s_freeze(guest, agent):
    guest.run(["qa-freeze", "freeze", "/mnt/linear"])
    try:
        agent.freeze()
        agent.thaw()
        assert guest.blocked(["/mnt/linear"], timeout=2) == ["/mnt/linear"]
    finally:
        guest.run(["qa-freeze", "thaw", "/mnt/linear"])


# ---- somebody else's freeze

@pytest.fixture
def foreign(guest):
    """/mnt/linear, frozen by another process."""
    path = "/mnt/linear"
    guest.run(["qa-freeze", "freeze", path])
    yield path
    guest.run(["qa-freeze", "thaw", path], check=False)


@pytest.mark.agent(config="[freeze]\nforeign-freeze=accept\n")
def test_an_accepted_foreign_freeze_is_named_and_stays(guest, foreign, agent):
    others = [path for path in PLANNED if path != foreign]
    answer = agent.call("snapfreeze-freeze")
    assert results(answer)[foreign] == "foreign"
    assert [path for path, result in results(answer).items() if result == "frozen"] == \
        [entry["mountpoint"] for entry in answer["filesystems"] if entry["mountpoint"] in others]
    assert answer["frozen"] == len(others)
    assert guest.blocked(PLANNED, timeout=2) == PLANNED
    thaw = agent.call("snapfreeze-thaw")
    assert thaw["consistent"] is False
    assert any(foreign in reason and "somebody else" in reason for reason in thaw["reasons"])
    assert guest.blocked(PLANNED, timeout=2) == [foreign], "their freeze is still there"
    assert guest.run(["qa-freeze", "thaw", foreign]).returncode == 0


@pytest.mark.agent(config="[freeze]\nforeign-freeze=accept\n")
def test_a_host_that_knows_only_the_old_commands_is_told_of_a_foreign_freeze(guest, foreign, agent):
    assert agent.freeze() == len(PLANNED) - 1
    with pytest.raises(AgentError, match=f"'{foreign}' was frozen by somebody else"):
        agent.thaw()
    assert guest.blocked(PLANNED, timeout=2) == [foreign]
