# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds the packages under test out of the source tree, once for each content of it."""

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path

import image
from image import cache_dir, locked, need

TREE = Path(__file__).resolve().parent.parent.parent


def build(tree=TREE):
    """Name -> path of each Debian package of @tree ("snapfreeze-agent", "snapfreeze", and their -dbgsym)."""
    need("dh", "dpkg-buildpackage", "autoreconf")
    return {path.name.partition("_")[0]: path for path in sorted(_built(tree, "build-deb").glob("*.deb"))}


def build_rpm(tree=TREE, release=1):
    """Name -> path of each rpm package."""
    need("rpmbuild", "autoreconf")
    newer = ["--define", f"dist .{release}"] if release != 1 else []
    folder = _built(tree, "build-rpm", "--nodeps", *newer)
    return {re.sub(r"-\d.*", "", path.name): path for path in sorted(folder.glob("*.rpm"))}


def build_qemu_ga_rpm():
    """The path of a package of Debian's qemu-ga, made as Fedora's is."""
    need("rpmbuild")
    spec = image.HERE / "guest/qemu-guest-agent.rpmspec"
    program = image.base().tree / "usr/sbin/qemu-ga"
    key = hashlib.sha256(spec.read_bytes() + program.read_bytes()).hexdigest()[:16]
    target = cache_dir() / f"qemu-guest-agent-{key}.rpm"
    with locked("packages"), tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
        if not target.exists():
            image.output("rpmbuild", "-bb", "--nodeps", "--define", f"_topdir {scratch}", "--define", f"program {program}",
                         "--define", "debug_package %{nil}", spec)
            built, = Path(scratch).glob("RPMS/*/*.rpm")
            built.rename(target)
    return target


def _built(tree, program, *options):
    """The folder with what packaging/@program makes of @tree."""
    with locked("packages"), tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
        copy = Path(scratch) / "tree"
        subprocess.run([tree / "packaging/copy-tree", copy], check=True)
        folder = cache_dir() / f"{program}-{_hash(copy, options)}"
        if not folder.exists():
            out = Path(scratch) / "out"
            made = subprocess.run([copy / "packaging" / program, "--output", out, *options], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=1800)
            if made.returncode != 0:
                raise RuntimeError(f"{program}: {made.stdout[-4000:]}{made.stderr[-4000:]}")
            (out / "log").write_text(made.stdout + made.stderr)
            out.rename(folder)
    return folder


def _hash(tree, options):
    """Of all that a package may depend on; not of the tests in guests."""
    whole = hashlib.sha256(repr(options).encode())
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        name = path.relative_to(tree)
        if not str(name).startswith(("qa/vm/", "autom4te.cache/")) and "__pycache__" not in name.parts:
            whole.update(f"{name}\0{path.stat().st_mode & 0o111}\0".encode() + path.read_bytes())
    return whole.hexdigest()[:16]
