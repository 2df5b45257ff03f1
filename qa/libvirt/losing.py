# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases: clients, libvirtd or the agent get lost while something is frozen, or about to be."""

import time

from case import case
from freeze_trace import FreezeTrace
from lab import HOOKS, LEASE_S, PATHS, last_line

NO_LIMIT = -2  # libvirt's word for it


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
            lab.virsh("guest-agent-timeout", "--timeout", NO_LIMIT)
        assert lab.agent.status() == "thawed"
        assert trace.calls("freeze") == []
        assert lab.blocked() == []
        assert lab.holds()
        assert len(trace.calls("freeze")) == 3
    return f"{last_line(error)}; the kernel saw no freeze"


@case("domfsfreeze; libvirtd killed", "no guest stays frozen; a new libvirtd freezes and thaws on the same channel")
def a_killed_libvirtd_leaves_no_guest_frozen(lab):
    with lab.configured(f"[freeze]\ntimeout={LEASE_S}\n"):
        frozen = time.monotonic()
        assert lab.freeze() == 3
        assert lab.blocked(timeout=1) == PATHS
        lab.host.kill_libvirtd()
        try:
            held = lab.blocked(timeout=1) == PATHS
            lab.guest.wait_for(lambda: lab.blocked(timeout=1) == [], LEASE_S + 60)
            seconds = time.monotonic() - frozen
            assert held and seconds > LEASE_S - 5, "it was the deadline that thawed"
        finally:
            lab.host.start_libvirtd()
        lab.agent.wait_answer()
        assert lab.holds()
    return f"writable {seconds:.0f} s after the freeze, the lease being {LEASE_S} s; then 3 frozen, 3 thawed"


@case("domfsfreeze; libvirtd killed meanwhile", "a freeze under way for a libvirtd that is gone freezes nothing")
def a_freeze_under_way_for_a_killed_libvirtd_never_comes(lab):
    with lab.waiting_hook(), FreezeTrace(lab.guest) as trace:
        client = lab.spawn_virsh("domfsfreeze")
        lab.wait_hook()
        lab.host.kill_libvirtd()
        client.communicate(timeout=60)
        assert client.returncode != 0
        lab.host.start_libvirtd()
        # The new one's first request stands behind the freeze, and so ends the wait for the hook.
        lab.agent.wait_answer()
        lab.release_hook()
        assert lab.agent.status() == "thawed"
        assert trace.calls("freeze") == []
        assert lab.blocked() == []
        assert lab.holds()
    return "the kernel saw no freeze; then 3 frozen, 3 thawed"


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
