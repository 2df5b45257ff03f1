#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The shipped hooks with stand-ins for the servers' clients: what they ask for, and what they do when that fails.
Real servers: qa/vm/databases."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tap  # noqa: E402

HOOKS = Path(os.environ.get("top_builddir", ".")) / "packaging/hooks.d"
MARIADB = "10.11.19-MariaDB-0+deb12u1"
# Notes each statement, answers as a server would, and fails at the statement $FAIL_AT.
SQL_CLIENT = r"""#!/bin/sh
echo $$ >"$HERE/pid"
while read -r line; do
	echo "$line" >>"$HERE/asked"
	case $line in
	"$FAIL_AT;") echo "ERROR ${FAIL_WITH:-1205}: no" >&2; exit 1 ;;
	"SELECT VERSION();") echo "$VERSION" ;;
	"SELECT CONNECTION_ID();") echo 7 ;;
	"SELECT 'snapfreeze-done';") echo snapfreeze-done ;;
	esac
done
echo end >>"$HERE/asked"
"""
# What it says to INFO comes out of the file "info", the first line of which goes with each look.
REDIS_CLIENT = r"""#!/bin/sh
for word; do last=$word; done
case "$*" in *INFO*) word=INFO ;; *CONFIG*) word=CONFIG ;; *) word=$last ;; esac
echo "$word" >>"$HERE/asked"
[ -z "$REFUSAL" ] || { echo "$REFUSAL"; exit 1; }
case $word in
INFO)
	line=$(head -n 1 "$HERE/info")
	[ "$(wc -l <"$HERE/info")" = 1 ] || sed -i 1d "$HERE/info"
	printf '# Persistence\r\n'
	for member in $line; do printf '%s\r\n' "$member"; done ;;
CONFIG) printf 'save\n%s\n' "$SAVE" ;;
BGSAVE) echo "Background saving started" ;;
esac
"""
IDLE = "loading:0 rdb_bgsave_in_progress:0 rdb_last_bgsave_status:ok aof_enabled:0 aof_rewrite_in_progress:0"
SAVING = IDLE.replace("in_progress:0", "in_progress:1", 1)


class Rig:
    """A folder with a hook that looks for its settings there, and stand-ins for clients in the path."""

    def __init__(self, folder, hook):
        self.folder = Path(folder)
        self.hook = self.folder / "hooks.d" / hook
        self.settings = self.folder / "hooks.conf.d" / hook.removesuffix(".session")
        for path in (self.hook, self.settings):
            path.parent.mkdir()
        text = (HOOKS / hook).read_text()
        etc = next(line for line in text.splitlines() if line.startswith("conf="))[len("conf="):].rpartition("/")[0]
        self.hook.write_text(text.replace(etc, str(self.settings.parent)).replace("/run/snapfreeze-hook", f"{folder}/pipes"))
        self.hook.chmod(0o755)
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        for name, program in (("mariadb", SQL_CLIENT), ("redis-cli", REDIS_CLIENT)):
            (self.bin / name).write_text(program)
            (self.bin / name).chmod(0o755)

    def start(self, argument, **env):
        env = {"PATH": f"{self.bin}:/usr/sbin:/usr/bin:/sbin:/bin", "HERE": str(self.folder), "VERSION": MARIADB,
               "SAVE": "3600 1", "REFUSAL": "", "SNAPFREEZE_HOOK_TIMEOUT": "10", **env}
        return subprocess.Popen([self.hook, argument], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=env)

    def session(self, **env):
        """A session hook that has said that all is quiet."""
        hook = self.start("session", **env)
        assert hook.stdout.readline() == "frozen\n", hook.communicate()
        return hook

    def asked(self):
        """What the stand-ins were asked, but for what is of no interest."""
        lines = (self.folder / "asked").read_text().splitlines()
        return [line.rstrip(";") for line in lines if not line.startswith(("SELECT", "SET SESSION"))]

    def wait_end_of_client(self):
        pid = int((self.folder / "pid").read_text())
        deadline = time.monotonic() + 60
        while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
            assert time.monotonic() < deadline, "the client still runs, and holds the lock"
            time.sleep(0.01)


@contextlib.contextmanager
def rig(hook):
    with tempfile.TemporaryDirectory(prefix="shipped-hooks-") as folder:
        yield Rig(folder, hook)


STAGES = ["BACKUP STAGE START", "BACKUP STAGE FLUSH", "BACKUP STAGE BLOCK_DDL", "BACKUP STAGE BLOCK_COMMIT"]
READ_LOCK = ["FLUSH LOCAL TABLES", "FLUSH TABLES WITH READ LOCK"]


def need_none_running(*names):
    running = subprocess.run(["cat", *map(str, Path("/proc").glob("[0-9]*/comm"))], capture_output=True, text=True).stdout
    if set(names) & set(running.split()):
        raise tap.Skip("a server runs here")


def test_mysql_takes_the_lock_that_the_version_has():
    for version, lock in {MARIADB: STAGES, "11.4.2-MariaDB-log": STAGES, "10.4.1-MariaDB": STAGES,
                          "10.3.39-MariaDB-0+deb10u2": READ_LOCK, "5.5.68-MariaDB": READ_LOCK, "8.0.36": READ_LOCK,
                          "5.7.44-log": READ_LOCK}.items():
        with rig("mysql.session") as it:
            hook = it.session(VERSION=version)
            assert it.asked() == lock, (version, it.asked())
            hook.communicate("thaw\n", timeout=60)


def test_mysql_releases_on_the_word_and_on_the_end_of_its_input():
    for word in ("thaw\n", "noise\nthaw\n", ""):
        for version, release in ((MARIADB, "BACKUP STAGE END"), ("8.0.36", "UNLOCK TABLES")):
            with rig("mysql.session") as it:
                hook = it.session(VERSION=version)
                _, errors = hook.communicate(word, timeout=60)
                assert (hook.returncode, errors) == (0, "")
                assert it.asked()[-2:] == [release, "end"]


def test_mysql_gives_up_where_the_lock_does_not_come():
    for statement in STAGES:
        with rig("mysql.session") as it:
            out, errors = it.start("session", FAIL_AT=statement).communicate(timeout=60)
            assert "frozen" not in out.splitlines()
            assert f"{statement}: ERROR 1205: no" in errors and "not frozen" in errors, errors
            it.wait_end_of_client()


def test_mysql_killed_takes_its_client_along():
    with rig("mysql.session") as it:
        hook = it.session()
        hook.send_signal(signal.SIGKILL)
        it.wait_end_of_client()
        hook.communicate(timeout=60)


def test_mysql_tells_of_a_connection_that_was_lost_while_frozen():
    with rig("mysql.session") as it:
        hook = it.session()
        os.kill(int((it.folder / "pid").read_text()), signal.SIGKILL)
        it.wait_end_of_client()
        _, errors = hook.communicate("thaw\n", timeout=60)
        assert hook.returncode == 1 and "lost while frozen" in errors, errors


def test_mysql_leaves_nothing_behind():
    with rig("mysql.session") as it:
        hook = it.session()
        assert not list(it.folder.glob("pipes*"))
        hook.communicate("thaw\n", timeout=60)


def test_mysql_passes_a_server_over_that_does_not_run_and_no_other():
    need_none_running("mariadbd", "mysqld")
    with rig("mysql.session") as it:
        hook = it.session(FAIL_AT="SELECT VERSION()", FAIL_WITH="2002 (HY000)")
        hook.communicate("thaw\n", timeout=60)
        assert hook.returncode == 0
    with rig("mysql.session") as it:
        hook = it.start("session", FAIL_AT="SELECT VERSION()", FAIL_WITH="1045 (28000)")
        out, errors = hook.communicate(timeout=60)
        assert hook.returncode == 1 and "1045" in errors and not out


def test_settings_that_others_may_write_are_refused():
    for name in ("mysql.session", "postgresql", "redis"):
        with rig(name) as it:
            it.settings.write_text("limit = 3\n")
            it.settings.chmod(0o666)
            hook = it.start("session" if name.endswith(".session") else "freeze")
            _, errors = hook.communicate(timeout=60)
            assert hook.returncode == 1 and "refused" in errors, (name, errors)


def test_settings_are_data():
    if os.geteuid() != 0:
        raise tap.Skip("settings must belong to root")
    for text, wanted in (("limit = 0\n", "more than 0"), ("limit = $(touch x)\n", "'$(touch x)' is no number"),
                         ("# limit = x\nmethod=  sideways  \n", "'sideways' is not"), ("limit=1\nlimit = 2x\n", "'2x'")):
        with rig("mysql.session") as it:
            it.settings.write_text(text)
            hook = it.start("session")
            _, errors = hook.communicate(timeout=60)
            assert hook.returncode == 1 and wanted in errors, errors
    with rig("mysql.session") as it:
        it.settings.write_text(" method = read-lock \n")
        hook = it.session()
        assert it.asked()[:2] == READ_LOCK
        hook.communicate("thaw\n", timeout=60)


def freeze_redis(info, **env):
    """(status, errors, what was asked) of a freeze whose looks find the lines of @info, the last one again and again."""
    with rig("redis") as it:
        (it.folder / "info").write_text("".join(f"{line}\n" for line in info))
        hook = it.start("freeze", **env)
        _, errors = hook.communicate(timeout=60)
        return hook.returncode, errors, it.asked()


def test_redis_saves_when_idle_and_waits_for_the_end():
    status, errors, asked = freeze_redis([SAVING, SAVING, IDLE, SAVING, SAVING, IDLE])
    assert (status, errors) == (0, "")
    assert asked == ["INFO"] * 3 + ["CONFIG", "BGSAVE"] + ["INFO"] * 3


def test_redis_fails_with_a_failed_save_and_with_one_that_does_not_end():
    status, errors, _ = freeze_redis([IDLE, IDLE.replace("status:ok", "status:err")])
    assert status == 1 and "the save failed" in errors
    status, errors, asked = freeze_redis([IDLE, SAVING], SNAPFREEZE_HOOK_TIMEOUT="1")
    assert status == 1 and "not finished within 1 s" in errors and "BGSAVE" in asked


def test_redis_makes_no_save_where_none_is_wanted():
    status, _, asked = freeze_redis([IDLE], SAVE="")
    assert status == 0 and "BGSAVE" not in asked
    appending = IDLE.replace("aof_enabled:0", "aof_enabled:1 aof_last_write_status:ok")
    rewriting = appending.replace("rewrite_in_progress:0", "rewrite_in_progress:1")
    status, _, asked = freeze_redis([rewriting, rewriting, appending])
    assert status == 0 and asked == ["INFO"] * 3
    status, errors, _ = freeze_redis([appending.replace("write_status:ok", "write_status:err")])
    assert status == 1 and "append-only file" in errors


def test_redis_passes_a_server_over_that_does_not_run_and_no_other():
    need_none_running("redis-server", "valkey-server")
    status, errors, asked = freeze_redis([IDLE], REFUSAL="Could not connect to Redis at x: Connection refused")
    assert (status, errors, asked) == (0, "", ["INFO"])
    status, errors, asked = freeze_redis([IDLE], REFUSAL="NOAUTH Authentication required.")
    assert status == 1 and "NOAUTH" in errors and asked == ["INFO"]


if __name__ == "__main__":
    sys.exit(tap.run(sys.modules[__name__]))
