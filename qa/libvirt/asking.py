# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases: qemu-agent-command, an agent that does not answer, and what ends or suspends the guest."""

import json
import signal
import time

from case import case
from guest import BOOT_TIMEOUT
from lab import PATHS, last_line
from ports import Timeout

PING = '{"execute":"guest-ping"}'


def request(command, **arguments):
    return json.dumps({"execute": command, "arguments": arguments})


@case("qemu-agent-command", "any command of the agent, with its effect and its answer")
def qemu_agent_command_runs_any_command(lab):
    assert json.loads(lab.virsh("qemu-agent-command", PING)) == {"return": {}}
    started = json.loads(lab.virsh("qemu-agent-command", request("guest-exec", path="touch", arg=["/run/was-here"])))
    lab.guest.wait_for(["test", "-e", "/run/was-here"])
    lab.guest.run(["rm", "/run/was-here"])
    assert started["return"]["pid"] > 0
    plan = json.loads(lab.virsh("qemu-agent-command", "--pretty", request("snapfreeze-plan")))["return"]
    assert len(plan["filesystems"]) == 3
    return "guest-ping, guest-exec, snapfreeze-plan"


@case("qemu-agent-command (bad)", "an unknown command and bad arguments are errors, and the next command works")
def qemu_agent_command_shows_the_agents_errors(lab):
    unknown = lab.refused("qemu-agent-command", request("guest-no-such-command"))
    assert "The command guest-no-such-command has not been found" in unknown
    assert "Parameter 'x' is unexpected" in lab.refused("qemu-agent-command", request("guest-ping", x=1))
    assert "Parameter 'path' is missing" in lab.refused("qemu-agent-command", request("guest-exec"))
    assert "Invalid parameter type for 'time'" in lab.refused("qemu-agent-command", request("guest-set-time", time="1"))
    assert "cannot parse json" in lab.refused("qemu-agent-command", '{"execute":')
    lab.virsh("qemu-agent-command", PING)
    return last_line(unknown).rpartition(": ")[2]


@case("qemu-agent-command --timeout", "an agent that hangs costs the client its limit; once it goes on, libvirt works")
def a_hanging_agent_costs_the_limit_and_no_more(lab):
    lab.agent.signal(signal.SIGSTOP)
    try:
        begin = time.monotonic()
        error = lab.refused("qemu-agent-command", "--timeout", 2, PING)
        seconds = time.monotonic() - begin
        assert "not responding" in error or "not available" in error, error
        assert 1.5 < seconds < 60
        # libvirt lets nobody wait for an agent that it knows to hang.
        lab.refused("domfsfreeze")
        assert lab.blocked() == []
    finally:
        lab.agent.signal(signal.SIGCONT)
    lab.agent.wait_answer()
    # What libvirt asked meanwhile has been answered, and is taken for nothing else.
    assert lab.virsh("domhostname", "--source", "agent") == "guest"
    assert lab.holds()
    return f"after {seconds:.1f} s: {last_line(error)}"


@case("dompmsuspend mem, dompmwakeup", "the guest sleeps until it is woken, and then freezes as before")
def dompmsuspend_sleeps_until_woken(lab):
    stat = "cat /sys/power/suspend_stats/success"
    before = int(lab.guest.sh(stat))
    lab.virsh("dompmsuspend", "mem")
    lab.guest.wait_state("pmsuspended")
    try:
        lab.guest.run("true", timeout=1)
        raise AssertionError("a guest that sleeps does not answer")
    except Timeout:
        pass
    lab.virsh("dompmwakeup")
    lab.guest.wait_state("running")
    assert int(lab.guest.sh(stat)) == before + 1
    lab.agent.wait_answer()
    assert lab.holds()
    return "pmsuspended, woken; 3 frozen, 3 thawed"


@case("save, restore (while frozen)", "what was frozen is so after restore, until domfsthaw or the lease's end")
def a_saved_guest_is_restored_frozen_and_its_lease_goes_on(lab):
    path = lab.folder / "saved"
    assert lab.freeze() == 3
    lab.guest.save_and_restore(path)
    assert lab.blocked(timeout=1) == PATHS
    lab.agent.wait_answer()
    assert lab.thaw() == 3
    assert lab.blocked() == []
    with lab.configured("[freeze]\ntimeout=8\n"):
        assert lab.freeze() == 3
        lab.guest.save_and_restore(path)
        lab.guest.wait_for(lambda: lab.blocked(timeout=1) == [])
        lab.agent.wait_answer()
        assert "expired after 8 s: the snapshot may be inconsistent" in lab.refused("domfsthaw")
    return "3 blocked after restore, 3 thawed; the second time thawed by the lease"


@case("reboot --mode agent", "the guest's own way of rebooting; libvirt works with the agent of the next boot")
def reboot_by_the_agent_boots_anew(lab):
    boot = lab.guest.sh("cat /proc/sys/kernel/random/boot_id")
    lab.guest.port.forget()
    lab.virsh("reboot", "--mode", "agent")
    lab.guest.port.wait_ready(BOOT_TIMEOUT)
    assert lab.guest.console().count("-r +0 hypervisor initiated shutdown") == 1
    assert lab.guest.sh("cat /proc/sys/kernel/random/boot_id") != boot
    lab.prepare()
    assert lab.holds()
    return "another boot id; 3 frozen, 3 thawed"


@case("shutdown --mode agent", "the guest's own way of powering off; what was written is there at the next start")
def shutdown_by_the_agent_powers_off(lab):
    lab.guest.run("echo written >/data/ext4/before-shutdown")
    lab.virsh("shutdown", "--mode", "agent")
    lab.guest.wait_state("shut off")
    assert lab.guest.console().count("-P +0 hypervisor initiated shutdown") == 1
    lab.guest.power_on()
    lab.prepare()
    assert lab.guest.sh("cat /data/ext4/before-shutdown") == "written"
    assert lab.holds()
    return "shut off; started again: 3 frozen, 3 thawed"
