# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which filesystems are frozen: by the request's list, and by the configuration's include and exclude."""

import pytest

import disks
from ports import AgentError

PLANNED = list(disks.PLANNED)


def freeze_list(agent, *paths):
    return agent.call("guest-fsfreeze-freeze-list", mountpoints=list(paths))


# ---- a list

@pytest.mark.parametrize("path", ["/mnt/no-such-path", "/mnt/ext4-a/dir", "mnt/ext4-a", "", "/mnt/ext4-a/../xfs"])
def test_a_path_that_is_no_mount_point_is_named_and_nothing_is_frozen(guest, trace, agent, path):
    with pytest.raises(AgentError) as caught:
        freeze_list(agent, "/mnt/xfs", path, "/mnt/linear")
    assert caught.value.klass == "GenericError"
    assert f"'{path}'" in caught.value.desc and "mount point" in caught.value.desc
    assert agent.status() == "thawed"
    assert trace.calls("freeze") == []
    assert agent.thaw() == 0


def test_an_empty_list_freezes_nothing(guest, trace, agent):
    # In a row: whoever has its answer may ask for the next.
    for _ in range(20):
        assert freeze_list(agent) == 0
        assert agent.status() == "thawed"
    assert agent.call("snapfreeze-freeze", mountpoints=[])["frozen"] == 0
    assert agent.status() == "thawed"
    assert trace.calls("freeze") == []
    assert agent.thaw() == 0


@pytest.mark.parametrize("path, frozen", [
    ("/mnt/xfs", "/mnt/xfs"),
    ("/mnt/xfs/", "/mnt/xfs"),
    ("//mnt//xfs///", "/mnt/xfs"),
    ("/mnt/with space", "/mnt/with space"),
    ("/mnt/grün-日本/", "/mnt/grün-日本"),
    ("/mnt/bind", "/mnt/ext4-a"),
    ("/mnt/bind-file", "/mnt/ext4-a"),
    ("/mnt/ro-bind", "/mnt/ext4-a"),
    ("/mnt/btrfs-two", "/mnt/btrfs-one"),
    ("/mnt/covered", "/mnt/covered"),
    ("/mnt/uncovered", "/mnt/uncovered"),
    ("/mnt/loop", "/mnt/loop"),
])
def test_only_what_is_named_is_frozen(guest, trace, agent, path, frozen):
    assert freeze_list(agent, path) == 1
    assert agent.status() == "frozen"
    assert list(trace.by_path("freeze", [frozen])) == [frozen]
    assert agent.thaw() == 1
    assert list(trace.by_path("thaw", [frozen])) == [frozen]


def test_what_is_not_named_stays_writable(guest, agent):
    assert freeze_list(agent, "/mnt/linear", "/mnt/btrfs-two", "/mnt/linear/", "/mnt/btrfs-one") == 2
    frozen = ["/mnt/btrfs-one", "/mnt/linear"]
    assert sorted(guest.blocked(PLANNED, timeout=4)) == frozen
    assert agent.thaw() == 2, "what was not named may be written to: the freeze held"
    answer = agent.call("snapfreeze-freeze", mountpoints=["/mnt/linear"])
    assert [entry["mountpoint"] for entry in answer["filesystems"]] == ["/mnt/linear"]
    not_covered = {entry["mountpoint"]: entry["reason"] for entry in answer["not-covered"]}
    # By its first mount point, which is covered by another's by now.
    names = [path for path in [*PLANNED, *disks.SYNCED] if path not in ("/mnt/linear", "/mnt/uncovered")]
    assert not_covered == dict.fromkeys(names, "not-named")
    assert agent.thaw() == 1


def test_only_vfat_is_zero_frozen_and_thawed(guest, trace, agent):
    for _ in range(5):
        assert freeze_list(agent, "/mnt/vfat") == 0
        assert agent.status() == "thawed"
    assert trace.calls("freeze") == []
    assert agent.thaw() == 0


@pytest.mark.parametrize("path, reason", [
    ("/proc", "pseudo filesystem"),
    ("/run", "pseudo filesystem"),
    ("/mnt/tmpfs/", "pseudo filesystem"),
    ("/mnt/overlay", "overlay, freeze the filesystem of its upper folder"),
    ("/mnt/read-only", "mounted read-only"),
])
def test_what_cannot_be_frozen_is_refused_with_the_reason(guest, trace, agent, path, reason):
    with pytest.raises(AgentError) as caught:
        freeze_list(agent, "/mnt/ext4-a", path)
    assert caught.value.desc == f"'{path}' cannot be frozen: {reason}"
    assert agent.status() == "thawed"
    assert trace.calls("freeze") == []


# ---- the configuration

def frozen_and_not(agent):
    """What a freeze covers, and what it leaves with its reason."""
    answer = agent.call("snapfreeze-freeze")
    frozen = {entry["mountpoint"] for entry in answer["filesystems"] if entry["result"] == "frozen"}
    assert len(frozen) == answer["frozen"]
    return frozen, {entry["mountpoint"]: entry["reason"] for entry in answer["not-covered"]}


@pytest.mark.agent(config="[freeze]\nexclude=type:vfat;device:/dev/mapper/lin*;/mnt/ext4-[b-z]\n")
def test_what_is_excluded_is_left_and_listed(guest, agent):
    frozen, not_covered = frozen_and_not(agent)
    excluded = {"/mnt/vfat", "/mnt/linear", "/mnt/ext4-b"}
    assert frozen == set(PLANNED) - excluded
    assert not_covered == dict.fromkeys(excluded, "excluded")
    assert sorted(guest.blocked(PLANNED, timeout=4)) == sorted(frozen)
    thaw = agent.call("snapfreeze-thaw")
    assert thaw["consistent"] is True, "an excluded one that was written makes nothing inconsistent"
    with pytest.raises(AgentError, match="'/mnt/linear' cannot be frozen: excluded by configuration"):
        freeze_list(agent, "/mnt/linear")


@pytest.mark.agent(config="[freeze]\ninclude=type:xfs;/mnt/g*;/mnt/with space\n")
def test_only_what_is_included_is_frozen_and_the_rest_listed(guest, agent):
    frozen, not_covered = frozen_and_not(agent)
    assert frozen == {"/mnt/xfs", "/mnt/grün-日本", "/mnt/with space"}
    assert set(not_covered) >= {"/mnt/ext4-a", "/mnt/btrfs-one", "/mnt/vfat", "/mnt/linear"}
    assert set(not_covered.values()) == {"excluded"}
    assert agent.thaw() == 3


@pytest.mark.agent(config="[freeze]\ninclude=type:ext4\nexclude=/mnt/*loop*;/mnt/bind\n")
def test_exclude_wins_over_include_and_a_bind_mount_of_a_part_excludes_nothing(guest, agent):
    frozen, _ = frozen_and_not(agent)
    assert frozen == {path for path, fstype in disks.PLANNED.items() if fstype == "ext4"} - {"/mnt/loop", "/mnt/loop-inner"}
    assert agent.thaw() == len(frozen)


@pytest.mark.agent(config="[freeze]\nexclude=type:*\n")
def test_where_all_is_excluded_nothing_is_frozen(guest, trace, agent):
    assert agent.freeze() == 0
    assert agent.status() == "thawed"
    assert trace.calls("freeze") == []
