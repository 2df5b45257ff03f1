# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases: what libvirt freezes and thaws, and for how long it stays frozen."""

from case import case
from lab import PATHS, last_line


@case("domfsfreeze, domfsthaw", "writers stand still between the two and not after")
def domfsfreeze_blocks_writers_until_domfsthaw(lab):
    assert lab.freeze() == 3
    assert lab.blocked(timeout=1) == PATHS
    assert "frozen state" in lab.refused("domfsfreeze")
    assert lab.blocked(timeout=1) == PATHS
    assert lab.thaw() == 3
    assert lab.blocked() == []
    assert lab.thaw() == 0
    return "3 frozen: 3 blocked; a second freeze refused; 3 thawed: 0 blocked"


@case("domfsfreeze --mountpoint", "what is named is frozen, and nothing else")
def domfsfreeze_of_mount_points_freezes_these_alone(lab):
    for paths in ([PATHS[1]], [PATHS[0], PATHS[2]]):
        assert lab.freeze(*paths) == len(paths)
        assert lab.blocked(timeout=1) == paths
        assert lab.thaw() == len(paths)
        assert lab.blocked() == []
    return "1 of 3, then 2 of 3 blocked"


@case("domfsthaw --mountpoint", "libvirt refuses it for any agent: all stays frozen until a plain domfsthaw")
def domfsthaw_of_one_mount_point_is_refused_by_libvirt(lab):
    assert lab.freeze() == 3
    error = lab.refused("domfsthaw", "--mountpoint", PATHS[0])
    assert "specifying mountpoint" in error, error
    assert lab.blocked(timeout=1) == PATHS
    assert lab.thaw() == 3
    assert lab.blocked() == []
    return last_line(error)


@case("domfsfreeze (a hook fails)", "the error names the hook, and nothing is frozen")
def a_hook_that_fails_is_named_and_nothing_is_frozen(lab):
    with lab.waiting_hook():
        lab.guest.push(b'#!/bin/sh\n[ "$1" = thaw ] || { echo no room for it; exit 3; }\n', "/run/qa-hooks/05-fails")
        error = lab.refused("domfsfreeze")
        assert "05-fails" in error and "no room for it" in error, error
        assert lab.blocked() == []
        path = lab.folder / "never.qcow2"
        error = lab.refused("snapshot-create-as", "never", "--disk-only", "--quiesce", "--no-metadata", "--diskspec",
                            f"vda,file={path}")
        assert "05-fails" in error and not path.exists(), error
        assert str(path) not in lab.virsh("domblklist")
        assert lab.blocked() == []
    return "error names hook and output; snapshot --quiesce made no overlay"


@case("domfsfreeze (lease over)", "the deadline thaws, and domfsthaw says that the freeze did not hold")
def the_deadline_thaws_and_domfsthaw_tells(lab):
    with lab.configured("[freeze]\ntimeout=3\n"):
        assert lab.freeze() == 3
        lab.guest.wait_for(lambda: lab.blocked(timeout=1) == [])
        error = lab.refused("domfsthaw")
        assert "the snapshot may be inconsistent" in error, error
        assert lab.holds()
    return error.partition("'guest-fsfreeze-thaw': ")[2]
