# SPDX-License-Identifier: LGPL-2.1-or-later
"""The scripts of the Debian package, run by hand as dpkg does, with filesystems frozen: each thaws first, and says so.
Without a service manager here; the installed guest has one."""

import subprocess

import pytest

import image
import packages
from agents import QemuGa, Snapfreeze
from holding import SECOND_MS, suspended, told, writable_ms

SOME = ["/mnt/ext4-a", "/mnt/xfs", "/mnt/loop", "/mnt/with space"]
NOTE = "/run/qga.state.isfrozen"


class Installed(Snapfreeze):
    """Our agent, as the package has it."""

    def __init__(self, guest):
        super().__init__(guest)
        self.path = "/usr/sbin/snapfreeze-agent"


@pytest.fixture(scope="module")
def deb():
    try:
        return packages.build()["snapfreeze-agent"]
    except image.Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def unpacked(guest, deb, tmp_path):
    """The shared guest with the package's files, and its scripts in /run/qa-scripts."""
    files = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True).stdout
    guest.push(files, "/run/qa-deb.tar")
    guest.run("mkdir -p /run/qa-scripts && tar -xf /run/qa-deb.tar -C / ./usr/sbin ./usr/libexec")
    subprocess.run(["dpkg-deb", "--control", deb, tmp_path / "control"], check=True)
    for name in ("preinst", "prerm"):
        guest.push(tmp_path / "control" / name, f"/run/qa-scripts/{name}")
    yield guest
    guest.run("rm -rf /run/qa-scripts /run/qa-deb.tar /usr/sbin/snapfreeze-agent /usr/libexec/snapfreeze")


@pytest.fixture
def ours(unpacked):
    """With SOME frozen by the installed agent."""
    agent = Installed(unpacked).start()
    agent.call("guest-fsfreeze-freeze-list", mountpoints=SOME)
    assert unpacked.blocked(SOME, timeout=1) == SOME
    return agent


@pytest.fixture
def theirs(unpacked):
    """With SOME frozen by a qemu-ga."""
    qemu_ga = QemuGa(unpacked).start()
    qemu_ga.call("guest-fsfreeze-freeze-list", mountpoints=SOME)
    return qemu_ga


def script(guest, *argv, check=True):
    return guest.run([f"/run/qa-scripts/{argv[0]}", *argv[1:]], check=check)


@pytest.mark.parametrize("argv", [("prerm", "upgrade", "2.0"), ("prerm", "remove"), ("preinst", "upgrade", "0.1.0-1")])
def test_what_the_agent_has_frozen_is_thawed_first(unpacked, ours, argv):
    job = script(unpacked, *argv)
    assert writable_ms(unpacked) < SECOND_MS
    assert "thawed first" in job.stdout and all(path in job.stdout for path in SOME)
    assert ours.job.wait(60).returncode == 0
    ours.port.close()
    told(ours.restart())


@pytest.mark.parametrize("argv", [("prerm", "upgrade", "2.0"), ("preinst", "install")])
def test_an_agent_that_has_frozen_nothing_runs_on(unpacked, argv):
    agent = Installed(unpacked).start()
    assert script(unpacked, *argv).stdout == ""
    assert agent.status() == "thawed"


def test_what_two_dead_processes_left_frozen_is_thawed_before_a_removal(unpacked, ours):
    unpacked.run(f"kill -9 {ours.freezer_pid} {ours.pid}")
    ours.job.wait(60)
    ours.port.close()
    job = script(unpacked, "prerm", "remove")
    assert writable_ms(unpacked) < SECOND_MS, job.stdout


def test_a_removal_ends_the_agent(unpacked):
    agent = Installed(unpacked).start()
    script(unpacked, "prerm", "remove")
    assert agent.job.wait(60).returncode == 0


def test_what_qemu_ga_left_frozen_is_thawed_before_the_package_is_unpacked(unpacked, theirs):
    theirs.signal(9)
    theirs.job.wait(60)
    theirs.port.close()
    job = script(unpacked, "preinst", "install")
    assert writable_ms(unpacked) < SECOND_MS
    assert NOTE in job.stdout and all(path in job.stdout.splitlines() for path in SOME), job.stdout
    # Of whom the host learns it.
    agent = Installed(unpacked).start()
    told(agent)
    assert unpacked.run(["test", "-e", NOTE], check=False).returncode != 0


def test_what_qemu_ga_left_frozen_on_a_disk_that_hangs_holds_up_no_installation_and_is_named(unpacked, theirs):
    theirs.signal(9)
    theirs.job.wait(60)
    theirs.port.close()
    unpacked.run(["qa-freeze", "freeze", "/mnt/linear"])  # as qemu-ga's, of which nobody can tell either
    with suspended(unpacked):
        job = script(unpacked, "preinst", "install")
        assert "does not answer: /mnt/linear" in job.stderr
        assert unpacked.blocked([*SOME, "/mnt/linear"], timeout=5) == ["/mnt/linear"]
        assert all(path in job.stdout.splitlines() for path in SOME), job.stdout
    assert writable_ms(unpacked) < 10 * SECOND_MS
    told(Installed(unpacked).start())


def test_a_qemu_ga_that_runs_is_asked_by_its_host_only(unpacked, theirs):
    assert "left to it" in script(unpacked, "preinst", "install").stdout
    assert unpacked.blocked(SOME, timeout=1) == SOME
    assert theirs.thaw() >= len(SOME)
    assert script(unpacked, "preinst", "install").stdout == ""
