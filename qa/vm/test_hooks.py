# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hooks have applications stand still for the snapshot, and let them go whatever happens to the freeze, to the agent
or to themselves."""

import shlex

import pytest

from holding import ALL, SECOND_MS, ask, foreign, freeze_all, suspended, told, writable_ms
from hook_scripts import BACK, CONFIG, FOLDER, HELD, QUIET_A, QUIET_B, SAID, SAY, hooked, thawed
from ports import AgentError


# ---- as it should go

@hooked
def test_they_run_in_name_order_and_back(guest, two, agent):
    answer = freeze_all(guest, agent)
    assert two.said() == [QUIET_A, QUIET_B]
    assert [(hook["name"], hook["exit"]) for hook in answer["hooks"]] == [("10-a", 0), ("20-b", 0)], answer
    answer = ask(agent, "snapfreeze-thaw")
    assert answer["consistent"] is True, answer
    assert [(hook["name"], hook["exit"]) for hook in answer["hooks"]] == [("20-b", 0), ("10-a", 0)], answer
    assert two.said() == [QUIET_A, QUIET_B, *BACK]


@hooked
def test_all_is_writable_when_they_are_told_to_thaw(guest, hooks, agent):
    path = f"{shlex.quote(ALL[0])}/qa-hook"
    hooks.add("10-a", f'date > {path} && echo "$1" >> {SAID}\n')
    assert agent.freeze() == len(ALL)
    assert agent.thaw() == len(ALL), "what the hook wrote before is no write while frozen"
    assert hooks.said() == ["freeze", "thaw"]
    guest.run(f"rm {path}")


@pytest.mark.agent(config=CONFIG + "[freeze]\nflush-timeout=2\n")
def test_a_freeze_that_fails_in_the_flush_never_touches_an_application(guest, two, agent):
    with suspended(guest):
        with pytest.raises(AgentError, match="'/mnt/linear' did not flush within 2 s"):
            agent.freeze()
    guest.wait_for(lambda: agent.call("snapfreeze-status")["state"] == "thawed")
    assert two.said() == []
    assert thawed(guest, agent)


@pytest.mark.agent(config=CONFIG + "[freeze]\nflush-timeout=2\n")
def test_what_they_have_written_is_flushed_before_the_freeze(guest, two, agent):
    """A device that takes no I/O from the hook on: it is the flush that waits for it, and not the freeze."""
    two.add("30-dm", SAY + "case $1 in freeze) verb='suspend --nolockfs' ;; *) verb=resume ;; esac\n"
            "exec dmsetup $verb --noudevsync linear\n")
    with pytest.raises(AgentError, match="'/mnt/linear' did not flush within 2 s"):
        agent.freeze()
    assert two.said() == [QUIET_A, QUIET_B, "30-dm freeze", "30-dm thaw", *BACK]
    guest.run(f"rm {FOLDER}/30-dm")
    assert thawed(guest, agent)


@hooked
def test_a_session_holds_from_before_the_freeze_until_after_the_thaw(guest, hooks, agent):
    hooks.add("10-db.session", HELD)
    answer = freeze_all(guest, agent)
    assert hooks.said() == ["10-db.session session"]
    assert answer["hooks"][0]["exit"] is None and "error" not in answer["hooks"][0], answer
    answer = ask(agent, "snapfreeze-thaw")
    assert answer["consistent"] is True and answer["hooks"][0]["exit"] == 0, answer
    assert hooks.said() == ["10-db.session session", "heard thaw", "eof"]


@hooked
def test_a_thaw_of_nothing_and_a_freeze_of_nothing_call_none(guest, two, agent):
    assert agent.thaw() == 0
    assert ask(agent, "guest-fsfreeze-freeze-list", mountpoints=[]) == 0
    assert two.said() == []


@hooked
def test_where_nothing_freezes_they_are_told_to_thaw(guest, two, agent):
    vfat = [entry["mountpoint"] for entry in agent.call("snapfreeze-plan")["filesystems"] if entry["fstype"] == "vfat"]
    assert vfat and ask(agent, "guest-fsfreeze-freeze-list", mountpoints=vfat) == 0
    assert two.said() == [QUIET_A, QUIET_B, *BACK]
    assert agent.status() == "thawed"


@hooked
def test_the_plan_shows_them_and_names_those_refused(guest, two, agent):
    two.add("30-c.session")
    two.add("40-open", mode=0o777)
    two.add("50-off.disabled")
    plan = agent.call("snapfreeze-plan")
    assert [(hook["name"], hook["session"]) for hook in plan["hooks"]] == [
        ("10-a", False), ("20-b", False), ("30-c.session", True)]
    assert [text for text in plan["warnings"] if "'40-open' is refused" in text], plan["warnings"]
    assert two.said() == []


@pytest.mark.agent("--rehearse", config=CONFIG)
def test_a_rehearsal_runs_them(guest, two, agent):
    two.add("30-env", f'echo "rehearsal $SNAPFREEZE_REHEARSAL" >> {SAID}\n')
    count = agent.freeze()
    assert count >= len(ALL) and agent.thaw() == count
    assert two.said() == [QUIET_A, QUIET_B, "rehearsal 1", "rehearsal 1", *BACK]


# ---- qemu-ga's

# The shape of QEMU's own script: a folder beside it, what is left out, its own redirection of output.
STOCK = f"""
LOGFILE={SAID}
FSFREEZE_D=$(dirname -- "$0")/fsfreeze-hook.d
for file in "$FSFREEZE_D"/*; do
    case "$file" in *~ | *.bak | *.sample) continue ;; esac
    [ -f "$file" ] && [ -x "$file" ] || continue
    printf "execute %s\\n" "${{file##*/}} $*" >> $LOGFILE
    "$file" "$@" >> $LOGFILE 2>&1 || exit $?
done
"""


@pytest.mark.parametrize("how", ["option", "configuration"])
def test_qemu_gas_script_and_its_folder_work_unchanged(guest, hooks, make_agent, how):
    hooks.add("fsfreeze-hook", STOCK)
    guest.run(f"mkdir {FOLDER}/fsfreeze-hook.d {FOLDER}/own")
    hooks.add("fsfreeze-hook.d/mysql.sh", "echo mysql $1\n")
    hooks.add("fsfreeze-hook.d/mysql.sh.sample", "echo sample $1\n")
    hooks.add("own/10-a")
    config = f"[hooks]\ndirectory={FOLDER}/own\n"
    if how == "option":
        agent = make_agent(guest).start(f"-F{FOLDER}/fsfreeze-hook", config=config)
    else:
        agent = make_agent(guest).start(config=f"{config}[general]\nfsfreeze-hook={FOLDER}/fsfreeze-hook\n")
    assert agent.freeze() == len(ALL)
    assert hooks.said() == ["execute mysql.sh freeze", "mysql freeze", "10-a freeze"]
    assert agent.thaw() == len(ALL)
    assert hooks.said()[3:] == ["10-a thaw", "execute mysql.sh thaw", "mysql thaw"]


# ---- what fails

@hooked
def test_a_failing_hook_undoes_the_ones_before_and_freezes_nothing(guest, two, trace, agent):
    two.add("15-bad", SAY + 'test $1 = thaw || { echo "the disk is full"; exit 3; }\n')
    with pytest.raises(AgentError, match="hook '15-bad' failed to freeze: exit status 3: the disk is full"):
        agent.freeze()
    assert two.said() == [QUIET_A, "15-bad freeze", "15-bad thaw", "10-a thaw"]
    assert trace.calls("freeze") == [] and agent.status() == "thawed" and agent.thaw() == 0
    guest.run(f"rm {FOLDER}/15-bad")
    assert thawed(guest, agent)


@hooked
def test_an_insecure_hook_fails_the_freeze_before_anything_is_touched(guest, two, agent):
    two.add("30-open", mode=0o775)
    with pytest.raises(AgentError, match="hook '30-open' is refused: others than root may write"):
        agent.freeze()
    guest.run(f"chmod 755 {FOLDER}/30-open; chown 1000 {FOLDER}/30-open")
    with pytest.raises(AgentError, match="hook '30-open' is refused: .* belongs to user 1000"):
        agent.freeze()
    assert two.said() == []
    guest.run(f"chown 0 {FOLDER}/30-open")
    assert thawed(guest, agent)


@pytest.mark.agent(config=CONFIG + "timeout=1\n")
def test_a_hook_that_hangs_is_killed_with_all_that_it_started(guest, two, agent):
    two.add("15-hung", SAY + f"test $1 = thaw && exit 0\nsleep 1000 & echo $! > {SAID}.pid; sleep 1000\n")
    with pytest.raises(AgentError, match="hook '15-hung' failed to freeze: did not finish within 1 s"):
        agent.freeze()
    assert guest.sh(f"cut -d' ' -f3 /proc/$(cat {SAID}.pid)/stat 2>/dev/null; :") in ("", "Z")
    assert two.said() == [QUIET_A, "15-hung freeze", "15-hung thaw", "10-a thaw"]


@pytest.mark.agent(config=CONFIG + "timeout=1\n")
def test_a_thaw_hook_that_hangs_never_hides_the_thaw(guest, two, agent):
    two.add("15-hung", SAY + "test $1 = freeze || sleep 1000\n")
    freeze_all(guest, agent)
    answer = ask(agent, "snapfreeze-thaw")
    assert answer["consistent"] is True and answer["thawed"] == len(ALL), answer
    hung = answer["hooks"][1]
    assert hung["name"] == "15-hung" and hung["exit"] is None and "did not finish" in hung["error"], answer
    assert two.said() == [QUIET_A, "15-hung freeze", QUIET_B, "20-b thaw", "15-hung thaw", "10-a thaw"]
    guest.wait_for(lambda: "hook '/run/qa-hooks/15-hung' failed to thaw" in agent.job.stderr)
    assert agent.status() == "thawed"


@hooked
def test_a_freeze_that_fails_lets_them_go(guest, two, agent):
    with foreign(guest, "/mnt/linear"):
        with pytest.raises(AgentError, match="frozen already"):
            agent.freeze()
        assert two.said() == [QUIET_A, QUIET_B, *BACK]
    assert thawed(guest, agent)


@hooked
def test_the_deadline_lets_them_go_after_the_thaw(guest, two, agent):
    ask(agent, "snapfreeze-freeze", timeout=2)
    assert writable_ms(guest) < 2000 + 10 * SECOND_MS
    two.wait(QUIET_A, QUIET_B, *BACK)
    told(agent, "freeze expired")
    assert two.said() == [QUIET_A, QUIET_B, *BACK]
