# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases about starting and ending the agent as qemu-ga's users do: options, files, signals, exit statuses."""

import re
import signal

import pytest

from agents import SOCKET
from guest_socket import GuestSocket

PIDFILE = "/run/qa-agent.pid"
CONF = "/run/qa-daemon.conf"


@pytest.fixture
def program(guest, make_agent):
    """Where the agent is, and nothing of it left running afterwards."""
    yield make_agent(guest).path
    guest.run("kill $(pidof snapfreeze-agent) 2>/dev/null; rm -f /run/qa-*.log /run/qa-daemon.* /run/qa-agent.*")
    guest.wait_for("! pidof snapfreeze-agent snapfreeze-freezer")


def configured(guest, text):
    guest.push(text.encode(), CONF, 0o644)


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_thaws_and_ends_it_with_0(guest, make_agent, signo):
    agent = make_agent(guest).start()
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=["/mnt/linear"]) == 1
    agent.signal(signo)
    assert agent.job.wait(60).returncode == 0
    assert guest.blocked(["/mnt/linear"], timeout=30) == []
    guest.wait_for("! pidof snapfreeze-freezer")


def test_as_a_daemon_it_leaves_its_pid_and_takes_it_along_at_the_end(guest, program):
    started = guest.run([program, "-d", "-f", PIDFILE, "-m", "unix-listen", "-p", SOCKET, "-l", "/run/qa-daemon.log"])
    assert started.stdout == started.stderr == ""
    guest.wait_for(f"test -S {SOCKET}")
    pid = guest.sh(f"cat {PIDFILE}")
    assert guest.sh(f"readlink /proc/{pid}/exe") == program
    with GuestSocket(guest, "unix", SOCKET) as port:
        assert port.call("guest-ping") == {}
    # Detached: a session of its own, / as its folder, none of its starter's descriptors.
    assert guest.sh(f"cut -d' ' -f6 /proc/{pid}/stat") not in (guest.sh("cut -d' ' -f6 /proc/self/stat"), "0")
    assert guest.sh(f"readlink /proc/{pid}/cwd") == "/"
    assert [guest.sh(f"readlink /proc/{pid}/fd/{fd}") for fd in (0, 1, 2)] == ["/dev/null"] * 3
    second = guest.run([program, "-d", "-f", PIDFILE, "-m", "unix-listen", "-p", "/run/qa-agent.other"], check=False)
    assert second.returncode == 1 and PIDFILE in second.stderr
    assert guest.sh(f"cat {PIDFILE}") == pid
    guest.run(["kill", pid])
    guest.wait_for(f"! test -e /proc/{pid}")
    assert guest.run(f"ls {PIDFILE} {SOCKET}", check=False).stdout == ""


def test_the_dumped_configuration_is_one_and_dumps_itself(guest, program):
    configured(guest, "[general]\nverbose=true\nblock-rpcs=guest-ping,guest-info\nlogfile=/run/x y.log\n"
                      "[channel:more]\nmethod=vsock-listen\npath=-1:7\n[freeze]\ntimeout=5m\nmax-timeout=2h\n"
                      "exclude=/mnt/with space;type:vfat;/mnt/grün*\nforeign-freeze=accept\nfreeze-parallel=3\n"
                      "[commands]\nprofile=full\n")
    first = guest.run([program, "-c", CONF, "-m", "unix-listen", "-p", SOCKET, "-t", "/run/st", "-r", "-D"])
    assert first.stderr == ""
    for line in ("method=unix-listen", f"path={SOCKET}", "statedir=/run/st", "retry-path=true", "verbose=true",
                 "block-rpcs=guest-ping,guest-info", "[channel:more]", "timeout=300", "max-timeout=7200",
                 "profile=full", "foreign-freeze=accept", "freeze-parallel=3"):
        assert line in first.stdout.splitlines(), line
    configured(guest, first.stdout)
    assert guest.run([program, "-c", CONF, "-D"]).stdout == first.stdout
    # And with nothing configured, the same.
    plain = guest.run([program, "-c", "/dev/null", "-D"])
    assert plain.stderr == ""
    configured(guest, plain.stdout)
    assert guest.run([program, "-c", CONF, "-D"]).stdout == plain.stdout
    assert guest.sh("pidof snapfreeze-agent; :") == ""


def test_help_lists_the_commands_that_there_are(guest, program, make_agent):
    names = guest.sh(f"{program} -b help").split()
    assert names == guest.sh(f"{program} -a help").split() == guest.sh(f"{program} --block-rpcs='?'").split()
    agent = make_agent(guest).start()
    assert set(names) == {entry["name"] for entry in agent.call("guest-info")["supported_commands"]}
    agent.stop()


BAD = [
    ("[general]\nmethod=virtio-serial\n\n# a comment\n[freeze]\ntimeout=soon\n", 6, "timeout"),
    ("[freeze]\ntimeouts=3\n", 2, "timeouts"),
    ("[general]\n\nmethod=pigeon\n", 3, "method"),
    ("[freeze]\nfreeze-parallel=0\n", 2, "freeze-parallel"),
    ("[channel:x]\nmethod=unix-listen\npath=/run/x\nmode=7\n", 4, "mode"),
    ("[frieze]\ntimeout=3\n", 1, "frieze"),
]


def test_a_bad_configuration_ends_it_and_names_file_line_and_key(guest, program):
    for text, line, key in BAD:
        configured(guest, text)
        for options in ([], ["-D"]):
            job = guest.run([program, "-c", CONF, *options], check=False)
            assert job.returncode == 1 and job.stdout == "", text
            assert re.search(rf"{re.escape(CONF)}\D+{line}\b", job.stderr) and key in job.stderr, job.stderr
    job = guest.run([program, "-c", "/run/no-such-file"], check=False)
    assert job.returncode == 1 and "/run/no-such-file" in job.stderr


def test_bad_options_end_it_with_1(guest, program):
    for options in (["--no-such-option"], ["-m", "pigeon"], ["-m", "unix-listen"], ["-m", "vsock-listen", "-p", "x"],
                    ["surplus"], ["-p"]):
        job = guest.run([program, *options], check=False, timeout=30)
        assert job.returncode == 1 and job.stderr.count("\n") == 1 and job.stdout == "", options
    assert guest.run([program, "-V"]).stdout.startswith("snapfreeze-agent ")
    assert "--retry-path" in guest.run([program, "-h"]).stdout


def test_the_log_file_gets_what_standard_error_would_and_the_audit_line(guest, program, make_agent):
    agent = make_agent(guest).start("-l", "/run/qa-agent.log", "-v")
    assert agent.call("snapfreeze-freeze", mountpoints=["/mnt/linear"], label="nightly\nforged\x1b[7m")["frozen"] == 1
    before = guest.sh("cat /run/qa-agent.log")
    assert agent.thaw() == 1
    after = guest.sh("cat /run/qa-agent.log")
    assert agent.job.stderr == ""
    assert "outcome=" not in before
    # The label is the host's: it must not begin a line of its own, nor steer a terminal.
    audit, = (line for line in after.splitlines() if "outcome=" in line)
    assert re.search(r"freeze \d+: channel=main command=snapfreeze-freeze label=nightly\S*forged\S* filesystems=1 "
                     r".*outcome=consistent$", audit) and "\x1b" not in after
    assert guest.sh("stat -c %a /run/qa-agent.log") in ("600", "640", "644")
    # Appended to at the next start.
    agent.stop()
    agent.restart()
    assert guest.sh("cat /run/qa-agent.log").startswith(after)
    agent.stop()


def test_qga_conf_names_the_configuration(guest, program, make_agent):
    configured(guest, f"[general]\nmethod=unix-listen\npath={SOCKET}\nblock-rpcs=guest-ping\n")
    shown = guest.run(f"QGA_CONF={CONF} {program} -D").stdout
    assert f"path={SOCKET}" in shown and "block-rpcs=guest-ping" in shown
    assert "path=/run/other" in guest.run(f"QGA_CONF={CONF} {program} -p /run/other -D").stdout, "options go first"
    guest.push(b"[general]\npath=/run/by-c\n", "/run/qa-daemon.c", 0o644)
    assert "path=/run/by-c" in guest.run(f"QGA_CONF={CONF} {program} -c /run/qa-daemon.c -D").stdout
    agent = make_agent(guest)
    agent.port = GuestSocket(guest, "unix", SOCKET)
    agent.start(env={"QGA_CONF": CONF})
    assert "disabled" in agent.port.raw_call("guest-ping")["error"]["desc"]
    agent.stop()
