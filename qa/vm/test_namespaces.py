# SPDX-License-Identifier: LGPL-2.1-or-later
"""Filesystems that are mounted only in another mount namespace, as a container's, are frozen like the others."""

import signal

import pytest

import disks
from holding import ask, is_gone, kill_both
from ports import AgentError
from spaces import spaces

PLANNED = list(disks.PLANNED)
# Where a namespace mounts its filesystem: below a tmpfs of its own, which nobody else has.
TOP = "/mnt/space"
DATA = f"{TOP}/in/data"


@pytest.fixture
def make_space(guest):
    with spaces(guest) as make:
        yield make


@pytest.fixture
def folder(scratch):
    return scratch.folder(TOP)


@pytest.fixture
def make_data(scratch, folder, make_space):
    """A namespace that alone has a fresh filesystem, at DATA; .device is the filesystem's."""
    def make(fstype="ext4", **options):
        device = scratch.device(fstype)
        space = make_space(mount_data(fstype, device), **options)
        space.device = device
        return space
    return make


def mount_data(fstype, device):
    return f"mount -t tmpfs space {TOP} && mkdir -p {DATA} && mount -t {fstype} {device} {DATA}"


def planned(agent, **arguments):
    return agent.call("snapfreeze-plan", **arguments)["filesystems"]


def elsewhere(agent):
    return [entry for entry in planned(agent) if "namespace" in entry]


def number(guest, device):
    """major:minor of a block device."""
    return guest.sh(f"cat /sys/class/block/{device.rpartition('/')[2]}/dev")


def thaw_is_consistent(agent, count):
    answer = ask(agent, "snapfreeze-thaw")
    assert answer["consistent"] is True and answer["thawed"] == count, answer


# ---- found, frozen, thawed

@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_what_only_another_namespace_has_is_planned_frozen_and_thawed(guest, make_data, agent, fstype):
    space = make_data(fstype)
    entry, = elsewhere(agent)
    inode = int(guest.sh(f"readlink /proc/{space.pid}/ns/mnt").strip("mnt:[]"))
    assert entry["namespace"] == {"inode": inode, "pid": space.pid, "command": "cat"}
    assert (entry["mountpoint"], entry["fstype"], entry["device"]) == (DATA, fstype, space.device)

    answer = ask(agent, "snapfreeze-freeze")
    assert answer["frozen"] == len(PLANNED) + 1 and answer["reasons"] == []
    assert space.is_blocked(DATA)
    assert guest.blocked(PLANNED, timeout=2) == PLANNED
    thaw_is_consistent(agent, len(PLANNED) + 1)
    assert not space.is_blocked(DATA, timeout=30)


def test_the_client_shows_whose_it_is(guest, make_data, agent):
    space = make_data()
    guest.push(b"[channel:local]\nmethod = unix-listen\npath = /run/qa-local.sock\n", "/run/local.conf")
    agent.stop()
    agent.start(config="[channel:local]\nmethod = unix-listen\npath = /run/qa-local.sock\n")
    text = guest.sh(f"{agent.client} --socket /run/qa-local.sock plan")
    line, = [line for line in text.splitlines() if space.place(DATA) in line]
    assert "only in the mount namespace of cat" in line


def test_a_namespace_within_a_namespace(guest, make_space, make_data, agent):
    outer = make_data()
    inner = make_data(inside=make_space())
    assert {entry["namespace"]["pid"] for entry in elsewhere(agent)} == {outer.pid, inner.pid}
    assert agent.freeze() == len(PLANNED) + 2
    assert outer.is_blocked(DATA) and inner.is_blocked(DATA)
    thaw_is_consistent(agent, len(PLANNED) + 2)


def test_what_several_namespaces_have_is_frozen_once(guest, make_space, make_data, trace, agent):
    space = make_data()
    make_space(inside=space)  # a copy of its table
    space.another_process()
    assert len(elsewhere(agent)) == 1
    assert agent.freeze() == len(PLANNED) + 1
    assert agent.thaw() == len(PLANNED) + 1
    devices = [call.device for call in trace.calls("freeze")]
    assert len(devices) == len(set(devices)) == len(PLANNED) + 1


def test_what_the_own_namespace_has_too_is_opened_there(guest, make_space, agent):
    make_space("mount --bind /mnt/ext4-a /mnt/tmpfs; umount /mnt/ext4-a")
    assert elsewhere(agent) == []
    assert agent.freeze() == len(PLANNED)
    thaw_is_consistent(agent, len(PLANNED))


def test_a_container_of_a_user_namespace(guest, make_space, make_data, agent):
    first = make_data()
    space = make_space(inside=first, user=True)
    first.end()
    entry, = elsewhere(agent)
    assert entry["namespace"]["pid"] == space.pid
    assert agent.freeze() == len(PLANNED) + 1
    assert guest.blocked([space.place(DATA)], timeout=2) == [space.place(DATA)]
    thaw_is_consistent(agent, len(PLANNED) + 1)


def test_without_the_capability_to_look_a_freeze_is_not_consistent(guest, make_agent):
    agent = make_agent(guest)
    guest.push(f"#!/bin/sh\nexec /usr/sbin/setpriv --bounding-set -sys_ptrace {agent.path} \"$@\"\n".encode(), "/run/qa-confined")
    agent.path = "/run/qa-confined"
    agent.start()
    assert any("cannot be read" in text for text in agent.call("snapfreeze-plan")["warnings"])
    answer = ask(agent, "snapfreeze-freeze")
    assert answer["reasons"] == ["mount tables of other processes could not be read"]
    assert ask(agent, "snapfreeze-thaw")["consistent"] is False
    agent.stop()
    agent.start(config="[freeze]\nnamespaces=own\n")
    assert agent.freeze() == len(PLANNED)
    thaw_is_consistent(agent, len(PLANNED))


def test_a_process_in_a_jail_hides_nothing(guest, make_data, agent):
    space = make_data()
    # The lowest pid in the namespace is the jailed one's: it sees neither DATA nor "/".
    jail = guest.spawn([*space.enter, "sh", "-c", "mkdir -p /run/jail/qa /run/jail/dev && mount --bind /qa /run/jail/qa && "
                        "exec chroot /run/jail /qa/command-server /dev/null"])
    other = space.another_process()
    space.end()
    assert [entry["mountpoint"] for entry in elsewhere(agent)] == [DATA]
    other.kill()
    jail.kill()


# ---- who names it

def test_a_request_names_it_by_its_path_there(guest, make_data, agent):
    space = make_data()
    for name in (DATA, space.place(DATA)):
        assert agent.call("guest-fsfreeze-freeze-list", mountpoints=[name]) == 1
        assert space.is_blocked(DATA)
        assert guest.blocked(PLANNED, timeout=2) == []
        assert agent.thaw() == 1
    again = make_data()
    with pytest.raises(AgentError) as error:
        agent.call("guest-fsfreeze-freeze-list", mountpoints=[DATA])
    assert space.place(DATA) in error.value.desc and again.place(DATA) in error.value.desc
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=[again.place(DATA)]) == 1
    assert again.is_blocked(DATA) and not space.is_blocked(DATA, timeout=30)
    assert agent.thaw() == 1


@pytest.mark.agent(config=f"[freeze]\nexclude={DATA}\n")
def test_exclude_leaves_it_out_by_its_path_there(guest, make_data, agent):
    make_data()
    left, = [entry for entry in agent.call("snapfreeze-plan")["left-out"] if entry["mountpoint"] == DATA]
    assert left["reason"] == "excluded" and "namespace" in left
    assert agent.freeze() == len(PLANNED)
    thaw_is_consistent(agent, len(PLANNED))


@pytest.mark.agent(config="[freeze]\nnamespaces=own\n")
def test_own_leaves_it_out_and_the_freeze_is_not_consistent(guest, make_data, agent):
    space = make_data()
    left, = [entry for entry in agent.call("snapfreeze-plan")["left-out"] if entry["mountpoint"] == DATA]
    assert left["reason"] == "other-namespace"
    answer = ask(agent, "snapfreeze-freeze")
    assert answer["frozen"] == len(PLANNED)
    assert answer["reasons"] == [f"'{space.place(DATA)}' (ext4) is writable and was not frozen"]
    assert not space.is_blocked(DATA, timeout=30)
    assert ask(agent, "snapfreeze-thaw")["consistent"] is False


# ---- order

def test_a_loop_file_within_a_namespace_is_frozen_before_what_holds_it(guest, scratch, folder, make_space, trace, agent):
    outer = scratch.device("ext4", 64)
    inner = scratch.file("/run/inner.img")
    space = make_space(f"{mount_data('ext4', outer)} && cp {inner} {DATA}/inner.img && mkdir {DATA}/on && "
                       f"mount -o loop {DATA}/inner.img {DATA}/on")
    by_path = {entry["mountpoint"]: entry for entry in elsewhere(agent)}
    assert by_path[DATA]["after"] == [space.place(f"{DATA}/on")]
    space.run(f"echo dirty >{DATA}/on/dirty; echo dirty >{DATA}/dirty")
    assert agent.freeze() == len(PLANNED) + 2
    calls = {call.device: call for call in trace.calls("freeze")}
    on, below = (calls[by_path[path]["major-minor"]] for path in (f"{DATA}/on", DATA))
    assert on.end <= below.begin
    thaw_is_consistent(agent, len(PLANNED) + 2)


def test_an_own_mount_on_a_file_of_another_namespace_is_frozen_first(guest, scratch, make_data, trace, agent):
    space = make_data()
    space.run(f"truncate -s 8M {DATA}/img && /usr/sbin/mke2fs -q -F -t ext4 {DATA}/img")
    device = space.run(["losetup", "-f", "--show", f"{DATA}/img"]).stdout.strip()
    scratch.undo.append(f"losetup -d {device}")
    scratch.mount("/mnt/extra", "-t", "ext4", device)
    guest.run("echo dirty >/mnt/extra/dirty")
    assert agent.freeze() == len(PLANNED) + 2
    calls = {call.device: call for call in trace.calls("freeze")}
    assert calls[number(guest, device)].end <= calls[number(guest, space.device)].begin
    thaw_is_consistent(agent, len(PLANNED) + 2)
    guest.run("umount /mnt/extra && losetup -d " + device)


# ---- what changes between plan and open

def hold_opening(guest, space, path):
    """The next open() of @path in @space waits until this job's input ends."""
    job = guest.spawn(["qa-hold", "open", space.place(path)])
    job.wait_output("ready")
    return job


def freeze_while_held(agent, hold, change):
    """Asks for a freeze, makes @change while the opener waits at @hold: the answer, or the error's text."""
    agent.port.open()
    agent.port.send({"execute": "snapfreeze-freeze"})
    hold.wait_output("held")
    change()
    hold.close_input()
    hold.wait()
    reply = agent.port.read_reply(120)
    return reply["return"]["frozen"] if "return" in reply else reply["error"]["desc"]


@pytest.fixture
def victim_and_hold(guest, make_data):
    """Two namespaces; the second one's filesystem is opened first, and that waits."""
    victim, first = make_data(), make_data()
    return victim, hold_opening(guest, first, DATA)


SWAPS = {
    # What the planned path leads to while the opener comes along.
    "a-link-out": f"umount {DATA} && rmdir {DATA} && ln -s /mnt/ext4-a {DATA}",
    "a-link-above": f"umount {DATA} && rm -r {TOP}/in && mkdir -p /run/b && ln -s /mnt/ext4-a /run/b/data && ln -s /run/b {TOP}/in",
    # The kernel does not tell that a table has changed.
    "a-renamed-folder": f"mv {TOP}/in {TOP}/on && mkdir -p {DATA} && mount --bind /mnt/ext4-a {DATA}",
    "a-link-in-its-place": f"mv {TOP}/in {TOP}/on && mkdir -p /run/b/data && ln -s /run/b {TOP}/in",
    "another-mount": f"umount {DATA} && mount --bind /mnt/read-only {DATA}",
    "another-cover": f"mount -t tmpfs cover {DATA}",
    "moved": f"mkdir -p /run/moved && mount --move {DATA} /run/moved",
}


@pytest.mark.parametrize("swap", SWAPS)
def test_a_swapped_mount_point_leads_nowhere(guest, scratch, victim_and_hold, trace, agent, swap):
    victim, hold = victim_and_hold
    known = {number(guest, victim.device)} | {entry["major-minor"] for entry in planned(agent)}
    scratch.undo.append("rm -rf /run/b /run/moved")
    answer = freeze_while_held(agent, hold, lambda: victim.run(SWAPS[swap]))
    frozen = {call.device for call in trace.calls("freeze")}
    assert frozen <= known, "nothing but what the plan names"
    if swap == "another-cover":
        assert "has no mount point that leads to it" in answer and victim.place(DATA) in answer
    elif swap == "a-link-in-its-place":
        assert f"open '{victim.place(DATA)}'" in answer or f"'{victim.place(DATA)}' is neither" in answer
    elif swap in ("moved", "a-renamed-folder"):
        assert answer == len(PLANNED) + 2, "it is found where it is now"
        assert victim.is_blocked("/run/moved" if swap == "moved" else f"{TOP}/on/data")
    else:
        assert answer == len(PLANNED) + 1, "it is mounted nowhere any more"
        assert number(guest, victim.device) not in frozen
    if isinstance(answer, int):
        thaw_is_consistent(agent, answer)


def test_a_process_that_ends_before_the_open_takes_its_namespace_along(guest, victim_and_hold, agent):
    victim, hold = victim_and_hold
    assert freeze_while_held(agent, hold, victim.end) == len(PLANNED) + 1
    thaw_is_consistent(agent, len(PLANNED) + 1)


def test_another_process_leads_to_it_where_the_first_has_ended(guest, victim_and_hold, agent):
    victim, hold = victim_and_hold
    other = victim.another_process()
    assert freeze_while_held(agent, hold, victim.end) == len(PLANNED) + 2
    entries = ask(agent, "snapfreeze-status")["filesystems"]
    assert other.pid in [entry["namespace"]["pid"] for entry in entries if "namespace" in entry]
    thaw_is_consistent(agent, len(PLANNED) + 2)
    other.kill()


def test_a_pid_that_came_again_is_not_taken_for_the_process(guest, scratch, make_space, victim_and_hold, agent):
    victim, hold = victim_and_hold
    device = scratch.device()

    def come_again():
        victim.end()
        guest.wait_for(lambda: is_gone(guest, victim.pid))
        script = (f"echo {victim.pid - 1} >/proc/sys/kernel/ns_last_pid; "
                  f"unshare -m --propagation private sh -c '{mount_data('ext4', device)} && echo ready $$ && "
                  "exec tail -f /dev/null' & wait")
        job = guest.spawn(["sh", "-c", script])
        job.wait_output("ready")
        return job

    jobs = []
    answer = freeze_while_held(agent, hold, lambda: jobs.append(come_again()))
    pid = int(jobs[0].stdout.split()[1])
    assert pid == victim.pid, "the case must have its pid"
    assert answer == len(PLANNED) + 2, "planned anew, with what the new one has"
    entries = ask(agent, "snapfreeze-status")["filesystems"]
    assert device in [entry["device"] for entry in entries] and victim.device not in [entry["device"] for entry in entries]
    thaw_is_consistent(agent, len(PLANNED) + 2)
    guest.run(["kill", "-9", str(pid)])
    jobs[0].wait()


def test_a_container_that_never_stands_still_leads_nowhere(guest, scratch, make_data, trace, agent):
    space = make_data()
    churn = guest.spawn([*space.enter, "sh", "-c",
                         f"mkdir {TOP}/aside; while [ ! -e /run/stop ]; do mount --move {DATA} {TOP}/aside; rmdir {DATA}; "
                         f"ln -s /mnt/read-only {DATA}; rm {DATA}; mkdir {DATA}; mount --move {TOP}/aside {DATA}; done"])
    known = {number(guest, space.device)} | {mount["device"] for mount in guest.mounts()
                                             if mount["mountpoint"] in PLANNED}
    answers = []
    try:
        for _ in range(6):
            try:
                answers.append(agent.freeze())
                agent.call("snapfreeze-thaw")
            except AgentError as error:
                answers.append(error.desc)
    finally:
        guest.run("touch /run/stop")
        churn.wait()
        guest.run("rm -f /run/stop")
    assert {call.device for call in trace.calls("freeze")} <= known, answers
    for answer in answers:
        assert answer == len(PLANNED) + 1 or "changed 3 times" in answer or DATA in answer or f"{TOP}/aside" in answer, answers
    space.end()


# ---- while frozen

@pytest.mark.parametrize("fstype", ["ext4", "btrfs"])
def test_what_is_mounted_in_a_namespace_while_frozen_is_told(guest, scratch, folder, make_space, agent, fstype):
    device = scratch.device(fstype)
    old = make_space()
    assert agent.freeze() == len(PLANNED)
    new = make_space(mount_data(fstype, device))
    answer = ask(agent, "snapfreeze-thaw")
    assert answer["reasons"] == [f"'{new.place(DATA)}' ({fstype}) is writable and was not frozen"]
    new.end()
    # The same in a namespace that was there before.
    guest.wait_for(lambda: agent.freeze() == len(PLANNED))
    old.run(mount_data(fstype, device))
    answer = ask(agent, "snapfreeze-thaw")
    assert answer["reasons"] == [f"'{old.place(DATA)}' ({fstype}) is writable and was not frozen"]


def test_a_namespace_without_a_process_is_told(guest, scratch, make_data, agent):
    space = make_data()
    guest.run("mkdir -p /run/kept && mount --bind /run/kept /run/kept && mount --make-private /run/kept && "
              f"touch /run/kept/mnt && mount --bind /proc/{space.pid}/ns/mnt /run/kept/mnt")
    space.end()
    try:
        answer = ask(agent, "snapfreeze-freeze")
        assert answer["frozen"] == len(PLANNED)
        assert len(answer["reasons"]) == 1 and "is mounted out of sight and was not frozen" in answer["reasons"][0]
        assert ask(agent, "snapfreeze-thaw")["consistent"] is False
    finally:
        guest.run("umount /run/kept/mnt && umount /run/kept && rm -r /run/kept")


def test_a_namespace_that_ends_while_frozen_is_thawed(guest, make_data, agent):
    space = make_data()
    assert agent.freeze() == len(PLANNED) + 1
    space.end()
    thaw_is_consistent(agent, len(PLANNED) + 1)
    guest.wait_for(f"[ ! -e /sys/fs/ext4/{space.device.rpartition('/')[2]} ]", what="the superblock's end")


@pytest.mark.parametrize("fstype", ["ext4", "btrfs"])
def test_recover_thaws_it_though_its_first_process_is_gone(guest, make_data, agent, fstype):
    space = make_data(fstype)
    assert agent.freeze() == len(PLANNED) + 1
    kill_both(guest, agent)
    other = space.another_process()
    space.end()
    space.pid = other.pid
    assert space.is_blocked(DATA)
    recovered = guest.run([agent.path, "--recover"])
    assert f"{len(PLANNED) + 1} filesystems" in recovered.stderr
    assert not space.is_blocked(DATA, timeout=30)
    other.kill()
    agent.restart()
    with pytest.raises(AgentError, match="did not hold"):
        agent.thaw()


def test_a_restart_thaws_it(guest, make_data, agent):
    space = make_data("xfs")
    assert agent.freeze() == len(PLANNED) + 1
    kill_both(guest, agent)
    assert space.is_blocked(DATA)
    agent.restart()
    assert not space.is_blocked(DATA, timeout=60)


def test_killed_agents_leave_nothing_frozen(guest, make_data, agent):
    space = make_data()
    assert agent.freeze() == len(PLANNED) + 1
    agent.signal(signal.SIGKILL)
    assert not space.is_blocked(DATA, timeout=30)


# ---- many

def test_many_namespaces_and_mounts(guest, folder, make_space, make_data, agent):
    space = make_data()
    # The whole tree twice into itself, and copies of that table: some two thousand mounts.
    first = make_space(f"mount -t tmpfs space {TOP} && mkdir {TOP}/1 {TOP}/2 && mount --rbind / {TOP}/1 && mount --rbind / {TOP}/2")
    for _ in range(20):
        make_space(inside=first)
    assert [entry["namespace"]["pid"] for entry in elsewhere(agent)] == [space.pid]
    assert agent.freeze() == len(PLANNED) + 1
    thaw_is_consistent(agent, len(PLANNED) + 1)
