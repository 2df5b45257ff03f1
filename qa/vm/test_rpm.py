# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rpm packages under a real rpm and systemd, in the Debian guest: they take the place of a qemu-ga that is a package
too, are upgraded and erased, each with a filesystem frozen. One boot serves all cases, in the order in which they stand."""

import pytest

import image
import packages
from installed import BOTH, UNIT, FragileDisk, InstalledGuest, change_while_a_frozen_disk_hangs, enabled, freeze, told

NOTE = "/var/run/qga.state.isfrozen"
CONFIG = "/etc/snapfreeze/agent.conf"
OURS = "\n[freeze]\ntimeout=299\n"


class RpmGuest(InstalledGuest):
    """A guest whose packages with agents are rpm's: Debian's own is gone."""

    def rpm_command(self, *words):
        """Debian's rpm asks for a word more, and knows of none of Debian's packages."""
        debian = ["--force-debian"] if words[0] != "-e" else []
        return " ".join(["rpm", "--dbpath=/var/lib/rpm", "--nodeps", *debian, *words])

    def rpm(self, *words, check=True):
        """What rpm said, its scriptlets too."""
        job = self.run(f"{self.rpm_command(*words)} 2>&1", timeout=600, check=check)
        print(f"\nrpm {' '.join(words)}: {job.ms / 1000:.1f} s\n{job.stdout}")
        return job.stdout

    def put(self, rpm):
        """Copies a package into the guest; its path there."""
        self.push(rpm, f"/root/{rpm.name}", 0o644)
        return f"/root/{rpm.name}"

    def has(self, name):
        """The installed release of a package; "" where it is not installed."""
        return self.run(["rpm", "--dbpath=/var/lib/rpm", "-q", "--qf", "%{RELEASE}", name], check=False).stdout.partition(
            "package ")[0]

    def freeze_by_qemu_ga(self):
        """/srv is frozen by the package's qemu-ga; nobody but that knows."""
        self.wait_answer()
        assert self.port_of_host.call("guest-info")["version"].startswith("7.2"), "Debian's own"
        assert self.port_of_host.call("guest-fsfreeze-freeze-list", mountpoints=["/srv"]) == 1
        self.port_of_host.close()
        assert self.blocked(BOTH, timeout=2) == ["/srv"]
        assert self.run(["test", "-e", NOTE], check=False).returncode == 0


@pytest.fixture(scope="module")
def fedora(pytestconfig):
    """The guest with qemu-ga by rpm."""
    guest = RpmGuest(keep=pytestconfig.getoption("--keep"))
    try:
        rpms, newer, theirs = packages.build_rpm(), packages.build_rpm(release=2), packages.build_qemu_ga_rpm()
        guest.start()
        assert guest.wait_booted() == "running", guest.failed_units()
        guest.run("dpkg --purge qemu-guest-agent 2>&1")
        guest.ours, guest.newer = guest.put(rpms["snapfreeze-agent"]), guest.put(newer["snapfreeze-agent"])
        guest.theirs = guest.put(theirs)
        guest.rpm("-i", guest.theirs)
    except image.Unavailable as error:
        pytest.skip(f"no guest with rpm here: {error}")
    else:
        yield guest
    finally:
        guest.stop()


@pytest.fixture(scope="module")
def swapped(fedora):
    """Our package in the place of that one, which had frozen /srv: in the order of a transaction of rpm's, that of "dnf
    swap", the one is there before the other goes."""
    fedora.freeze_by_qemu_ga()
    fedora.said = fedora.rpm("-i", fedora.ours)
    fedora.left = fedora.blocked(BOTH, timeout=20)
    if fedora.left:
        fedora.run(["qa-freeze", "thaw", *fedora.left])  # one case fails for that, not all
    fedora.rpm("-e", "qemu-guest-agent")
    fedora.run(["systemctl", "reset-failed"])  # it was killed, as it does not end while it holds a freeze
    return fedora


@pytest.fixture
def guest(request, swapped):
    request.node.guest = swapped
    yield swapped
    assert swapped.blocked(BOTH, timeout=60) == []


def is_up(guest):
    """The agent that runs is the installed one, started by systemd."""
    guest.wait_answer()
    assert guest.show("ActiveState") == "active" and guest.failed_units() == ""
    assert guest.sh(f"readlink /proc/{guest.agent_pid}/exe") == "/usr/sbin/snapfreeze-agent", "not one that was replaced"
    return True


def test_it_takes_the_place_of_a_qemu_ga_and_thaws_what_that_has_frozen(guest):
    assert guest.left == []
    assert "left to it" in guest.said, "it may yet be asked to thaw, until the start of the agent ends it"
    assert not guest.has("qemu-guest-agent") and is_up(guest)
    told(guest, "qemu-ga")
    assert guest.run(["test", "-e", NOTE], check=False).returncode != 0


def test_what_that_ones_package_blocks_is_blocked(guest):
    assert "    block-rpcs=guest-file-open,guest-exec,guest-get-load\n" in guest.said
    assert "guest-get-load" not in enabled(guest) and "guest-get-osinfo" in enabled(guest)


def test_an_upgrade_with_nothing_frozen_says_nothing_and_starts_the_new_one(guest):
    before = guest.agent_pid
    assert guest.rpm("-U", "--replacepkgs", guest.ours) == ""
    assert guest.agent_pid != before and is_up(guest)


def test_an_upgrade_while_frozen_thaws_first_and_keeps_the_configuration(guest):
    guest.run(["sh", "-c", f'printf "$1" >>{CONFIG} && systemctl restart {UNIT}', "sh", OURS.replace("\n", "\\n")])
    kept = guest.pull(CONFIG)
    freeze(guest, "/srv")
    said = guest.rpm("-U", guest.newer)
    assert guest.blocked(BOTH, timeout=30) == []
    assert "thawed first" in said and "/srv\n" in said
    assert guest.has("snapfreeze-agent").endswith(".2") and is_up(guest)
    told(guest, "the agent was stopped")
    assert guest.pull(CONFIG) == kept
    assert guest.sh(f"ls {CONFIG}*") == CONFIG


def test_an_erasure_while_a_frozen_disk_hangs_gives_up_says_so_and_leaves_the_agent_at_work(guest):
    fragile = FragileDisk(guest, stop_s=10)
    try:
        job = change_while_a_frozen_disk_hangs(guest, fragile, guest.rpm_command("-e", "snapfreeze-agent"))
    finally:
        fragile.remove()
    assert job.returncode != 0 and "not removed, since nothing else would thaw that" in job.stdout
    assert guest.has("snapfreeze-agent") and is_up(guest)


def left_behind(guest):
    """Files of ours anywhere, but those of the tests."""
    return guest.sh("find / -xdev -path /root -prune -o -name '*snapfreeze*' -print; ls -d /run/*snapfreeze* "
                    "/run/systemd/*/*snapfreeze* 2>/dev/null; :").split()


def erased(guest, said):
    assert guest.blocked(BOTH, timeout=30) == []
    assert "thawed first" in said and "/srv\n" in said
    assert not guest.has("snapfreeze-agent")
    assert guest.sh("pidof snapfreeze-agent snapfreeze-freezer; :") == ""
    assert guest.show("LoadState") == "not-found" and guest.failed_units() == ""


def test_erased_while_frozen_it_thaws_first_and_keeps_the_users_configuration_only(guest):
    freeze(guest, "/srv")
    erased(guest, guest.rpm("-e", "snapfreeze-agent"))
    assert guest.sh("ls /etc/snapfreeze") == "agent.conf" and guest.pull(CONFIG).decode().endswith(OURS)
    guest.run(["rm", "-r", "/etc/snapfreeze"])
    assert left_behind(guest) == []


def test_installed_over_what_a_dead_qemu_ga_has_frozen_it_thaws_before_a_file_is_there(guest):
    guest.rpm("-i", guest.theirs)
    guest.freeze_by_qemu_ga()
    guest.run("systemctl stop qemu-guest-agent; systemctl reset-failed")  # killed, since it does not end while frozen
    assert guest.blocked(BOTH, timeout=2) == ["/srv"]
    # Without options of its: the sample becomes the configuration.
    guest.push(b"FSFREEZE_HOOK_PATHNAME=/etc/qemu-ga/fsfreeze-hook\n", "/etc/sysconfig/qemu-ga", 0o644)
    said = guest.rpm("-i", guest.ours)
    assert f"qemu-ga was ended with this guest frozen ({NOTE.removeprefix('/var')})" in said and "/srv\n" in said
    assert is_up(guest)
    told(guest, "qemu-ga")
    guest.rpm("-e", "qemu-guest-agent")
    assert is_up(guest)


def test_both_processes_dead_an_erasure_thaws_first_and_leaves_nothing(guest):
    freeze(guest, "/srv")
    pids = f"{guest.agent_pid} {guest.freezer_pid}"
    # Not started anew by systemd either.
    guest.run(f"systemctl mask --runtime {UNIT}; kill -STOP {pids}; kill -9 {pids}")
    said = guest.rpm("-e", "snapfreeze-agent")
    guest.run(f"systemctl unmask --runtime {UNIT}; systemctl reset-failed; :")
    erased(guest, said)
    assert left_behind(guest) == []
