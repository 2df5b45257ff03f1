# SPDX-License-Identifier: LGPL-2.1-or-later
"""The disks of a Debian 12 guest as a user has it: / by debootstrap, with systemd, journald on disk, cron and qemu-ga;
and an XFS for /srv. Nothing of the tests and nothing of ours is on them (guest/init lays the tests' part into tmpfs)."""

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import disks
import image
from guest import Disk

SUITE = "bookworm"
# Beside debootstrap's smallest set: what a server has, and what our packages depend on (the guest has no network).
PACKAGES = """
init systemd systemd-sysv udev dbus libpam-systemd kmod cron procps e2fsprogs xfsprogs iproute2 sudo qemu-guest-agent
rpm
libglib2.0-0 libjson-glib-1.0-0 libmount1 libcap-ng0
""".split()
FILES = {
    "etc/hostname": "guest\n",
    "etc/hosts": "127.0.0.1 localhost guest\n",
    "etc/fstab": "/dev/disk/by-id/virtio-installed / ext4 errors=remount-ro 0 1\n"
                 "/dev/disk/by-id/virtio-srv /srv xfs defaults 0 2\n",
    "etc/systemd/journald.conf.d/persistent.conf": "[Journal]\nStorage=persistent\n",
    "etc/cron.d/every-minute": "* * * * * root date +\\%s >>/var/log/every-minute\n",
}
# They would hold dpkg's lock or load the disk in the middle of a case.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
          "e2scrub_reap.service", "fstrim.timer"]


def _mirror():
    """Where this machine's apt gets the suite from."""
    lines = image.output("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(IDENTIFIER)").splitlines()
    found = [line.split()[0] for line in lines if line.split()[1:] == [SUITE, "Packages"]]
    if not found:
        raise image.Unavailable(f"apt's sources have no {SUITE}")
    return found[0]


def _environment():
    """debootstrap fetches as apt does: through apt's proxy, where it has one."""
    proxy = re.search(r"proxy='(.*)'", image.output("apt-config", "shell", "proxy", "Acquire::http::Proxy"))
    return {**os.environ, **({"http_proxy": proxy[1], "https_proxy": proxy[1]} if proxy else {})}


@functools.cache
def _versions():
    """The packages with all that they need; the kernel is the other guests'."""
    empty = image.cache_dir() / "no-packages-installed"
    empty.touch()
    plan = image.output("apt-get", "-s", "-o", f"Dir::State::status={empty}", "--no-install-recommends", "install",
                        *PACKAGES)
    return dict(re.findall(r"^Inst (\S+) \((\S+)", plan, re.M))


def _bootstrap(tree):
    # In a mount namespace, where there can be one (not in every chroot): what it mounts goes with it, however it ends.
    apart = ["unshare", "--mount", "--propagation", "private"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode != 0:
        apart = []
    image.output(*apart, "debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, tree, _mirror(),
                 env=_environment(), timeout=1800)
    shutil.rmtree(tree / "var/cache/apt/archives", ignore_errors=True)
    for index in (tree / "var/lib/apt/lists").glob("*"):
        if index.is_file():
            index.unlink()


def _add_kernel(tree, debs):
    """All its modules, as its package has them."""
    kernel = {name: version for name, version in image.resolve().items() if name.startswith("linux-image-")}
    image.download(kernel, debs)
    for deb in debs.glob("*.deb"):
        image.output("dpkg-deb", "-x", deb, debs / "root")
    modules, = (debs / "root").glob("lib/modules/*")
    shutil.move(modules, tree / "usr/lib/modules" / modules.name)
    image.output("chroot", tree, "depmod", modules.name)


def _configure(tree):
    for name, text in FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    for unit in MASKED:
        (tree / "etc/systemd/system" / unit).symlink_to("/dev/null")
    for folder in ("qa", "usr/lib/modules", "var/cache/apt/archives/partial"):
        (tree / folder).mkdir(parents=True, exist_ok=True)


def _build(folder):
    if os.geteuid() != 0:
        raise image.Unavailable("root is needed to make a Debian guest (debootstrap)")
    image.need("debootstrap", "unshare", "chroot")
    with tempfile.TemporaryDirectory(dir=image.cache_dir()) as scratch:
        scratch = Path(scratch)
        tree, out = scratch / "tree", scratch / "out"
        out.mkdir()
        _bootstrap(tree)
        _configure(tree)
        _add_kernel(tree, scratch / "debs")
        disks.ext4(out / "installed", 2048, tree=tree)
        disks.xfs(out / "srv", 320)
        (out / "packages").write_text(json.dumps(_versions(), indent=1, sort_keys=True))
        shutil.rmtree(folder, ignore_errors=True)
        out.rename(folder)


def _folder():
    base = image.base()
    try:
        versions = _versions()
    except image.Unavailable:
        # Without apt's lists: what was built last.
        made = sorted(image.cache_dir().glob("installed-*/packages"), key=lambda path: path.stat().st_mtime)
        if not made:
            raise
        return made[-1].parent
    seed = repr(sorted(versions.items())).encode() + Path(__file__).read_bytes()
    folder = image.cache_dir() / f"installed-{hashlib.sha256(seed + base.release.encode()).hexdigest()[:16]}"
    with image.locked("installed"):
        if not folder.exists():
            _build(folder)
    return folder


def installed_disks():
    """The disks of the guest, built where the cache has none for the packages' present versions (two minutes)."""
    folder = _folder()
    return [Disk("installed", folder / "installed"), Disk("srv", folder / "srv")]
