# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds the packages under test out of the source tree, once for each content of it."""

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path

from image import cache_dir, locked, need

TREE = Path(__file__).resolve().parent.parent.parent


def build(tree=TREE):
    """Name -> path of each Debian package of @tree ("snapfreeze-agent", "snapfreeze", and their -dbgsym)."""
    need("dh", "dpkg-buildpackage", "autoreconf")
    return {path.name.partition("_")[0]: path for path in sorted(_built(tree, "build-deb").glob("*.deb"))}


def build_rpm(tree=TREE):
    """Name -> path of each rpm package."""
    need("rpmbuild", "autoreconf")
    folder = _built(tree, "build-rpm", "--nodeps")
    return {re.sub(r"-\d.*", "", path.name): path for path in sorted(folder.glob("*.rpm"))}


def _built(tree, program, *options):
    """The folder with what packaging/@program makes of @tree."""
    with locked("packages"), tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
        copy = Path(scratch) / "tree"
        subprocess.run([tree / "packaging/copy-tree", copy], check=True)
        folder = cache_dir() / f"{program}-{_hash(copy)}"
        if not folder.exists():
            out = Path(scratch) / "out"
            made = subprocess.run([copy / "packaging" / program, "--output", out, *options], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=1800)
            if made.returncode != 0:
                raise RuntimeError(f"{program}: {made.stdout[-4000:]}{made.stderr[-4000:]}")
            (out / "log").write_text(made.stdout + made.stderr)
            out.rename(folder)
    return folder


def _hash(tree):
    """Of all that a package may depend on; not of the tests in guests."""
    whole = hashlib.sha256()
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        name = path.relative_to(tree)
        if not str(name).startswith(("qa/vm/", "autom4te.cache/")) and "__pycache__" not in name.parts:
            whole.update(f"{name}\0{path.stat().st_mode & 0o111}\0".encode() + path.read_bytes())
    return whole.hexdigest()[:16]
