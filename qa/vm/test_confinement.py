# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the agent, its freezer and its children keep of root's rights, as the kernel's /proc tells it, and that what
they keep is needed."""


import pytest

from holding import FREEZE, ask
from ports import AgentError

# linux/capability.h
CAPABILITIES = {"dac_override": 1, "dac_read_search": 2, "fsetid": 4, "kill": 5, "setgid": 6, "setuid": 7,
                "setpcap": 8, "ipc_lock": 14, "sys_ptrace": 19, "sys_admin": 21, "sys_resource": 24, "sys_time": 25}
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
ALWAYS = {"dac_read_search", "sys_admin", "sys_ptrace"}
STANDARD = ALWAYS | {"sys_time"}
FULL = STANDARD | {"dac_override", "fsetid", "kill", "setgid", "setuid"}
FREEZER_STARTS_WITH = {"setpcap", "ipc_lock", "sys_resource"}
NO_HOOKS = "[hooks]\nenabled=false\n"
HOOKS = "/run/qa-hooks"
USER = 1000


def bits(names):
    return sum(1 << CAPABILITIES[name] for name in names)


def rights(guest, pid, least_threads=1):
    """The rights of a process, of whose threads none may differ."""
    threads = [dict(line.split(":\t", 1) for line in thread.splitlines() if ":\t" in line)
               for thread in guest.sh(f"for t in /proc/{pid}/task/*; do cat $t/status; echo; done").split("\n\n")]
    found = [{**{name: int(thread[name], 16) for name in SETS},
              "no_new_privs": int(thread["NoNewPrivs"]), "seccomp": int(thread["Seccomp"])} for thread in threads]
    assert len(found) >= least_threads and all(each == found[0] for each in found), found
    return found[0]


def has_only(found, names, in_reserve=()):
    """In effect are these, permitted no more but what is in reserve; a program inherits none."""
    return (found["CapEff"] == bits(names) and found["CapPrm"] == bits({*names, *in_reserve})
            and found["CapInh"] == found["CapAmb"] == 0)


@pytest.fixture
def everything(guest):
    """All capabilities that root has in the guest."""
    return rights(guest, 1)["CapBnd"]


@pytest.fixture
def user(guest):
    """Somebody with a home."""
    guest.run(f"mkdir -p /run/home; chown {USER}:{USER} /run/home; cp /etc/passwd /run/passwd.kept; "
              f"echo qa:x:{USER}:{USER}::/run/home:/bin/sh >>/etc/passwd")
    yield "qa"
    guest.run("cat /run/passwd.kept >/etc/passwd; rm -rf /run/home /run/passwd.kept")


# ---- the freezer

def test_each_thread_of_the_freezer_has_one_capability_and_its_own_system_calls(guest, agent):
    at_rest = rights(guest, agent.freezer_pid)
    count = agent.freeze()
    frozen = rights(guest, agent.freezer_pid, least_threads=count + 1)
    assert agent.thaw() == count
    assert frozen == at_rest and has_only(frozen, {"sys_admin"})
    assert (frozen["CapBnd"], frozen["no_new_privs"], frozen["seccomp"]) == (0, 1, 2)
    assert "filter" not in agent.job.stderr


@pytest.mark.agent("--rehearse")
def test_in_a_rehearsal_it_has_none(guest, agent):
    agent.freeze()
    found = rights(guest, agent.freezer_pid, least_threads=2)
    assert has_only(found, set()) and (found["CapBnd"], found["no_new_privs"], found["seccomp"]) == (0, 1, 2)


def test_none_of_its_calls_is_refused(guest, scratch, agent):
    # With a flush, a freeze that fails and is rolled back, one that is extended, and the ends of all threads.
    scratch.filesystem("/mnt/scratch")
    job = guest.spawn(["strace", "-f", "-o", "/run/qa-calls", "-p", str(agent.freezer_pid)])
    try:
        guest.wait_for(f"grep -q 'TracerPid:.[1-9]' /proc/{agent.freezer_pid}/status", what="strace")
        guest.run("qa-freeze freeze /mnt/scratch")
        with pytest.raises(AgentError):
            agent.freeze()
        guest.run("qa-freeze thaw /mnt/scratch")
        identity = agent.call("snapfreeze-freeze")["id"]
        ask(agent, "snapfreeze-extend", id=identity, timeout=60)
        assert agent.call("snapfreeze-thaw")["consistent"] is True
    finally:
        job.kill(2)
        job.wait()
    calls = guest.sh("cat /run/qa-calls; rm /run/qa-calls")
    assert "FIFREEZE" in calls and "FITHAW" in calls and "syncfs" in calls and "clone(" in calls
    assert [line for line in calls.splitlines() if "EPERM" in line] == []


# ---- the agent

PROFILES = [("snapshot", ALWAYS), ("standard", STANDARD), ("full", FULL)]


@pytest.mark.parametrize("profile, expected", PROFILES)
def test_the_agent_has_what_its_profile_needs(guest, make_agent, everything, profile, expected):
    agent = make_agent(guest).start(config=f"[commands]\nprofile={profile}\n")
    found = rights(guest, agent.pid, least_threads=2)
    assert has_only(found, expected | {"kill"}), found
    # Hooks may come at any time, and have all that root has.
    assert (found["CapBnd"], found["no_new_privs"]) == (everything, 0)


@pytest.mark.parametrize("profile, expected", PROFILES)
def test_without_hooks_it_needs_no_more_than_its_commands(guest, make_agent, everything, profile, expected):
    agent = make_agent(guest).start(config=f"[commands]\nprofile={profile}\n{NO_HOOKS}")
    found = rights(guest, agent.pid)
    if profile == "snapshot":
        assert has_only(found, expected, FREEZER_STARTS_WITH), found
        assert (found["CapBnd"], found["no_new_privs"]) == (bits(expected | FREEZER_STARTS_WITH), 1)
    else:
        assert has_only(found, expected), found
        assert (found["CapBnd"], found["no_new_privs"]) == (everything, 0)


@pytest.mark.agent(config=f"[commands]\nprofile=snapshot\n{NO_HOOKS}")
def test_what_an_agent_without_programs_keeps_is_enough_for_the_next_freezer(guest, agent):
    count = agent.freeze()
    before = rights(guest, agent.freezer_pid)
    guest.run(["kill", "-9", str(agent.freezer_pid)])
    with pytest.raises(AgentError):
        agent.thaw()
    assert agent.freeze() == count
    assert rights(guest, agent.freezer_pid, least_threads=count + 1) == before
    assert agent.call("snapfreeze-thaw")["consistent"] is True


# ---- its children

def children(guest, parent):
    """The children of @parent that are not its freezer."""
    return guest.sh(f"for p in $(grep -ls '^PPid:.{parent}$' /proc/[0-9]*/status | cut -d/ -f3); do "
                    "grep -q snapfreeze-free /proc/$p/comm || echo $p; done").split()


def test_the_children_that_open_and_read_tables_have_what_that_takes(guest, agent):
    hold = guest.spawn(["qa-hold", "open", "/mnt/ext4-a"]).wait_output("ready")
    try:
        agent.port.open()
        agent.port.send(FREEZE)
        hold.wait_output("held")
        found = children(guest, agent.pid)
        assert len(found) == 2 and hold.stdout.split()[-1] in found
        for child in found:
            assert has_only(rights(guest, child), {"dac_read_search", "sys_ptrace"})
    finally:
        hold.close_input()
        hold.wait()
    assert "return" in agent.port.read_reply(120)


# ---- what it runs

@pytest.mark.parametrize("no_new_privs", [0, 1])
def test_a_hook_has_all_that_root_has_and_nothing_of_the_agents(guest, make_agent, everything, no_new_privs):
    guest.run(f"rm -rf {HOOKS}; mkdir -m 0755 {HOOKS}")
    guest.push(b"#!/bin/sh\n[ $1 = freeze ] || exit 0\ncat /proc/self/status >/run/qa-hook.rights\n"
               b"touch /run/qa-hook.file\nchown 1000 /run/qa-hook.file\n"
               b"/usr/sbin/setpriv --reuid 1000 --regid 1000 --clear-groups id -u >/run/qa-hook.user\n", f"{HOOKS}/10-look")
    agent = make_agent(guest)
    if no_new_privs:  # as a service manager may set it
        guest.push(f'#!/bin/sh\nexec /usr/sbin/setpriv --no-new-privs {agent.path} "$@"\n'.encode(), "/run/qa-hook.start")
        agent.path = "/run/qa-hook.start"
    agent.start(config=f"[hooks]\ndirectory={HOOKS}\n")
    try:
        agent.freeze()
        agent.thaw()
        status = dict(line.split(":\t", 1) for line in guest.sh("cat /run/qa-hook.rights").splitlines() if ":\t" in line)
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == everything
        assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
        assert (status["NoNewPrivs"], status["Seccomp"]) == (str(no_new_privs), "0")
        assert guest.sh("cat /run/qa-hook.user; stat -c %u /run/qa-hook.file") == f"{USER}\n{USER}"
    finally:
        guest.run(f"rm -rf {HOOKS} /run/qa-hook.*")


# ---- each is needed

def set_time(guest, agent):
    agent.call("guest-set-time", time=int(guest.sh("date +%s")) * 10**9)


def write_to_a_users_file(guest, agent):
    guest.run(f"rm -f /run/home/own; touch /run/home/own; chown {USER}:{USER} /run/home/own; chmod 0400 /run/home/own")
    agent.call("guest-file-open", path="/run/home/own", mode="w")


def keep_a_set_uid_bit(guest, agent):
    guest.run("rm -f /run/home/bits; touch /run/home/bits; chmod 04755 /run/home/bits")
    agent.call("guest-file-open", path="/run/home/bits", mode="w")
    assert guest.sh("stat -c %a /run/home/bits") == "4755"


def add_a_key(guest, agent):
    agent.call("guest-ssh-add-authorized-keys", username="qa", keys=["ssh-ed25519 AAAA key"])


def freeze_below_a_users_folder(guest, agent):
    agent.call("guest-fsfreeze-freeze-list", mountpoints=["/run/home/closed/disk"])
    agent.thaw()


def read_the_mount_tables_of_others(guest, agent):
    assert not any("cannot be read" in warning for warning in agent.call("snapfreeze-plan")["warnings"])


NEEDED = [
    ("snapshot", "sys_admin", freeze_below_a_users_folder),
    ("snapshot", "dac_read_search", freeze_below_a_users_folder),
    ("snapshot", "sys_ptrace", read_the_mount_tables_of_others),
    ("standard", "sys_time", set_time),
    ("full", "dac_override", write_to_a_users_file),
    ("full", "fsetid", keep_a_set_uid_bit),
    ("full", "setgid", add_a_key),
    ("full", "setuid", add_a_key),
]


@pytest.mark.parametrize("profile, capability, use", NEEDED, ids=[capability for _, capability, _ in NEEDED])
def test_what_it_keeps_is_needed(guest, user, scratch, make_agent, profile, capability, use):
    guest.run(f"mkdir -p /run/home/closed; chown {USER}:{USER} /run/home/closed; chmod 0700 /run/home/closed")
    scratch.filesystem("/run/home/closed/disk")
    agent = make_agent(guest)
    wrapped = f'exec /usr/sbin/unshare -m --propagation slave /usr/sbin/setpriv --bounding-set "$WITHOUT" {agent.path} "$@"'
    guest.push(f"#!/bin/sh\n{wrapped}\n".encode(), "/run/qa-without")
    agent.path = "/run/qa-without"
    config = f"[commands]\nprofile={profile}\n"
    try:
        agent.start(config=config, env={"WITHOUT": "-sys_module"})
        use(guest, agent)
        agent.stop()
        agent.start(config=config, env={"WITHOUT": f"-{capability}"})
        with pytest.raises((AgentError, AssertionError)):
            use(guest, agent)
    finally:
        guest.run("rm /run/qa-without")


def test_the_freezers_state_is_seen_where_proc_hides_processes(guest, agent):
    # What the rescue goes by. While it holds something it cannot be dumped, so /proc hides it even from its own user,
    # from all but a group.
    guest.run("mount -o remount,hidepid=invisible,gid=6 /proc")
    try:
        agent.freeze()
        look = f"/usr/sbin/setpriv --bounding-set %s cat /proc/{agent.freezer_pid}/stat"
        assert guest.run(look % ",".join(["-all", *(f"+{name}" for name in ALWAYS)]), check=False).returncode == 0
        assert guest.run(look % "-all,+sys_admin,+dac_read_search", check=False).returncode != 0
        assert agent.call("snapfreeze-thaw")["consistent"] is True
    finally:
        guest.run("mount -o remount,hidepid=off,gid=0 /proc")


def test_a_late_hook_is_ended_whoever_it_runs_as(guest, make_agent):
    guest.run(f"rm -rf {HOOKS}; mkdir -m 0755 {HOOKS}")
    guest.push(b"#!/bin/sh\nexec /usr/sbin/setpriv --reuid 1000 --regid 1000 --clear-groups sleep 4321\n", f"{HOOKS}/10-late")
    agent = make_agent(guest).start(config=f"[commands]\nprofile=snapshot\n[hooks]\ndirectory={HOOKS}\ntimeout=1\n")
    try:
        with pytest.raises(AgentError):
            agent.freeze()
        guest.wait_for("! pgrep -f 'sleep 4321'", what="the hook's end")
    finally:
        guest.run(f"rm -rf {HOOKS}")
