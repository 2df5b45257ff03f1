# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian and rpm packages of this tree: built, looked at, and compared with each other. No guest."""

import re
import shutil
import subprocess

import pytest

import image
import packages

TREE = packages.TREE
# Debian's place of what rpm has elsewhere.
NAMES = [(r"^/lib/", "/usr/lib/"), (r"\.gz$", "")]
# What only one of the two has: its own papers.
PAPERS = re.compile(r"^/usr/share/(doc|licenses|lintian)/|^/usr/lib/\.build-id|^/etc/snapfreeze/agent\.conf$")


def run(*argv):
    result = subprocess.run([str(arg) for arg in argv], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{argv}: {result.stdout[-2000:]}{result.stderr[-2000:]}"
    return result.stdout


def built(build):
    try:
        return build()
    except image.Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def debs():
    return built(packages.build)


@pytest.fixture(scope="module")
def rpms():
    return built(packages.build_rpm)


def deb_files(deb):
    """Path -> (mode, owner) of all but folders."""
    lines = [line.split(None, 5) for line in run("dpkg-deb", "-c", deb).splitlines()]
    return {line[5].partition(" -> ")[0][1:]: (line[0], line[1]) for line in lines if not line[0].startswith("d")}


def rpm_files(rpm):
    lines = run("rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILENAMES}\n]", rpm).splitlines()
    return {path: mode for mode, path in (line.split(" ", 1) for line in lines) if not mode.startswith("d")}


def field(deb, name):
    return run("dpkg-deb", "-f", deb, name).strip()


def test_lintian_finds_nothing(debs):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed")
    changes = next(debs["snapfreeze"].parent.glob("*.changes"))
    assert run("lintian", "--allow-root", "--fail-on", "error,warning", changes) == ""


def test_the_agents_package_has_what_a_guest_needs(debs):
    files = deb_files(debs["snapfreeze-agent"])
    assert {"/usr/sbin/snapfreeze-agent", "/usr/libexec/snapfreeze/snapfreeze-freezer",
            "/lib/systemd/system/snapfreeze-agent.service", "/lib/udev/rules.d/99-snapfreeze-agent.rules",
            "/usr/lib/tmpfiles.d/snapfreeze.conf", "/usr/share/snapfreeze/agent.conf",
            "/usr/share/snapfreeze/hooks.d/mysql.session", "/usr/share/man/man8/snapfreeze-agent.8.gz",
            "/usr/share/man/man5/snapfreeze-agent.conf.5.gz", "/usr/share/man/man7/snapfreeze-hooks.7.gz",
            "/usr/share/man/man7/snapfreeze-protocol.7.gz"} <= set(files)
    # While it exists qemu-ga's is not read.
    assert "/etc/snapfreeze/agent.conf" not in files
    for path, (mode, owner) in files.items():
        runs = path.startswith(("/usr/sbin/", "/usr/libexec/", "/usr/share/snapfreeze/hooks.d/"))
        assert mode[0] == "l" or (mode, owner) == ("-rwxr-xr-x" if runs else "-rw-r--r--", "root/root"), path


def test_the_clients_package_has_the_client_alone(debs):
    files = set(deb_files(debs["snapfreeze"]))
    assert {path for path in files if not PAPERS.match(path)} == {
        "/usr/bin/snapfreeze", "/usr/share/bash-completion/completions/snapfreeze",
        "/usr/share/man/man1/snapfreeze.1.gz"}


def test_no_file_names_a_folder_of_the_build(debs, tmp_path):
    for name in ("snapfreeze-agent", "snapfreeze"):
        run("dpkg-deb", "-x", debs[name], tmp_path / name)
    for path in (path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()):
        assert not re.search(rb"/usr/local/(libexec|etc|share)|/snapfreeze-deb-|@sbindir@", path.read_bytes()), path
    unit = (tmp_path / "snapfreeze-agent/lib/systemd/system/snapfreeze-agent.service").read_text()
    assert re.findall(r"^Exec\w+=(\S+)", unit, re.M) == ["/usr/sbin/snapfreeze-agent"] * 2


def test_the_agent_takes_qemu_guest_agents_place(debs):
    for name in ("Conflicts", "Provides", "Replaces"):
        assert field(debs["snapfreeze-agent"], name) == "qemu-guest-agent", name
        assert field(debs["snapfreeze"], name) == ""
    depends = field(debs["snapfreeze-agent"], "Depends")
    assert all(library in depends for library in ("libc6", "libglib2.0-0", "libjson-glib-1.0-0", "libmount1"))
    assert "qemu" not in depends


def test_the_scripts_thaw_first(debs, tmp_path):
    run("dpkg-deb", "--control", debs["snapfreeze-agent"], tmp_path / "control")
    scripts = [tmp_path / "control" / name for name in ("preinst", "prerm", "postinst", "postrm")]
    for script in scripts:
        run("dash", "-n", script)
        text = script.read_text()
        assert "#DEBHELPER#" not in text and "THAW_FIRST" not in text
        # Nothing of the package is there before it is unpacked, and nothing writes before it has thawed.
        if script.name in ("preinst", "prerm"):
            assert "thaw_first ||" in text


def test_the_version_is_the_same_everywhere(debs):
    configure = (TREE / "configure.ac").read_text()
    version = re.search(r"AC_INIT\(\[snapfreeze\], \[(.*)\]\)", configure)[1]
    assert field(debs["snapfreeze"], "Version").partition("-")[0] == version
    assert re.search(r"^Version: (.*)$", (TREE / "packaging/snapfreeze.spec").read_text(), re.M)[1] == version


def test_rpms_files_are_debians(debs, rpms):
    for name in ("snapfreeze-agent", "snapfreeze"):
        ours = set()
        for path in deb_files(debs[name]):
            for pattern, other in NAMES:
                path = re.sub(pattern, other, path)
            ours.add(path)
        theirs = {re.sub(r"\.gz$", "", path) for path in rpm_files(rpms[name])}
        assert {path for path in ours ^ theirs if not PAPERS.match(path)} == set()


def test_rpms_scripts_thaw_first(rpms, tmp_path):
    for name in ("PREIN", "PREUN", "POSTIN", "POSTUN"):
        text = run("rpm", "-qp", "--qf", f"%{{{name}}}", rpms["snapfreeze-agent"])
        (tmp_path / name).write_text(text)
        run("dash", "-n", tmp_path / name)
        assert name.startswith("POST") or "thaw_first ||" in text
    asked = {name: run("rpm", "-qp", f"--{name}", rpms["snapfreeze-agent"]) for name in ("conflicts", "provides")}
    assert "qemu-guest-agent" in asked["conflicts"] and "qemu-guest-agent" in asked["provides"]
