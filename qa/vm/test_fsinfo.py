# SPDX-License-Identifier: LGPL-2.1-or-later
"""guest-get-fsinfo of a long mount table, which the agent keeps between two calls: what it tells is what is mounted."""

import pytest

from agents import QemuGa

# Long enough to be kept, and to be read for a while.
MOUNTS = 3000
SOURCE = "/mnt/ext4-a/dir"
ON_DISKS = {"ext4", "xfs", "btrfs", "vfat"}


@pytest.fixture
def long_table(guest):
    """/run/long with many bind mounts, /run/here with none; both are taken away with all that is mounted there."""
    guest.run("mkdir -p /run/here && mount -t tmpfs here /run/here && mkdir /run/here/a /run/here/b /run/here/c")
    guest.run(["qa-mounts", MOUNTS, "/run/long", SOURCE, "bind"], timeout=600)
    yield
    guest.run("umount -l /run/here /run/long; rmdir /run/here /run/long", timeout=600)


def told(agent):
    return sorted(entry["mountpoint"] for entry in agent.call("guest-get-fsinfo"))


def shown(guest):
    return sorted(mount["mountpoint"] for mount in guest.mounts() if mount["fstype"] in ON_DISKS)


def is_kept(guest, agent):
    """Whether the agent has the table's file open, by which the kernel tells it of changes."""
    return "mountinfo" in guest.sh(f"ls -l /proc/{agent.pid}/fd")


def test_a_kept_table_shows_each_change_at_once(guest, long_table, agent):
    assert not is_kept(guest, agent)
    for change in [
        f"mount --bind {SOURCE} /run/here/a",
        f"mount --bind {SOURCE} /run/here/b",
        "mount --move /run/here/a /run/here/c",
        "umount /run/here/b",
        f"mount --bind {SOURCE} /run/here/a && mount --bind {SOURCE} /run/here/a",
        "umount -l /run/here/a",
        "umount /run/long/7",
        # What goes in one namespace together with its folder goes in all.
        "unshare -m --propagation private sh -c 'umount /run/here/c && rmdir /run/here/c'",
        "umount -l /run/here",
        "mount -t tmpfs here /run/here",
    ]:
        told(agent)
        assert is_kept(guest, agent)
        guest.run(change)
        assert told(agent) == shown(guest), change
    told(agent)
    assert is_kept(guest, agent)


def test_what_changes_while_the_table_is_read_is_shown_by_the_next_call(guest, long_table, agent):
    expected = {kind: shown(guest) + extra for kind, extra in (("there", ["/run/here/a"]), ("gone", []))}
    for _ in range(12):
        # Each begins with a table that was kept and does not hold any more, so it reads; the second change comes meanwhile.
        for command, state in ((f"mount --bind {SOURCE} /run/here/a", "there"), ("umount -l /run/here/a", "gone")):
            guest.run("mount -t tmpfs other /run/here/b && umount -l /run/here/b")
            agent.port.send({"execute": "guest-get-fsinfo"})
            guest.run(command)
            agent.port.read_reply()
            assert told(agent) == sorted(expected[state])


def test_while_mounts_come_and_go_the_rest_is_told_of(guest, long_table, agent):
    before = shown(guest)
    storm = guest.spawn(["qa-storm", "/run/here/a", 1000])
    storm.wait_output("mounting")
    for _ in range(3):
        assert set(told(agent)) == set(before)
    storm.kill(15)
    storm.wait()
    guest.run(f"mount --bind {SOURCE} /run/here/b")
    assert told(agent) == sorted([*before, "/run/here/b"])


def entries(agent):
    """All that both tell alike; qemu-ga does not follow loop devices down to disks."""
    return sorted((entry["mountpoint"], entry["name"], entry["type"], sorted(disk["dev"] for disk in entry["disk"]))
                  for entry in agent.call("guest-get-fsinfo") if not entry["name"].startswith("loop"))


def test_a_kept_table_gives_qemu_gas_answer(guest, long_table, agent):
    told(agent)
    assert is_kept(guest, agent)
    ours = entries(agent)
    agent.stop()
    assert ours == entries(QemuGa(guest).start())
