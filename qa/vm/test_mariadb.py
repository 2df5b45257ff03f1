# SPDX-License-Identifier: LGPL-2.1-or-later
"""The shipped hook for MariaDB, with a real server under write load. The other servers: the command databases."""

import contextlib
import signal
from pathlib import Path

import pytest

import databases
import image
from conftest import need_ours
from ports import AgentError
from servers import MariaDb

HOOK = "50-mysql.session"[:15]  # as the kernel names its process
HELD = "INSERT INTO held.held SELECT SLEEP(600)"


@pytest.fixture(scope="module")
def mariadb(pytestconfig):
    """A server that is written to, with its hook, in a guest that the cases of this file share."""
    need_ours(pytestconfig)
    with contextlib.ExitStack() as stack:
        try:
            guest = databases.boot(MariaDb, Path(pytestconfig.getoption("--builddir")).resolve(),
                                   pytestconfig.getoption("--keep"))
        except image.Unavailable as error:
            pytest.skip(f"no guest here: {error}")
        stack.callback(guest.stop)
        yield databases.start_busy(MariaDb, guest)


@pytest.fixture
def hooks(request, mariadb):
    request.node.guest = mariadb.guest
    return databases.enable(mariadb)


def insert(mariadb, timeout=120):
    """Whether a row can be committed."""
    return mariadb.guest.run(["timeout", str(timeout), "mariadb", "-e", "INSERT INTO held.probe VALUES (1)"],
                             check=False, timeout=timeout + 60).returncode == 0


def test_a_long_statement_makes_the_freeze_fail_within_the_limit_and_writers_go_on(mariadb, hooks, make_agent):
    hooks.enable("50-mysql.session", "mysql.session", "limit = 3\n")
    mariadb.sql("CREATE DATABASE held; CREATE TABLE held.held (n INT) ENGINE=MyISAM; CREATE TABLE held.probe (n INT);")
    holder = mariadb.guest.spawn(["mariadb", "-e", HELD])
    (connection,), = mariadb.guest.wait_for(
        lambda: mariadb.sql(f"SELECT id FROM information_schema.processlist WHERE info = '{HELD}';"))
    agent = make_agent(mariadb.guest).start(config=databases.CONFIG)
    with pytest.raises(AgentError) as error:
        agent.call("snapfreeze-freeze", 300)
    assert "50-mysql.session" in error.value.desc and HELD in error.value.desc
    assert holder.poll() is None  # it was the hook's limit that ended the wait
    assert agent.status() == "thawed"
    mariadb.wait_more(5)
    mariadb.sql(f"KILL {connection};")
    holder.wait()
    # Left over from the failure would be a lock, a client or a hook that the next freeze runs into.
    hooks.enable("50-mysql.session", "mysql.session", "limit = 60\n")
    assert agent.freeze() > 0
    assert agent.thaw() > 0


@pytest.mark.parametrize("victim", ["agent", "hook"])
def test_the_lock_goes_with_whoever_holds_it(mariadb, hooks, make_agent, victim):
    # The server's disk is not frozen: what keeps a commit back is the hook's lock alone.
    agent = make_agent(mariadb.guest).start(config=databases.CONFIG + "[freeze]\nexclude = /data/mariadb\n")
    agent.call("snapfreeze-freeze", 300)
    assert not insert(mariadb, timeout=10)
    if victim == "agent":
        agent.signal(signal.SIGKILL)
        assert insert(mariadb)
        agent.job.wait()
        agent.restart()
        mariadb.guest.wait_for(lambda: agent.call("snapfreeze-status")["state"] == "thawed")
    else:
        mariadb.guest.run(["pkill", "-9", "-x", HOOK])
        assert insert(mariadb)
        assert "50-mysql.session" in str(agent.call("snapfreeze-thaw")["hooks"])
    mariadb.guest.wait_for(f"! pgrep -x {HOOK}")
    mariadb.wait_more(5)


def test_a_copy_taken_under_the_hook_loses_no_commit_and_leaves_no_table_to_check(mariadb, hooks, make_agent, tmp_path):
    guest = mariadb.guest
    agent = make_agent(guest).start(config=databases.CONFIG)
    copies = {"hook": databases.copy_frozen(mariadb, agent, tmp_path / "hook")}
    assert copies["hook"].verdict["consistent"] is True, copies["hook"].verdict["reasons"]
    hooks.disable_all()
    copies["none"] = databases.copy_frozen(mariadb, agent, tmp_path / "none")
    agent.clean_up()
    guest.qmp("stop")
    try:
        other = databases.boot(MariaDb, None, copies=copies)
        try:
            assert databases.bad(databases.examine(MariaDb, other, "hook", copies["hook"])) == []
            # Without the hook the same freeze leaves tables that look as after a crash. No commit is lost even so.
            without = databases.examine(MariaDb, other, "none", copies["none"])
            assert {found.what for found in without if not found.is_good} >= {"check table myisam", "check table aria_plain"}
            assert all(found.is_good for found in without if found.what.startswith("rows of innodb"))
        finally:
            other.stop()
    finally:
        guest.qmp("cont")
