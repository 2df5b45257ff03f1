# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the packages make of qemu-ga's options at their first installation: their script, in a folder of its own, with the
agent that was built. No guest. The examples are what users and distributions write."""

import os
import subprocess
from pathlib import Path

import pytest

import packages
from conftest import need_ours

DEFAULT = "etc/default/qemu-guest-agent"
SYSCONFIG = "etc/sysconfig/qemu-ga"
DROP_IN = "etc/systemd/system/qemu-guest-agent.service.d/override.conf"
CONF = "etc/snapfreeze/agent.conf"
SAMPLE = "usr/share/snapfreeze/agent.conf"


class Machine:
    """A tree with the sample configuration, as after unpacking."""

    def __init__(self, root, builddir):
        self.root = root
        self.agent = builddir / "snapfreeze-agent"
        self.write(SAMPLE, (builddir / "packaging/agent.conf.example").read_text())

    def write(self, name, text):
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def install(self):
        """What is said at the first installation."""
        script = f'. {packages.TREE}/packaging/take-over.sh; sf_root=$1; sf_agent=$2; take_over'
        job = subprocess.run(["sh", "-euc", script, "sh", self.root, self.agent], capture_output=True, text=True)
        assert job.returncode == 0, job.stderr
        return job.stdout + job.stderr

    def in_force(self):
        """Key -> value of what the agent then goes by, but for what it is without any file."""
        def dump(conf):
            said = subprocess.run([self.agent, "-D", "-c", conf], capture_output=True, text=True)
            assert said.returncode == 0, said.stderr
            mine = said.stdout.partition("[channel:")[0]  # but the socket that the sample has
            return dict(line.split("=", 1) for line in mine.splitlines() if "=" in line)
        without = dump(os.devnull)
        return {key: value for key, value in dump(self.root / CONF).items() if without.get(key) != value}


@pytest.fixture
def machine(tmp_path, pytestconfig):
    need_ours(pytestconfig)
    return Machine(tmp_path, Path(pytestconfig.getoption("--builddir")).resolve())


# What stands in which file, and what must be in force then.
TAKEN = {
    "a hook": ({DEFAULT: 'DAEMON_ARGS="-F/etc/qemu/fsfreeze-hook"\n'}, {"fsfreeze-hook": "/etc/qemu/fsfreeze-hook"}),
    "long options, a hook without its path": (
        {DEFAULT: 'DAEMON_ARGS="--logfile /var/log/qga.log --fsfreeze-hook --verbose"\n'},
        {"logfile": "/var/log/qga.log", "fsfreeze-hook": "/etc/qemu/fsfreeze-hook", "verbose": "true"}),
    "blocked commands, without quotes": (
        {DEFAULT: "# DAEMON_ARGS=-v\nDAEMON_ARGS=-b guest-exec,guest-set-time\n"},
        {"block-rpcs": "guest-exec,guest-set-time"}),
    "the last line counts, for a shell as for systemd": (
        {DEFAULT: "DAEMON_ARGS='-b guest-exec'\nexport DAEMON_ARGS='--blacklist guest-get-users'  \n"},
        {"block-rpcs": "guest-get-users"}),
    "a drop-in": (
        {DROP_IN: "[Service]\nExecStart=\nExecStart=-/usr/sbin/qemu-ga --blacklist=guest-exec,guest-file-open\n"},
        {"block-rpcs": "guest-exec,guest-file-open"}),
    "a drop-in that reads the other file": (
        {DROP_IN: "[Service]\nEnvironmentFile=-/etc/default/qemu-guest-agent\nExecStart=\n"
                  "ExecStart=-/usr/sbin/qemu-ga -v \\\n  ${DAEMON_ARGS}\n", DEFAULT: 'DAEMON_ARGS="-b guest-exec"\n'},
        {"block-rpcs": "guest-exec", "verbose": "true"}),
    "a drop-in that blocks nothing": (
        {DROP_IN: "[Service]\nExecStart=\nExecStart=/usr/sbin/qemu-ga -b '' -v\n"}, {"verbose": "true"}),
    "a drop-in of another package's": (
        {f"usr/lib/{DROP_IN.removeprefix('etc/')}": "[Service]\nExecStart=\nExecStart=/usr/sbin/qemu-ga -b guest-exec\n"},
        {"block-rpcs": "guest-exec"}),
    "a serial line, by a copy of the unit": (
        {"etc/systemd/system/qemu-guest-agent.service":
         "[Service]\nExecStart=/usr/sbin/qemu-ga -m isa-serial -p /dev/ttyS1\n"},
        {"method": "isa-serial", "path": "/dev/ttyS1"}),
    "Fedora's and RHEL 8's": (
        {SYSCONFIG: "BLACKLIST_RPC=guest-file-open,guest-exec\nFSFREEZE_HOOK_PATHNAME=/etc/qemu-ga/fsfreeze-hook\n"},
        {"block-rpcs": "guest-file-open,guest-exec"}),
    "RHEL 9's": (
        {SYSCONFIG: 'FILTER_RPC_ARGS="--allow-rpcs=guest-ping,guest-fsfreeze-freeze,guest-fsfreeze-thaw"\n'},
        {"allow-rpcs": "guest-ping,guest-fsfreeze-freeze,guest-fsfreeze-thaw,snapfreeze-plan,snapfreeze-status,"
                       "snapfreeze-freeze,snapfreeze-thaw,snapfreeze-extend"}),
    "the newest Fedora's, and a hook of one's own": (
        {SYSCONFIG: "QEMU_GA_ARGS=--block-rpcs=guest-exec\nFSFREEZE_HOOK_PATHNAME=/etc/qemu-ga/mine\n"},
        {"block-rpcs": "guest-exec", "fsfreeze-hook": "/etc/qemu-ga/mine"}),
    "both": (
        {"etc/qemu/qemu-ga.conf": "[general]\nblock-rpcs=guest-get-load\nstatedir=/var/lib/qga\n",
         DEFAULT: 'DAEMON_ARGS="-b guest-exec"\n'}, {"block-rpcs": "guest-get-load,guest-exec"}),
    "freezing itself": (
        {DEFAULT: 'DAEMON_ARGS="-b guest-fsfreeze-freeze,guest-fsfreeze-freeze-list"\n'},
        {"block-rpcs": "guest-fsfreeze-freeze,guest-fsfreeze-freeze-list,snapfreeze-freeze"}),
}


@pytest.mark.parametrize("name", TAKEN)
def test_options_of_qemu_ga_are_in_force_and_named(machine, name):
    files, expected = TAKEN[name]
    for path, text in files.items():
        machine.write(path, text)
    said = machine.install()
    assert machine.in_force() == expected, said
    for key, value in expected.items():
        assert f"    {key}={value}\n" in said
    assert all(f" /{path}" in said for path in files if path != "etc/qemu/qemu-ga.conf")
    # Where the sample has them, and once.
    text = (machine.root / CONF).read_text()
    assert "[channel:local]" in text and all(text.count(f"\n{key}=") == 1 for key in expected), text


# What may block a command, and nobody can tell.
UNCLEAR = {
    "a specifier of systemd's": {DROP_IN: "[Service]\nExecStart=\nExecStart=/usr/sbin/qemu-ga -b %i\n"},
    "a shell": {DROP_IN: '[Service]\nExecStart=\nExecStart=/bin/sh -c "exec qemu-ga $X"\n'},
    "a variable": {DEFAULT: 'DAEMON_ARGS="$DAEMON_ARGS -b guest-exec"\n'},
    "two lines": {DEFAULT: 'DAEMON_ARGS="-v \\\n -b guest-exec"\n'},
    "a comment": {DEFAULT: 'DAEMON_ARGS="-b guest-exec" # "no programs"\n'},
    "an option that the agent has not": {SYSCONFIG: "QEMU_GA_ARGS=--block-all -b guest-exec\n"},
    "one that only prints": {DEFAULT: 'DAEMON_ARGS="-V"\n'},
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_cannot_be_understood_leaves_the_smallest_profile_and_is_said_aloud(machine, name):
    machine.write("etc/qemu/qemu-ga.conf", "[general]\nblock-rpcs=guest-get-load\n")
    for path, text in UNCLEAR[name].items():
        machine.write(path, text)
    said = machine.install()
    assert machine.in_force() == {"profile": "snapshot", "block-rpcs": "guest-get-load"}
    assert "CANNOT BE TAKEN OVER" in said and "profile=snapshot" in said


@pytest.mark.parametrize("files", [
    {}, {DEFAULT: "# nothing\nsleep 1\n"}, {DROP_IN: "[Service]\nRestart=always\nTimeoutStopSec=30\n"},
    {SYSCONFIG: "#BLACKLIST_RPC=\nBLOCK_RPCS=\nFSFREEZE_HOOK_PATHNAME=/etc/qemu-ga/fsfreeze-hook\n"}])
def test_without_options_the_sample_is_the_configuration(machine, files):
    for path, text in files.items():
        machine.write(path, text)
    said = machine.install()
    assert (machine.root / CONF).read_text() == (machine.root / SAMPLE).read_text()
    assert all(f" /{path}" in said for path in files) and (files or said == "")


def test_with_qemu_gas_file_alone_that_is_read_and_there_is_no_other(machine):
    machine.write("etc/qemu/qemu-ga.conf", "[general]\nblock-rpcs=guest-exec\n")
    assert "/etc/qemu/qemu-ga.conf is read" in machine.install()
    assert not (machine.root / CONF).exists()


def test_a_configuration_that_is_there_stays_and_what_is_not_read_is_named(machine):
    machine.write(CONF, "[freeze]\ntimeout=9\n")
    machine.write(DEFAULT, 'DAEMON_ARGS="-b guest-exec"\n')
    assert f"not read: /{DEFAULT}" in machine.install()
    assert (machine.root / CONF).read_text() == "[freeze]\ntimeout=9\n"


def test_scripts_that_fedoras_hook_ran_are_named(machine):
    script = "etc/qemu-ga/fsfreeze-hook.d/mysql.sh"
    machine.write(script, "#!/bin/sh\n")
    assert script not in machine.install(), "not executable: not run"
    (machine.root / script).chmod(0o755)
    assert f"/{script} is run if it is linked into /etc/snapfreeze/hooks.d" in machine.install()
