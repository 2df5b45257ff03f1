# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real passwords for a guest: this machine's chpasswd and PAM, put there with the libraries that it lacks."""

import io
import tarfile
from pathlib import Path

import image

SECURITY = "/usr/lib/x86_64-linux-gnu/security"
FILES = ["/usr/sbin/chpasswd", "/usr/sbin/unix_chkpwd", f"{SECURITY}/pam_unix.so"]
TEXTS = {"/etc/pam.d/chpasswd": "password required pam_unix.so yescrypt\n",
         "/etc/login.defs": "ENCRYPT_METHOD YESCRYPT\n"}


def _find(path):
    """Where merged folders are links, or are not."""
    for candidate in (Path(path), Path(path.removeprefix("/usr"))):
        if candidate.exists():
            return candidate.resolve()
    raise image.Unavailable(f"missing: {path} (qa/vm/install-tools libvirt installs it)")


def _files():
    """Path in the guest -> file of this machine."""
    tree = image.base().tree
    files = {path: _find(path) for path in FILES}
    for program in list(files.values()):
        for name, path in image.libraries(program, tree):
            if not path.is_relative_to(tree):
                files[f"/usr/lib/x86_64-linux-gnu/{name}"] = path.resolve()
    return files


def install(guest):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        contents = {path: (0o755, source.read_bytes()) for path, source in _files().items()}
        contents |= {path: (0o644, text.encode()) for path, text in TEXTS.items()}
        for path, (mode, content) in contents.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    guest.run("tar -x -C /", input=data.getvalue())
    guest.run("umask 077; for user in root qa; do echo $user:!:19000:0:99999:7:::; done >/etc/shadow")


def accepts(guest, user, password):
    """Whether the guest's PAM takes @password."""
    return guest.run(["/usr/sbin/unix_chkpwd", user, "nonull"], input=password.encode() + b"\0", check=False).returncode == 0
