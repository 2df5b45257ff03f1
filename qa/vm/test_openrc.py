# SPDX-License-Identifier: LGPL-2.1-or-later
"""packaging/openrc/snapfreeze-agent under a real OpenRC: Debian's package of it, in the shared guest."""

import subprocess

import pytest

import image
import packages
from holding import ALL, SECOND_MS, told, writable_ms
from test_scripts import Installed, deb, unpacked  # noqa: F401 (fixtures)

NEEDED = ["openrc", "libeinfo1", "librc1", "libaudit1", "libpam0g", "libselinux1", "libcap-ng0", "libpcre2-8-0"]
SERVICE = packages.TREE / "packaging/openrc/snapfreeze-agent"
STATES = ["exclusive", "starting", "started", "stopping", "inactive", "wasinactive", "failed", "crashed", "hotplugged",
          "daemons", "options", "scheduled", "tmp"]
# What others of a distribution with OpenRC bring.
STUB = b"#!/sbin/openrc-run\nstart() { :; }\n"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """OpenRC and its libraries, as a tar archive."""
    folder = tmp_path_factory.mktemp("openrc")
    try:
        image.output("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *NEEDED, cwd=folder, timeout=300)
    except image.Unavailable as error:
        pytest.skip(str(error))
    for package in folder.glob("*.deb"):
        image.output("dpkg-deb", "-x", package, folder / "tree")
    # The guest's /lib, /bin and /sbin are links into /usr.
    image.output("cp", "-a", *(folder / "tree" / part for part in ("lib", "bin", "sbin")
                               if (folder / "tree" / part).exists()), folder / "tree/usr")
    parts = ["usr/lib", "usr/bin", "usr/sbin", "etc/rc.conf"]
    parts = [part for part in parts if (folder / "tree" / part).exists()]
    return subprocess.run(["tar", "-C", folder / "tree", "-c", *parts], capture_output=True, check=True).stdout


class Service(Installed):
    """The agent as OpenRC starts it."""

    def rc(self, *words, check=True):
        return self.guest.run(["rc-service", "snapfreeze-agent", *words], check=check)

    def stop(self, timeout=60):
        self.port.close()
        self.rc("stop", check=False)

    @property
    def pid(self):
        return min(map(int, self.guest.sh("pidof snapfreeze-agent").split()))  # its children come later

    def wait_up(self):
        """Until an agent of OpenRC's answers."""
        self.port.close()
        self.guest.wait_for("pidof snapfreeze-agent")
        self.port.open()
        return self.port.sync(60)


@pytest.fixture
def service(unpacked, archive):  # noqa: F811
    guest = unpacked
    guest.run("mkdir -p /etc/init.d /etc/conf.d /etc/runlevels/default && tar -x -C /", input=archive)
    # As "openrc default" leaves it at boot.
    guest.run(["mkdir", "-p", *(f"/run/openrc/{state}" for state in STATES)])
    guest.run("echo default >/run/openrc/softlevel")
    guest.push(SERVICE, "/etc/init.d/snapfreeze-agent")
    guest.push(STUB, "/etc/init.d/localmount")
    service = Service(guest)
    service.rc("start")
    service.wait_up()
    yield service
    service.stop()
    guest.run("rm -rf /etc/init.d /etc/conf.d /etc/runlevels /run/openrc /run/snapfreeze-agent.*")


def test_stop_thaws(service):
    assert service.freeze() == len(ALL)
    service.port.close()
    service.rc("stop")
    assert writable_ms(service.guest) < SECOND_MS
    assert service.guest.run("pidof snapfreeze-agent snapfreeze-freezer", check=False).returncode != 0
    service.rc("start")
    service.wait_up()
    told(service)


def test_both_killed_while_frozen_the_next_start_thaws(service):
    assert service.freeze() == len(ALL)
    both = f"{service.freezer_pid} {service.pid}"
    service.guest.run(f"kill -STOP {both}; kill -9 {both}")
    assert writable_ms(service.guest) < 20 * SECOND_MS
    service.wait_up()
    told(service)


def test_it_comes_back_however_often_it_dies(service):
    for _ in range(12):  # more than OpenRC's default allows
        pid = service.pid
        service.guest.run(f"kill -9 {pid}")
        service.guest.wait_for(lambda old=pid: str(old) not in service.guest.sh("pidof snapfreeze-agent; :").split()
                               and service.guest.sh("pidof snapfreeze-agent; :"))
    service.wait_up()
