# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases: what is frozen by libvirt, for how long, and what becomes of it where clients or the agent get lost."""

import time

from case import case
from freeze_trace import FreezeTrace
from lab import HOOKS, PATHS

SECONDS = 10  # a short lease, and yet longer than a client takes on a busy machine
BLOCK = -2  # libvirt's word for no limit


def last_line(error):
    return error.splitlines()[-1].removeprefix("error: ")


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


@case("domfsfreeze (two clients)", "the second waits for the first, is told that all is frozen, and spoils nothing")
def a_second_client_waits_for_the_first_ones_freeze(lab):
    with lab.waiting_hook():
        first = lab.spawn_virsh("domfsfreeze")
        lab.wait_hook()
        second = lab.spawn_virsh("domfsfreeze")
        assert lab.blocked() == [] and first.poll() is None and second.poll() is None
        lab.release_hook()
        out, err = first.communicate(timeout=120)
        assert first.returncode == 0, err
        assert "3 filesystem" in out
        _, err = second.communicate(timeout=120)
        assert second.returncode != 0 and "frozen state" in err, err
        assert lab.blocked(timeout=1) == PATHS
        assert lab.thaw() == 3
        assert lab.blocked() == []
    return "3 frozen once; the second was refused"


@case("domfsfreeze (client killed)", "libvirtd ends what the client began; another client thaws")
def a_freeze_outlives_its_client_and_another_thaws(lab):
    with lab.waiting_hook():
        client = lab.spawn_virsh("domfsfreeze")
        lab.wait_hook()
        client.kill_all()
        lab.release_hook()
        lab.guest.wait_for(lambda: lab.blocked(timeout=1) == PATHS)
        assert lab.thaw() == 3
        assert lab.blocked() == []
    return "frozen after the client's death, thawed by another"


@case("guest-agent-timeout, domfsfreeze", "a freeze that libvirt gave up freezes nothing, then or later")
def a_freeze_that_libvirt_gave_up_never_comes(lab):
    with lab.waiting_hook(), FreezeTrace(lab.guest) as trace:
        lab.virsh("guest-agent-timeout", "--timeout", 2)
        try:
            error = lab.refused("domfsfreeze")
            lab.guest.run(["test", "-e", f"{HOOKS}.begun"])
            # libvirt's next request: the agent reads in it that nobody waits for the freeze any more.
            lab.guest.try_virsh("domfsthaw")
            lab.release_hook()
            lab.agent.wait_answer()
        finally:
            lab.virsh("guest-agent-timeout", "--timeout", BLOCK)
        assert lab.agent.status() == "thawed"
        assert trace.calls("freeze") == []
        assert lab.blocked() == []
        assert lab.holds()
        assert len(trace.calls("freeze")) == 3
    return f"{last_line(error)}; the kernel saw no freeze"


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


@case("domfsfreeze; libvirtd killed", "no guest stays frozen; a new libvirtd freezes and thaws on the same channel")
def a_killed_libvirtd_leaves_no_guest_frozen(lab):
    with lab.configured(f"[freeze]\ntimeout={SECONDS}\n"):
        frozen = time.monotonic()
        assert lab.freeze() == 3
        assert lab.blocked(timeout=1) == PATHS
        lab.host.kill_libvirtd()
        try:
            held = lab.blocked(timeout=1) == PATHS
            lab.guest.wait_for(lambda: lab.blocked(timeout=1) == [], SECONDS + 60)
            seconds = time.monotonic() - frozen
            assert held and seconds > SECONDS - 5, "it was the deadline that thawed"
        finally:
            lab.host.start_libvirtd()
        lab.agent.wait_answer()
        assert lab.holds()
    return f"writable {seconds:.0f} s after the freeze, the lease being {SECONDS} s; then 3 frozen, 3 thawed"


@case("domfsfreeze; libvirtd killed and back", "a new libvirtd thaws what the old one froze")
def a_new_libvirtd_thaws_what_the_old_one_froze(lab):
    assert lab.freeze() == 3
    lab.host.kill_libvirtd()
    lab.host.start_libvirtd()
    lab.agent.wait_answer()
    assert lab.blocked(timeout=1) == PATHS
    assert lab.thaw() == 3
    assert lab.blocked() == []
    assert lab.holds()
    return "3 thawed by the new one, and the freeze counted as consistent"


@case("domfsfreeze; agent killed", "everything is thawed; libvirt sees the agent go and come; domfsthaw tells")
def a_killed_agent_thaws_and_libvirt_finds_the_next_one(lab):
    assert lab.freeze() == 3
    lab.agent.signal(9)
    lab.agent.job.wait()
    lab.guest.wait_for(lambda: lab.blocked(timeout=1) == [])
    lab.guest.wait_for(lambda: "agent is not connected" in lab.guest.try_virsh("domfsthaw").stderr)
    lab.agent.restart()
    error = lab.refused("domfsthaw")
    assert "the snapshot may be inconsistent" in error, error
    assert lab.holds()
    return error.partition("'guest-fsfreeze-thaw': ")[2]


@case("any; agent started anew", "libvirt, connected all the time, works with the next agent")
def an_agent_started_anew_is_found_by_libvirt(lab):
    for _ in range(3):
        lab.agent.stop()
        lab.agent.restart()
        assert lab.virsh("domhostname", "--source", "agent") == lab.guest.sh("hostname")
    assert lab.holds()
    return "3 times"
