# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults of the two processes: killed, crashed, stopped, stuck in the kernel, told to end, started anew."""

import contextlib
from signal import SIGCONT, SIGKILL, SIGSEGV, SIGSTOP, SIGTERM

from ports import Timeout

from .arena import CGROUPS, FREEZER_1
from .cell import Failed, describe
from .fault import ANY, BEFORE_FREEZING, FREEZING, Fault, only

CORE = "/mnt/ext4-a/core"  # on a disk that is frozen
CORE_FILE = f"{CORE}.%p"
CORE_PIPE = f"|/usr/bin/dd of={CORE}.%p"
# The heartbeat's end, after which the freezer thaws by itself; and when the agent takes a freezer for hung.
HUNG_AGENT_S, HUNG_FREEZER_S = 11, 8
# When the service manager takes an agent for hung.
WATCHDOG_S = 20
# Whatever lasts only for a moment before anything is frozen need not be noticed: the freeze may go on, and hold.
MAY_GO_ON = {**dict.fromkeys(BEFORE_FREEZING, ANY), "thawing": ANY}
# The thaw was asked for before: that all stayed frozen until then was known.
ASKED = {"thawing": ANY}


def kill(cell, who, signo=SIGKILL, atomically=False):
    pids = cell.pids(who)
    cell.kill(who, signo, atomically)
    cell.wait_gone(*pids)
    if who != "freezer":
        cell.agent.wait_ended()


def killed(who, **options):
    return Fault(f"{who}-sigkill", "process", lambda cell: kill(cell, who, SIGKILL, who == "both"), **options)


# ---- a crash whose core dump goes to a frozen disk

def crashed(who, pattern, **options):
    def prepare(cell):
        cell.scratch["pattern"] = cell.guest.sh("cat /proc/sys/kernel/core_pattern")
        cell.guest.run(f"echo '{pattern}' >/proc/sys/kernel/core_pattern")

    def inject(cell):
        pids = " ".join(map(str, cell.pids(who)))
        cell.guest.run(f"for pid in {pids}; do prlimit --pid=$pid --core=unlimited; done")
        kill(cell, who, SIGSEGV)

    def clean_up(cell):
        cell.guest.run(f"echo '{cell.scratch['pattern']}' >/proc/sys/kernel/core_pattern; rm -f {CORE}.*")
    return Fault(f"{who}-sigsegv", "process", inject, prepare, clean_up, **options)


# ---- stopped for a while

def stopped(who, **options):
    def inject(cell):
        cell.scratch["pids"] = cell.pids(who)
        cell.kill(who, SIGSTOP)

    def heal(cell):
        for pid in cell.scratch["pids"]:
            cell.guest.run(["kill", f"-{int(SIGCONT)}", pid], check=False)
    return Fault(f"{who}-sigstop", "process", inject, heal=heal, **options)


def stop_both_for_long(cell):
    """Longer than either's patience, which no condition tells but the clock."""
    cell.scratch["pids"] = cell.pids("both")
    cell.kill("both", SIGSTOP)
    cell.guest.run(["sleep", HUNG_AGENT_S])


def stop_agent_kill_freezer(cell):
    """Neither can thaw, and the agent does not die of it."""
    agent, freezer = cell.pids("agent")[0], cell.pids("freezer")[0]
    cell.mark(cell.guest.run(f"kill -STOP {agent}; kill -9 {freezer}"))
    cell.agent.wait_ended(WATCHDOG_S * 3)


def stop_agent_briefly(cell):
    """Long enough that the freezer would count as silent, not so long that the agent counts as hung."""
    cell.kill("agent", SIGSTOP)
    cell.guest.run(["sleep", "7.5"])
    cell.kill("agent", SIGCONT)


def continue_both(cell):
    cell.guest.run(["kill", f"-{int(SIGCONT)}", *cell.scratch["pids"]], check=False)


# ---- told to end

def told_to_end(who, **options):
    return Fault(f"{who}-sigterm", "process", lambda cell: cell.kill(who, SIGTERM), **options)


def restart_service(cell):
    """systemctl restart: SIGTERM to the agent; the rest is the supervisor's."""
    cell.kill("agent", SIGTERM)
    with contextlib.suppress(Timeout):
        cell.agent.wait_ended(20)


def restart_hung_service(cell):
    """systemctl restart of an agent that does not hear SIGTERM: TimeoutStopSec passes (here: two seconds), then all
    that is left gets SIGKILL."""
    both = cell.pids("both")
    cell.kill("agent", SIGSTOP)
    cell.guest.run(["kill", f"-{int(SIGTERM)}", both[1]])
    with contextlib.suppress(Timeout):
        cell.agent.wait_ended(2)
    cell.mark(cell.guest.run(["kill", f"-{int(SIGKILL)}", *both], check=False))
    cell.wait_gone(*both)
    cell.agent.wait_ended()


def stop_manager(cell):
    cell.guest.run(["kill", f"-{int(SIGSTOP)}", cell.agent.job.pid])


def continue_manager(cell):
    cell.guest.run(["kill", f"-{int(SIGCONT)}", cell.agent.job.pid])


# ---- in D state: the old freezer of cgroups puts each thread of a process there, and SIGKILL waits too

def put_into_d(who, signo=None):
    def inject(cell):
        pid = cell.pids(who)[0]
        cell.guest.run(f"mkdir -p {FREEZER_1}/d; echo {pid} >{FREEZER_1}/d/cgroup.procs")
        cell.mark(cell.guest.run(f"echo FROZEN >{FREEZER_1}/d/freezer.state"))
        cell.wait_thread_state(pid, "D")
        if signo:
            cell.guest.run(["kill", f"-{int(signo)}", pid])
    return inject


def let_out_of_d(cell):
    cell.guest.run(f"""[ -d {FREEZER_1}/d ] || exit 0
        echo THAWED >{FREEZER_1}/d/freezer.state
        for pid in $(cat {FREEZER_1}/d/cgroup.procs); do echo $pid >{FREEZER_1}/cgroup.procs; done 2>/dev/null
        :""")


def remove_d(cell):
    let_out_of_d(cell)
    cell.guest.wait_for(f"rmdir {FREEZER_1}/d 2>/dev/null || ! [ -d {FREEZER_1}/d ]")


def held_by_a_thread_in_d(cell):
    """Its ioctl has returned, but the thread that must say so is not let run: thawed when that is over."""
    return [cell.hold.path] if cell.hold.is_in_kernel and cell.stage != "flush" else []


def kill_cgroup(cell):
    """As systemd does: all of it at one moment."""
    both = cell.pids("both")
    cell.guest.run(f"mkdir -p {CGROUPS}/agent; for pid in {both[0]} {both[1]}; do "
                   f"echo $pid >{CGROUPS}/agent/cgroup.procs; done")
    cell.mark(cell.guest.run(f"echo 1 >{CGROUPS}/agent/cgroup.kill"))
    cell.wait_gone(*both)
    cell.agent.wait_ended()


def remove_cgroup(cell):
    cell.guest.wait_for(f"rmdir {CGROUPS}/agent 2>/dev/null || ! [ -d {CGROUPS}/agent ]")


def start_over_old_freezer(cell):
    """Both die, but a thread of the freezer cannot before the kernel lets it; the new agent must not freeze yet."""
    kill(cell, "both", SIGKILL, atomically=True)
    cell.agent.start_again(wait=True)
    reply = cell.host.raw_call("guest-fsfreeze-freeze", 60)
    if "error" not in reply:
        raise Failed(f"3: a freeze was begun while the old freezer still lives: {describe(reply)}")


FAULTS = [
    killed("agent", worst="freezing-middle"),
    killed("freezer", loses={"planning": ANY}),
    killed("both", promise_s=4, worst="freezing-last"),
    crashed("agent", CORE_FILE),
    crashed("freezer", CORE_FILE, worst="freezing-middle", loses={"planning": ANY}, promise_s=2),
    crashed("both", CORE_PIPE, promise_s=4),
    stopped("agent", promise_s=HUNG_AGENT_S, loses=MAY_GO_ON, worst="freezing-last"),
    stopped("freezer", promise_s=3, loses=MAY_GO_ON),
    Fault("agent-sigstop-briefly", "process", stop_agent_briefly, loses=False,
          senseless=only(("frozen",), "nothing is frozen, or the kernel has the word")),
    Fault("agent-sigstop-freezer-sigkill", "process", stop_agent_kill_freezer, promise_s=WATCHDOG_S + 4,
          worst="freezing-middle", senseless={"after": "an agent that rests is not watched"}),
    # Where the agent is heard first, it has only been late.
    Fault("both-sigstop", "process", stop_both_for_long, heal=continue_both, after_heal=True, promise_s=3,
          loses=ANY),
    told_to_end("agent", loses=ASKED, worst="freezing-first"),
    told_to_end("freezer", loses=False),
    told_to_end("both", loses=ASKED, worst="thawing"),
    Fault("agent-in-d", "process", put_into_d("agent"), heal=let_out_of_d, clean_up=remove_d, loses=MAY_GO_ON,
          promise_s=HUNG_AGENT_S),
    Fault("agent-in-d-sigkill", "process", put_into_d("agent", SIGKILL), heal=let_out_of_d, clean_up=remove_d,
          loses={"thawing": ANY}, promise_s=HUNG_AGENT_S, worst="freezing-middle"),
    # Where the first is held nothing is frozen yet, so nobody waits until it is noticed.
    Fault("freezer-in-d", "process", put_into_d("freezer"), heal=let_out_of_d, clean_up=remove_d,
          loses={**MAY_GO_ON, "freezing-first": ANY}, promise_s=HUNG_FREEZER_S, except_for=held_by_a_thread_in_d),
    Fault("freezer-in-d-sigkill", "process", put_into_d("freezer", SIGKILL), heal=let_out_of_d, clean_up=remove_d,
          loses={"planning": ANY, "thawing": ANY}, promise_s=HUNG_FREEZER_S, except_for=held_by_a_thread_in_d,
          worst="freezing-last"),
    Fault("cgroup-kill", "process", kill_cgroup, clean_up=remove_cgroup, promise_s=4),
    Fault("service-restart", "process", restart_service, loses=ASKED, promise_s=2, worst="freezing-middle"),
    Fault("service-restart-hung", "process", restart_hung_service, promise_s=4),
    Fault("manager-stopped", "process", stop_manager, heal=continue_manager, loses=False, worst="planning"),
    Fault("start-over-old-freezer", "process", start_over_old_freezer, promise_s=4, worst="freezing-middle",
          senseless=only(("flush", *FREEZING, "thawing"),
                         "no thread of the freezer is in the kernel then, so it dies at once")),
]
