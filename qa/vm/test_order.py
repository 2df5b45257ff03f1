# SPDX-License-Identifier: LGPL-2.1-or-later
"""The order of freezing and thawing, as the kernel sees it."""

import pytest

import disks

PLANNED = list(disks.PLANNED)


def check_edges(edges, freezes, thaws):
    """Each edge: what depends has finished to freeze before the other begins, and thaws come in reverse."""
    for before, after in edges:
        assert freezes[before].end <= freezes[after].begin, f"{before} first, then {after}"
        assert thaws[after].end <= thaws[before].begin, f"{after} thaws first, then {before}"


# ---- the whole layout

@pytest.mark.agent(config="[freeze]\nfreeze-parallel=1\n")
def test_one_after_another_is_reverse_mount_order(guest, trace, agent):
    agent.freeze()
    agent.thaw()
    freezes = trace.by_path("freeze", PLANNED)
    # In the layout every edge agrees with reverse mount order.
    assert list(freezes) == PLANNED[::-1]
    order = list(freezes.values())
    for one, next_one in zip(order, order[1:]):
        assert one.end <= next_one.begin, "one at a time"
    check_edges(disks.EDGES, freezes, trace.by_path("thaw", PLANNED))


def test_the_edges_hold_and_what_has_none_overlaps(guest, trace, agent):
    agent.freeze()
    agent.thaw()
    freezes, thaws = trace.by_path("freeze", PLANNED), trace.by_path("thaw", PLANNED)
    check_edges(disks.EDGES, freezes, thaws)
    free = list(freezes.values())[:4]  # the last ones mounted, on disks of their own
    assert any(later.begin < earlier.end for earlier, later in zip(free, free[1:])), "some are inside at one time"
    assert max(call.end for call in freezes.values()) <= min(call.begin for call in thaws.values())


def test_each_superblock_is_frozen_once_however_often_it_is_mounted(guest, trace, agent):
    shown = [mount["device"] for mount in guest.mounts()]
    assert len(shown) > len(set(shown))
    assert agent.freeze() == len(PLANNED)
    assert agent.thaw() == len(PLANNED)
    for kind in ("freeze", "thaw"):
        devices = [call.device for call in trace.calls(kind)]
        assert len(devices) == len(PLANNED) and len(set(devices)) == len(devices), kind


def test_a_thousand_bind_mounts_add_nothing(guest, trace, request, make_agent):
    # 20 of them, and the whole tree six times into itself.
    request.addfinalizer(lambda: guest.run("cd /mnt/tmpfs/many && umount -l tree-6 tree-5 tree-4 tree-3 tree-2 tree-1 && "
                                           "umount bind-* && cd .. && rm -r many", timeout=300))
    guest.run("mkdir -p /mnt/tmpfs/many && cd /mnt/tmpfs/many && for i in $(seq 20); do mkdir bind-$i && "
              "mount --bind /mnt/ext4-a/dir bind-$i || exit 1; done; "
              "for i in $(seq 6); do mkdir tree-$i && mount --rbind . tree-$i || exit 1; done", timeout=300)
    agent = make_agent(guest).start()
    plan = agent.call("snapfreeze-plan")["filesystems"]
    assert [entry["mountpoint"] for entry in plan if entry["fstype"] != "vfat"] == PLANNED[::-1]
    many = next(entry for entry in plan if entry["mountpoint"] == "/mnt/ext4-a")
    assert len([path for path in many["mountpoints"] if path.startswith("/mnt/tmpfs/many/")]) == 20 * 64
    assert agent.freeze() == len(PLANNED)
    paths = ["/mnt/ext4-a", "/mnt/tmpfs/many/tree-6/tree-5/bind-7"]
    assert guest.blocked(paths, timeout=2) == paths
    assert agent.thaw() == len(PLANNED)
    assert len(trace.by_path("freeze", PLANNED)) == len(PLANNED)


# ---- loop devices where plain reverse mount order would hang for ever

def freeze_both(guest, agent, trace, upper, lower):
    """A freeze and a thaw in which @upper lies on @lower. The wrong order: FIFREEZE of @upper writes to its loop
    device, whose backing file is on the frozen @lower, and waits for the thaw that waits for it."""
    for path in (upper, lower):
        guest.run(f"echo something dirty >{path}/dirty")
    trace.clear()
    assert agent.freeze() == len(PLANNED) + 2
    assert guest.blocked([upper, lower], timeout=2) == [upper, lower]
    assert agent.thaw() == len(PLANNED) + 2
    assert set(guest.access([upper, lower], timeout=30, sync=True).values()) == {"done"}
    freezes, thaws = (trace.by_path(kind, [*PLANNED, upper, lower]) for kind in ("freeze", "thaw"))
    check_edges([(upper, lower)], freezes, thaws)
    return freezes, thaws


def mount_order(guest, *paths):
    """Mount points, in the order in which the kernel lists them."""
    listed = [mount["mountpoint"] for mount in guest.mounts()]
    return sorted(paths, key=listed.index)


@pytest.fixture
def lower(scratch):
    """An ext4, mounted, with a file in it for a loop device."""
    scratch.filesystem("/mnt/lower", mib=48)
    scratch.file("/mnt/lower/image")
    return "/mnt/lower"


def test_a_backing_filesystem_mounted_before_is_frozen_after(guest, scratch, lower, trace, agent):
    # Mount order lower, upper: here reverse mount order is right, plain mount order would hang.
    scratch.mount("/mnt/upper", "-t", "ext4", scratch.loop(f"{lower}/image"))
    assert mount_order(guest, "/mnt/upper", lower) == [lower, "/mnt/upper"]
    freeze_both(guest, agent, trace, "/mnt/upper", lower)


def test_a_backing_filesystem_mounted_later_is_frozen_after(guest, scratch, lower, trace, agent):
    # Mount order upper, lower: in reverse lower would freeze first, and upper's freeze wait for it for ever. The
    # first mount of the lower one is gone though the loop device still holds it.
    loop = scratch.loop(f"{lower}/image")
    scratch.mount("/mnt/upper", "-t", "ext4", loop)
    scratch.mount("/mnt/again", "--bind", lower)
    guest.run(["umount", "-l", lower])
    assert mount_order(guest, "/mnt/upper", "/mnt/again") == ["/mnt/upper", "/mnt/again"]
    freeze_both(guest, agent, trace, "/mnt/upper", "/mnt/again")


def test_a_device_moved_onto_a_later_filesystem_is_frozen_before_it(guest, scratch, trace, agent):
    # As after moving a volume to another disk: mount order is upper, lower; in reverse it would hang.
    take_down = "umount /mnt/upper; ! dmsetup info qa-moved >/dev/null 2>&1 || dmsetup --noudevsync remove qa-moved"
    first = scratch.device("ext4")
    size = guest.sh(f"blockdev --getsz {first}")
    guest.run(f"dmsetup --noudevsync create qa-moved --table '0 {size} linear {first} 0' && dmsetup mknodes")
    scratch.undo.append(take_down)
    scratch.mount("/mnt/upper", "-t", "ext4", "/dev/mapper/qa-moved")
    scratch.filesystem("/mnt/lower", mib=48)
    second = scratch.loop(scratch.file("/mnt/lower/image"))
    guest.run(f"dmsetup --noudevsync suspend qa-moved && dd if={first} of={second} bs=1M conv=fsync 2>/dev/null && "
              f"dmsetup load qa-moved --table '0 {size} linear {second} 0' && dmsetup --noudevsync resume qa-moved")
    scratch.undo.append(take_down)
    assert mount_order(guest, "/mnt/upper", "/mnt/lower") == ["/mnt/upper", "/mnt/lower"]
    freeze_both(guest, agent, trace, "/mnt/upper", "/mnt/lower")


def test_a_backing_filesystem_that_was_moved_is_frozen_after(guest, scratch, lower, trace, agent):
    # The kernel shows the backing file at its new path. A plan by the old one has no edge: both would freeze side by
    # side, and hang.
    scratch.mount("/mnt/upper", "-t", "ext4", scratch.loop(f"{lower}/image"))
    scratch.folder("/mnt/moved")
    guest.run("mount --move /mnt/lower /mnt/moved")
    scratch.undo.append("mount --move /mnt/moved /mnt/lower")
    freeze_both(guest, agent, trace, "/mnt/upper", "/mnt/moved")


def test_a_backing_file_behind_a_bind_mount_of_itself_is_found(guest, scratch, lower, trace, agent):
    # The path of the backing file is no folder of the lower filesystem, but the file's own mount point.
    guest.run(": >/run/bound")
    scratch.undo.append("rm /run/bound")
    guest.run(f"mount --bind {lower}/image /run/bound")
    scratch.undo.append("umount /run/bound")
    scratch.mount("/mnt/upper", "-t", "ext4", scratch.loop("/run/bound"))
    freeze_both(guest, agent, trace, "/mnt/upper", lower)


def test_a_backing_file_whose_folder_is_covered_is_found(guest, scratch, lower, trace, agent):
    # Another filesystem lies over the folder of the backing file by now: its path leads elsewhere.
    scratch.mount("/mnt/upper", "-t", "ext4", scratch.loop(f"{lower}/image"))
    scratch.mount("/mnt/again", "--bind", lower)
    guest.run(["mount", "-t", "tmpfs", "cover", lower])
    scratch.undo.append(f"umount {lower}")
    freeze_both(guest, agent, trace, "/mnt/upper", "/mnt/again")


def test_a_deleted_backing_file_is_found(guest, scratch, lower, trace, agent):
    # Its path ends in " (deleted)", and leads to nothing.
    scratch.mount("/mnt/upper", "-t", "ext4", scratch.loop(f"{lower}/image"))
    guest.run(f"rm {lower}/image")
    freeze_both(guest, agent, trace, "/mnt/upper", lower)
