# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds what a test guest boots from, out of Debian's packages, which are unpacked and never installed.

Two parts. The base (kernel, an archive with tools, libraries and modules, the tree for a root file
system) is cached by the packages' versions. The extra archive (PID 1, our little C helpers, the
programs under test with their libraries) is made anew for each boot; the kernel unpacks one archive
behind the other. Nothing here needs root or a loop mount.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
KERNEL = "linux-image-cloud-amd64"
TOOLS = ["busybox-static", "kmod", "util-linux", "util-linux-extra", "mount", "e2fsprogs", "xfsprogs",
         "btrfs-progs", "dosfstools", "dmsetup", "lvm2", "strace", "qemu-guest-agent", "libjson-glib-1.0-0"]
# What the guest gets, by package: everything else of the packages stays out, to keep the boot short.
PROGRAMS = """
busybox kmod mount umount losetup fsfreeze setsid findmnt mountpoint lsblk blkid unshare nsenter setpriv
flock blockdev fstrim prlimit wipefs mke2fs e2fsck dumpe2fs tune2fs resize2fs debugfs mkfs.xfs
xfs_repair xfs_db xfs_io btrfs mkfs.btrfs mkfs.fat fsck.fat dmsetup lvm strace qemu-ga
""".split()
LINKS = {"mkfs.ext4": "mke2fs", "mkfs.vfat": "mkfs.fat", "modprobe": "kmod", "insmod": "kmod", "rmmod": "kmod",
         "lsmod": "kmod", "modinfo": "kmod", "pvcreate": "lvm", "vgcreate": "lvm", "lvcreate": "lvm",
         "lvremove": "lvm", "vgchange": "lvm", "vgremove": "lvm", "lvs": "lvm"}
# With what each depends on. Only the first line is loaded by PID 1; the rest comes when it is asked for.
MODULES = """
virtio_pci virtio_blk virtio_scsi sd_mod virtio_console
virtio_ring virtio_net virtio_balloon virtio-rng xfs btrfs vfat msdos isofs squashfs nls_cp437 nls_ascii
nls_utf8 nls_iso8859-1 loop dm-mod dm-snapshot dm-flakey dm-delay dm-zero dm-thin-pool dm-mirror
dm-log-writes overlay fuse cuse nbd zram null_blk md-mod raid0 raid1 linear bcache scsi_debug
vsock vsock_loopback vmw_vsock_virtio_transport crc32c_generic crc32c-intel libcrc32c xxhash_generic
blake2b_generic sha256_generic zstd lzo lzo-rle
""".split()
HELPERS = ["command-server", "qa-write", "qa-freeze", "qa-writer", "qa-socket", "qa-manager", "qa-mounts", "qa-hold",
           "qa-hog", "qa-fuse", "qa-storm", "qa-nbd"]
OURS = ["snapfreeze-agent", "snapfreeze-freezer", "snapfreeze"]


class Unavailable(Exception):
    """This machine lacks something that a guest needs; the text says what."""


def cache_dir():
    """Where packages, images and answers are kept between runs."""
    path = os.environ.get("SNAPFREEZE_VM_CACHE") or Path.home() / ".cache" / "snapfreeze" / "vm"
    path = Path(path).resolve()
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(name):
    """Keeps two runs from building the same thing at the same time."""
    with open(cache_dir() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def output(*argv, **options):
    """The standard output of a program that must succeed."""
    result = subprocess.run([str(arg) for arg in argv], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, **options)
    if result.returncode != 0:
        raise Unavailable(f"{' '.join(map(str, argv[:4]))}…: {result.stderr.strip()[-400:]}")
    return result.stdout


def need(*programs):
    """Names the programs of this machine that are missing."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [program for program in programs if not shutil.which(program, path=path)]
    if missing:
        raise Unavailable(f"missing: {', '.join(missing)} (qa/vm/install-tools installs them)")


# ---- packages

def resolve():
    """Package -> version, as _resolve(), remembered until apt's lists change."""
    need("apt-get", "apt-cache", "dpkg-deb")
    lists = Path("/var/lib/apt/lists")
    known = cache_dir() / "versions.json"

    def seed():
        return f"{lists.stat().st_mtime_ns if lists.exists() else 0} {hash_of_this_file()}"
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(known.read_text())
        if kept["seed"] == seed():
            return kept["versions"]
    versions = _resolve()
    scratch = cache_dir() / f"versions.{os.getpid()}"
    scratch.write_text(json.dumps({"seed": seed(), "versions": versions}))
    scratch.rename(known)
    return versions


def hash_of_this_file():
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _resolve():
    """The kernel's real package, the tools, and the libraries they depend on."""
    empty = cache_dir() / "no-packages-installed"
    empty.touch()

    def ask():
        shown = output("apt-cache", "show", "--no-all-versions", KERNEL)
        plan = output("apt-get", "-s", "-o", f"Dir::State::status={empty}", "--no-install-recommends", "install", *TOOLS)
        return shown, plan
    try:
        shown, plan = ask()
    except Unavailable:
        output("apt-get", "-q", "update")
        shown, plan = ask()
    match = re.search(r"^Depends:.*?(linux-image-\S+) \(= (\S+)\)", shown, re.M)
    if not match:
        raise Unavailable(f"{KERNEL} names no kernel package")
    versions = {match[1]: match[2]}
    for name, version in re.findall(r"^Inst (\S+) \((\S+)", plan, re.M):
        if name in TOOLS or (name.startswith("lib") and not re.match(r"lib(perl|python|icu|krb|db5|gdbm|sqlite)", name)):
            versions[name] = version
    return versions


def download(versions, into):
    into.mkdir(parents=True, exist_ok=True)
    wanted = [f"{name}={version}" for name, version in versions.items()]
    output("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *wanted, cwd=into, timeout=900)


def newest_image():
    """The image built last: what there is to use where apt knows no packages (any more)."""
    made = sorted(cache_dir().glob("image-*/done"), key=lambda path: path.stat().st_mtime)
    return made[-1].parent if made else None


# ---- the tree of the guest

def loader_of(root):
    name = "ld-linux-x86-64.so.2"
    # Not by /lib64: there it is an absolute link, and would lead out of @root.
    places = [root / folder / name for folder in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib64")]
    return next((path for path in places if path.is_file()), Path("/lib64") / name)


def libraries(binary, root=Path("/")):
    """The shared libraries of @binary, as the loader of @root finds them; from this machine where it has none."""
    with open(binary, "rb") as file:
        if file.read(4) != b"\x7fELF":
            return []
    dirs = [root / d for d in ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib64")]
    result = subprocess.run([str(loader_of(root)), "--library-path", ":".join(map(str, dirs)), "--list", str(binary)],
                            capture_output=True, text=True)
    if "not found" in result.stdout:
        raise Unavailable(f"{binary}: {' '.join(line.strip() for line in result.stdout.splitlines() if 'not found' in line)}")
    found = re.findall(r"^\s*(\S+) => (/\S+) \(", result.stdout, re.M)
    return [(name, Path(path)) for name, path in found if not name.startswith("/")]


def place(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def find_program(root, name):
    for folder in ("usr/sbin", "sbin", "usr/bin", "bin"):
        if (root / folder / name).exists():
            return (root / folder / name).resolve()
    raise Unavailable(f"Debian's packages hold no program {name}")


def fill_tree(tree, root):
    """Programs, libraries and /etc of the guest."""
    for folder in ("usr/bin", "usr/sbin", "usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/local", "dev", "etc", "mnt",
                   "proc", "qa", "root", "run", "sys", "tmp", "var/log", "newroot"):
        (tree / folder).mkdir(parents=True)
    for link in ("bin", "sbin", "lib", "lib64"):
        (tree / link).symlink_to(f"usr/{link}")
    (tree / "var/run").symlink_to("../run")
    place(loader_of(root), tree / "usr/lib64/ld-linux-x86-64.so.2")
    for name in PROGRAMS:
        source = find_program(root, name)
        place(source, tree / "usr/sbin" / name)
        for library, path in libraries(source, root):
            place(path, tree / "usr/lib/x86_64-linux-gnu" / library)
    for library in ("libjson-glib-1.0.so.0", "libgio-2.0.so.0", "libgobject-2.0.so.0", "libmount.so.1"):
        source = root / "usr/lib/x86_64-linux-gnu" / library
        for name, path in [*libraries(source, root), (library, source)]:
            place(path.resolve(), tree / "usr/lib/x86_64-linux-gnu" / name)
    for name, target in LINKS.items():
        (tree / "usr/sbin" / name).symlink_to(target)
    for applet in output(tree / "usr/sbin/busybox", "--list").split():
        if not any((tree / "usr" / folder / applet).exists() for folder in ("bin", "sbin")):
            (tree / "usr/bin" / applet).symlink_to("../sbin/busybox")
    (tree / "etc/passwd").write_text("root::0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    (tree / "etc/group").write_text("root:x:0:\ndisk:x:6:\nnogroup:x:65534:\n")
    (tree / "etc/hostname").write_text("guest\n")
    (tree / "etc/os-release").write_text('PRETTY_NAME="snapfreeze test guest"\nNAME="Debian packages"\nID=debian\n'
                                         'VERSION_ID="12"\nVERSION="12 (bookworm)"\n')
    (tree / "etc/mtab").symlink_to("../proc/self/mounts")


def fill_modules(tree, root, release):
    """The modules of MODULES and what they need, with a dependency file of their own."""
    loader = loader_of(root)
    depmod = [loader, "--library-path", f"{loader.parent}:{root / 'usr/lib/x86_64-linux-gnu'}", "--argv0", "depmod",
              find_program(root, "kmod")]
    full = next(path for path in (root / "usr/lib/modules" / release, root / "lib/modules" / release) if path.exists())
    small = tree / "usr/lib/modules" / release
    small.mkdir(parents=True)
    base = full.parent.parent.parent
    output(*depmod, "-b", base, release)
    depends = {}
    for line in (full / "modules.dep").read_text().splitlines():
        module, _, needed = line.partition(":")
        depends[module] = needed.split()
    by_name = {re.sub(r"\.ko(\.xz|\.zst)?$", "", Path(module).name).replace("-", "_"): module for module in depends}
    wanted = set()
    for name in MODULES:
        module = by_name.get(name.replace("-", "_"))
        if module:  # else built in, or not in this kernel
            wanted |= {module, *depends[module]}
    for module in wanted:
        place(full / module, small / module)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copyfile(full / name, small / name)
    output(*depmod, "-b", tree, release)


# ---- archives

class Archive:
    """Writes a cpio archive in the kernel's format; owners are root whoever makes it."""

    def __init__(self, path):
        self.file = open(path, "wb")
        self.count = 0

    def add(self, name, mode, data=b"", rdev=(0, 0)):
        self.count += 1
        name = name.encode() + b"\0"
        fields = [self.count, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name), 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        self.file.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    def add_tree(self, tree):
        for folder, folders, files in os.walk(tree):
            for name in sorted(folders + files):
                path = Path(folder) / name
                info = path.lstat()
                inside = str(path.relative_to(tree))
                if stat.S_ISLNK(info.st_mode):
                    self.add(inside, 0o120777, os.readlink(path).encode())
                elif stat.S_ISDIR(info.st_mode):
                    self.add(inside, 0o040755)
                else:
                    self.add(inside, 0o100000 | info.st_mode & 0o777, path.read_bytes())

    def close(self):
        self.add("TRAILER!!!", 0)
        self.file.close()


class Image:
    """A built base: .kernel and .archive to boot, .tree for a root file system, .release of the kernel."""

    def __init__(self, folder):
        self.folder = folder
        self.kernel = folder / "vmlinuz"
        self.archive = folder / "base.cpio"
        self.tree = folder / "tree"
        self.release = (folder / "done").read_text().strip()
        self.key = folder.name


def build(folder, versions):
    with tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
        scratch = Path(scratch)
        download(versions, scratch / "debs")
        root, out = scratch / "root", scratch / "out"
        for deb in sorted((scratch / "debs").glob("*.deb")):
            output("dpkg-deb", "-x", deb, root)
        kernel = next((root / "boot").glob("vmlinuz-*"))
        release = kernel.name.partition("-")[2]
        out.mkdir()
        shutil.copyfile(kernel, out / "vmlinuz")
        fill_tree(out / "tree", root)
        fill_modules(out / "tree", root, release)
        archive = Archive(out / "base.cpio")
        archive.add("dev", 0o040755)
        archive.add("dev/console", 0o020600, rdev=(5, 1))
        archive.add_tree(out / "tree")
        archive.close()
        (out / "packages").write_text("".join(f"{n} {v}\n" for n, v in sorted(versions.items())))
        (out / "done").write_text(release + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        out.rename(folder)


@functools.cache
def base():
    """The base image, built where the cache has none for the packages' present versions."""
    try:
        versions = resolve()
    except Unavailable:
        if not newest_image():
            raise
        return Image(newest_image())
    seed = repr(sorted(versions.items())) + hash_of_this_file()
    folder = cache_dir() / f"image-{hashlib.sha256(seed.encode()).hexdigest()[:16]}"
    with locked("image"):
        if not (folder / "done").exists():
            build(folder, versions)
    return Image(folder)


# ---- what is under test, and our helpers

def helpers():
    """Folder with the C helpers, compiled by their content."""
    sources = [HERE / "guest" / f"{name}.c" for name in HELPERS]
    key = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    folder = cache_dir() / f"helpers-{key}"
    with locked("helpers"):
        if not folder.exists():
            compiler = next((cc for cc in ("cc", "gcc", "clang") if shutil.which(cc)), None)
            if not compiler:
                raise Unavailable("missing: a C compiler (qa/vm/install-tools installs it)")
            scratch = Path(tempfile.mkdtemp(dir=cache_dir()))
            for source in sources:
                output(compiler, "-std=gnu11", "-O2", "-Wall", "-static", "-o", scratch / source.stem, source)
            scratch.chmod(0o755)
            scratch.rename(folder)
    return folder


def build_paths(builddir):
    """The install folders of a configured build tree, by the names of its Makefile."""
    values = {}
    makefile = Path(builddir) / "Makefile"
    if makefile.exists():
        for name, value in re.findall(r"^(\w+) = (.*)$", makefile.read_text(), re.M):
            values.setdefault(name, value)

    def expand(name, default):
        text = values.get(name, default)
        for _ in range(8):
            text = re.sub(r"\$[({](\w+)[)}]", lambda match: values.get(match[1], ""), text)
        return text or default
    return {"snapfreeze-agent": expand("sbindir", "/usr/local/sbin"),
            "snapfreeze": expand("bindir", "/usr/local/bin"),
            "snapfreeze-freezer": expand("pkglibexecdir", "/usr/local/libexec/snapfreeze"),
            "sysconfdir": expand("sysconfdir", "/usr/local/etc")}


def find_ours(builddir):
    """Program -> its file in the build tree, of those that are built."""
    found = {}
    for name in OURS:
        for folder in (".", "agent", "agent/freezer", "client"):
            path = Path(builddir) / folder / name
            if path.is_file() and os.access(path, os.X_OK) and name not in found:
                found[name] = path
    return found


def extra(image, path, builddir=None):
    """Writes the archive of one boot to @path, behind the base."""
    place_in = {}
    if builddir:
        paths = build_paths(builddir)
        for name, program in find_ours(builddir).items():
            place_in[f"{paths[name].lstrip('/')}/{name}"] = program
            for library, source in libraries(program, image.tree):
                if not source.is_relative_to(image.tree):
                    place_in[f"usr/lib/x86_64-linux-gnu/{library}"] = source
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        for target, source in place_in.items():
            place(source, scratch / "extra" / target)
        (scratch / "extra").mkdir(exist_ok=True)
        for name in HELPERS:
            place(helpers() / name, scratch / "qa" / name)
        for script in ("qa/set-up-disks", "qa/name-devices", "qa/command-server.service", "init"):
            place(HERE / "guest" / Path(script).name, scratch / script)
            (scratch / script).chmod(0o755)
        with tempfile.NamedTemporaryFile() as own, open(path, "wb") as out:
            archive = Archive(own.name)
            archive.add_tree(scratch)
            archive.close()
            for part in (image.archive, own.name):
                with open(part, "rb") as file:
                    shutil.copyfileobj(file, out)
                out.write(b"\0" * (-out.tell() % 4))
