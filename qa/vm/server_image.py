# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest with real database servers: / is an ext4 disk with Debian's packages unpacked, each server's data lies on
a disk of its own (/data). Only the tests that ask for it pay for it: the other guests' image stays as it is."""

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import disks
import image
from guest import Disk

PACKAGES = ["mariadb-server-core", "mariadb-client-core", "postgresql-15", "redis-server", "bash", "dash", "coreutils",
            "findutils", "util-linux", "mount", "grep", "sed", "procps"]
# What their dependencies bring that neither the servers nor the hooks run.
UNUSED = re.compile(r"perl|libperl|lib.*-perl$|libllvm|libz3|gcc-12-base|usrmerge|adduser|debconf|locales|libc-l10n|ucf|"
                    r"openssl|ssl-cert|sensible|lsb-|init-sys|sysvinit|dpkg|tar$|passwd|libpam-|libaudit-|libsemanage|"
                    r"libsepol|postgresql-common|postgresql-client-common|libgdbm|libdb5")
UNREAD = ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/zoneinfo/right",
          "usr/lib/x86_64-linux-gnu/perl-base"]
USERS = {"mysql": 101, "postgres": 102, "redis": 103}


def _versions():
    """The packages with all that they need, without what is not used."""
    empty = image.cache_dir() / "no-packages-installed"
    empty.touch()

    def ask():
        return image.output("apt-get", "-s", "-o", f"Dir::State::status={empty}", "--no-install-recommends", "install",
                            *PACKAGES)
    try:
        plan = ask()
    except image.Unavailable:
        image.output("apt-get", "-q", "update")
        plan = ask()
    return {name: version for name, version in re.findall(r"^Inst (\S+) \((\S+)", plan, re.M) if not UNUSED.match(name)}


def _unpack(deb, tree):
    """Over what is there: /bin and the like stay links."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as reader:
        tar = subprocess.run(["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(tree)],
                             stdin=reader.stdout, capture_output=True, text=True)
    if reader.returncode != 0 or tar.returncode != 0:
        raise image.Unavailable(f"{deb.name}: {tar.stderr.strip()[-400:]}")


def _fill(tree, debs):
    for deb in debs:
        _unpack(deb, tree)
    for folder in UNREAD:
        shutil.rmtree(tree / folder, ignore_errors=True)
    (tree / "bin/sh").unlink(missing_ok=True)
    (tree / "bin/sh").symlink_to("dash")
    # Debian's own psql chooses among versions, and is in Perl.
    (tree / "usr/bin/psql").symlink_to("../lib/postgresql/15/bin/psql")
    for name, number in USERS.items():
        with open(tree / "etc/passwd", "a") as passwd, open(tree / "etc/group", "a") as group:
            passwd.write(f"{name}:x:{number}:{number}::/data:/bin/sh\n")
            group.write(f"{name}:x:{number}:\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost guest\n")
    (tree / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
    (tree / "data").mkdir(exist_ok=True)
    (tree / "copy").mkdir(exist_ok=True)


def root_disk():
    """The disk for / (append="qa.root=servers"), built where the cache has none for the packages' present versions."""
    base = image.base()
    try:
        versions = _versions()
    except image.Unavailable:
        # Without apt's lists: what was built last.
        made = sorted(image.cache_dir().glob("servers-*/servers"), key=lambda path: path.stat().st_mtime)
        if not made:
            raise
        return Disk("servers", made[-1])
    seed = repr(sorted(versions.items())).encode() + Path(__file__).read_bytes()
    folder = image.cache_dir() / f"servers-{hashlib.sha256(seed + base.key.encode()).hexdigest()[:16]}"
    with image.locked("servers"):
        if not (folder / "servers").exists():
            with tempfile.TemporaryDirectory(dir=image.cache_dir()) as scratch:
                scratch = Path(scratch)
                image.download(versions, scratch / "debs")
                shutil.copytree(base.tree, scratch / "tree", symlinks=True)
                _fill(scratch / "tree", sorted((scratch / "debs").glob("*.deb")))
                (scratch / "out").mkdir()
                disks.ext4(scratch / "out/servers", 900, tree=scratch / "tree")
                shutil.rmtree(folder, ignore_errors=True)
                (scratch / "out").rename(folder)
    return Disk("servers", folder / "servers")
