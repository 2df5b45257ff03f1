# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a freeze vouches for: consistent where nothing happened, and never where something did."""

import pytest

import disks
from ports import AgentError

PLANNED = list(disks.PLANNED)
TEST_CHANNEL = pytest.mark.agent(
    config="[channel:test]\nmethod=virtio-serial\npath=/dev/virtio-ports/org.snapfreeze.test.1\n")


@pytest.fixture
def other(guest, agent):
    """A second host, on the channel "test"."""
    with guest.agent_port("test") as port:
        port.sync()
        yield port


def thaw_says(agent, *causes):
    """The thaw thaws everything, and is an error that names each of @causes; so is each one behind it. What
    snapfreeze-status tells agrees."""
    texts = set()
    for _ in range(3):
        with pytest.raises(AgentError) as caught:
            agent.thaw()
        assert agent.status() == "thawed"
        texts.add(caught.value.desc)
    assert len(texts) == 1, "the same each time"
    text = texts.pop()
    assert "the snapshot may be inconsistent" in text
    last = agent.call("snapfreeze-status")["last"]
    assert last["consistent"] is False
    for cause in causes:
        assert cause in text
        assert any(cause in reason for reason in last["reasons"])
    return last["reasons"]


def forgets(agent, count=len(PLANNED)):
    """The next freeze starts anew, whatever became of the one before."""
    assert agent.freeze() == count
    assert agent.thaw() == count
    assert agent.thaw() == 0


def write_raw(guest, device):
    """Writes to a device beneath its filesystem, where this keeps nothing: ext4 leaves its first 1024 bytes alone."""
    guest.run(["xfs_io", "-d", "-c", "pwrite -S 0 0 512", device])


# ---- nothing happens

def test_an_undisturbed_freeze_of_a_minute_is_consistent(guest, agent):
    # All types, with something dirty in each: what their threads do once a minute (ext4 commits, XFS's log, btrfs'
    # transactions: 5 s and 30 s) must not look like a write.
    paths = [path for path in PLANNED if path != "/mnt/covered"]
    for path in paths:
        guest.run(["dd", "if=/dev/urandom", f"of={path}/dirty", "bs=64k", "count=8"])
    answer = agent.call("snapfreeze-freeze")
    assert (answer["frozen"], answer["reasons"]) == (len(PLANNED), [])
    job = guest.spawn("sleep 60")
    assert set(guest.access(paths, timeout=60, read=True).values()) == {"done"}
    job.wait(180)
    thaw = agent.call("snapfreeze-thaw")
    assert (thaw["consistent"], thaw["reasons"]) == (True, [])
    assert thaw["frozen-ms"] >= 60_000
    assert {entry["result"] for entry in thaw["filesystems"]} == {"thawed", "synced"}
    guest.run(["rm", *(f"{path}/dirty" for path in paths)])


# ---- something happens

@pytest.mark.parametrize("path", ["/mnt/covered", "/mnt/ext4-b"])
def test_a_raw_write_to_a_frozen_device_is_told(guest, agent, path):
    agent.freeze()
    write_raw(guest, f"/dev/qa/{disks.SERIAL[path]}")
    assert len(thaw_says(agent, f"'{path}' was written while frozen")) == 1, "no other is blamed"
    forgets(agent)


def test_a_raw_write_to_a_mapped_device_is_told(guest, agent):
    agent.freeze()
    write_raw(guest, "/dev/mapper/linear")
    thaw_says(agent, "'/mnt/linear' was written while frozen")


def test_a_foreign_thaw_is_told(guest, agent):
    agent.freeze()
    guest.run(["qa-freeze", "thaw", "/mnt/with space"])
    reasons = thaw_says(agent, "'/mnt/with space' was thawed by somebody else")
    assert all("/mnt/with space" in reason for reason in reasons)
    assert set(guest.access(PLANNED, timeout=30).values()) == {"done"}
    forgets(agent)


@pytest.mark.parametrize("path", ["/mnt/ext4-a", "/mnt/xfs", "/mnt/btrfs-one"])
def test_a_foreign_thaw_and_freeze_is_told_once_something_was_written(guest, agent, path):
    agent.freeze()
    # All answers of the kernel look as if nothing had happened.
    guest.run(["qa-freeze", "thaw", path])
    assert guest.access([path], timeout=30, sync=True) == {path: "done"}
    guest.run(["qa-freeze", "freeze", path])
    answer = agent.call("snapfreeze-status")
    assert answer["state"] == "frozen"
    reasons = thaw_says(agent, f"'{path}' was written while frozen")
    assert set(guest.access(PLANNED, timeout=30).values()) == {"done"}
    assert not any("thawed by somebody" in reason for reason in reasons)
    forgets(agent)


def test_a_foreign_thaw_and_freeze_of_ext4_is_told_by_itself(guest, agent):
    agent.freeze()
    # ext4 writes its superblock at each thaw and freeze.
    guest.run("qa-freeze thaw /mnt/ext4-b && qa-freeze freeze /mnt/ext4-b")
    thaw_says(agent, "'/mnt/ext4-b' was written while frozen")


@pytest.mark.parametrize("fstype", ["ext4", "btrfs"])
def test_a_new_writable_mount_while_frozen_is_told(guest, scratch, agent, fstype):
    device = scratch.device(fstype)
    assert agent.freeze() == len(PLANNED)
    scratch.mount("/mnt/extra", "-t", fstype, device)
    thaw_says(agent, f"'/mnt/extra' ({fstype}) is writable and was not frozen")
    forgets(agent, len(PLANNED) + 1)


def test_a_mount_that_came_and_went_while_frozen_of_what_is_frozen_is_no_harm(guest, scratch, agent):
    agent.freeze()
    guest.run("mkdir /run/look && mount --bind /mnt/ext4-a /run/look && mount -t tmpfs none /run/look && "
              "umount /run/look && umount /run/look && rmdir /run/look")
    assert agent.thaw() == len(PLANNED)


def test_a_read_only_mount_while_frozen_is_no_harm(guest, scratch, agent):
    device = scratch.device()
    agent.freeze()
    scratch.mount("/mnt/extra", "-t", "ext4", "-o", "ro,noload", device)
    assert agent.call("snapfreeze-thaw")["reasons"] == []


def test_one_made_writable_while_frozen_is_told(guest, scratch, agent):
    scratch.mount("/mnt/extra", "-t", "ext4", "-o", "ro", scratch.device())
    assert agent.freeze() == len(PLANNED)
    guest.run(["mount", "-o", "remount,rw", "/mnt/extra"])
    thaw_says(agent, "'/mnt/extra' (ext4) is writable and was not frozen")


def test_a_synced_filesystem_that_was_written_since_is_told(guest, agent):
    agent.freeze()
    assert guest.access(["/mnt/vfat"], timeout=30, sync=True) == {"/mnt/vfat": "done"}
    thaw_says(agent, "'/mnt/vfat', which cannot freeze, was written since")
    guest.run("sync -f /mnt/vfat")
    forgets(agent)


# ---- several channels

@TEST_CHANNEL
def test_another_channel_s_thaw_tells_the_one_that_froze(guest, agent, other):
    agent.freeze()
    assert other.call("guest-fsfreeze-thaw") == len(PLANNED)
    assert set(guest.access(PLANNED, timeout=30).values()) == {"done"}
    for _ in range(2):
        with pytest.raises(AgentError, match="thawed after .* through channel 'test': the snapshot may be inconsistent"):
            agent.thaw()
        assert other.call("guest-fsfreeze-thaw") == 0, "it is not its freeze"
    forgets(agent)


@TEST_CHANNEL
def test_another_channel_s_thaw_does_not_use_the_complaint_up(guest, agent, other):
    agent.freeze()
    write_raw(guest, "/dev/qa/cover")
    with pytest.raises(AgentError, match="'/mnt/covered' was written while frozen"):
        other.call("guest-fsfreeze-thaw")
    assert other.call("guest-fsfreeze-thaw") == 0
    assert other.call("guest-fsfreeze-thaw") == 0
    thaw_says(agent, "'/mnt/covered' was written while frozen")
    assert other.call("guest-fsfreeze-freeze") == len(PLANNED)
    assert other.call("guest-fsfreeze-thaw") == len(PLANNED)
    assert agent.thaw() == 0, "a new freeze, by whomever, ends it"


@TEST_CHANNEL
def test_a_frozen_guest_is_frozen_for_every_channel(guest, agent, other):
    agent.freeze()
    assert other.call("guest-fsfreeze-status") == "frozen"
    with pytest.raises(AgentError, match="the agent is in frozen state"):
        other.call("guest-fsfreeze-freeze")
    assert agent.thaw() == len(PLANNED)
    assert other.call("guest-fsfreeze-thaw") == 0
    assert agent.thaw() == 0


def test_what_was_not_consistent_is_told_after_a_restart_too(guest, agent):
    agent.freeze()
    write_raw(guest, "/dev/qa/cover")
    thaw_says(agent, "'/mnt/covered' was written while frozen")
    assert agent.stop() == 0
    agent.restart()
    thaw_says(agent, "'/mnt/covered' was written while frozen")
    forgets(agent)
