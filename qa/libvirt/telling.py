# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases: what libvirt tells of the guest, compared with what the guest itself says; what it changes there."""

import contextlib
import re
import struct
import time

import accounts
import proof
from case import case
from domain import MAC
from lab import ADDRESS, PATHS

SOME_TIME = 2000000000


def words(text):
    """virsh's "name : value" lines."""
    return dict(re.split(r"\s*:\s+", line, maxsplit=1) for line in text.splitlines() if " : " in line or ": " in line)


def rows(text):
    """The rows of a table of virsh's, without its head."""
    return [line.split() for line in text.partition("---\n")[2].splitlines()]


@case("domfsinfo", "every mounted filesystem, with its type and its disk as libvirt names it")
def domfsinfo_tells_of_what_is_mounted(lab):
    wanted = {path: [lab.guest.targets()[fstype], fstype, lab.guest.targets()[fstype]]
              for fstype, path in proof.FILESYSTEMS.items()}
    assert {row[0]: row[1:] for row in rows(lab.virsh("domfsinfo"))} == wanted
    lab.guest.run(["umount", PATHS[0]])
    try:
        assert {row[0] for row in rows(lab.virsh("domfsinfo"))} == set(PATHS[1:])
    finally:
        proof.mount_disks(lab.guest)
    return ", ".join(f"{path} {target}" for path, (_, _, target) in wanted.items())


@case("domhostname --source agent", "the name that the guest has now")
def domhostname_is_the_guests(lab):
    assert lab.virsh("domhostname", "--source", "agent") == "guest"
    lab.guest.run(["hostname", "other"])
    try:
        assert lab.virsh("domhostname", "--source", "agent") == "other"
    finally:
        lab.guest.run(["hostname", "guest"])
    return "guest, then other"


@case("domifaddr --source agent", "the guest's addresses, beside the card of the domain's description")
def domifaddr_tells_the_guests_addresses(lab):
    def told():
        return [row[1:] for row in rows(lab.virsh("domifaddr", "--source", "agent", "--full")) if row[0] == "eth0"]
    assert [MAC, "ipv4", f"{ADDRESS}/24"] in told()
    lab.guest.run("ip addr add 198.51.100.7/28 dev eth0")
    try:
        assert [MAC, "ipv4", "198.51.100.7/28"] in told()
    finally:
        lab.guest.run("ip addr del 198.51.100.7/28 dev eth0")
    return f"{MAC} {ADDRESS}/24"


@case("guestinfo --os --timezone --hostname", "what the guest's own files and kernel say")
def guestinfo_tells_of_the_system(lab):
    told = words(lab.virsh("guestinfo", "--os", "--timezone", "--hostname"))
    assert told["os.kernel-release"] == lab.guest.sh("uname -r")
    assert told["os.machine"] == lab.guest.sh("uname -m")
    assert told["os.pretty-name"] == lab.guest.sh('. /etc/os-release; echo "$PRETTY_NAME"')
    assert (told["os.id"], told["os.version-id"]) == ("debian", "12")
    assert (told["timezone.name"], told["timezone.offset"], told["hostname"]) == ("UTC", "0", "guest")
    return told["os.pretty-name"] + ", " + told["os.kernel-release"]


@case("guestinfo --user", "who is logged in, since when")
def guestinfo_tells_who_is_logged_in(lab):
    entry = struct.pack("<h2xi32s4s32s256shhiii4i20x", 7, 1, b"tty1", b"1", b"qa", b"", 0, 0, 0, 300, 250000, 0, 0, 0, 0)
    assert words(lab.virsh("guestinfo", "--user"))["user.count"] == "0"
    lab.guest.push(entry, "/run/utmp", 0o644)
    try:
        told = words(lab.virsh("guestinfo", "--user"))
        assert (told["user.count"], told["user.0.name"], told["user.0.login-time"]) == ("1", "qa", "300250")
    finally:
        lab.guest.run(["rm", "/run/utmp"])
    return "nobody, then qa"


@case("guestinfo --filesystem", "size and use as the guest sees them, and the disk below")
def guestinfo_tells_of_filesystems(lab):
    told = words(lab.virsh("guestinfo", "--filesystem"))
    assert told["fs.count"] == "3"
    for number in range(3):
        path = told[f"fs.{number}.mountpoint"]
        fstype = next(name for name, where in proof.FILESYSTEMS.items() if where == path)
        total, free, usable, size = map(int, lab.guest.sh(f"stat -f -c '%b %f %a %S' {path}").split())
        # Without what is reserved for root.
        assert int(told[f"fs.{number}.total-bytes"]) == (total - free + usable) * size
        assert int(told[f"fs.{number}.used-bytes"]) == (total - free) * size
        assert (told[f"fs.{number}.fstype"], told[f"fs.{number}.disk.0.serial"]) == (fstype, fstype)
        assert told[f"fs.{number}.disk.0.alias"] == lab.guest.targets()[fstype]
    return "3 filesystems, to the byte what statfs says"


@case("guestinfo --disk --interface", "the guest's disks with their serials, its cards with their addresses")
def guestinfo_tells_of_disks_and_cards(lab):
    told = words(lab.virsh("guestinfo", "--disk", "--interface"))
    disks = {told[f"disk.{n}.alias"]: told[f"disk.{n}.serial"] for n in range(int(told["disk.count"]))}
    assert disks == {target: serial for serial, target in lab.guest.targets().items()}
    cards = {told[f"if.{n}.name"]: n for n in range(int(told["if.count"]))}
    assert set(cards) == set(lab.guest.sh("ls /sys/class/net").split())
    assert told[f"if.{cards['eth0']}.hwaddr"] == MAC
    assert told[f"if.{cards['eth0']}.addr.0.addr"] == ADDRESS
    return f"{len(disks)} disks, {len(cards)} cards"


@case("guestinfo (all)", "all types at once")
def guestinfo_tells_all_at_once(lab):
    told = words(lab.virsh("guestinfo"))
    assert {"user.count", "os.id", "timezone.offset", "hostname", "fs.count", "disk.count", "if.count"} <= set(told)
    return f"{len(told)} values"


# ---- what changes something

def discarded(guest, device):
    """Sectors that the guest has given back, by its kernel's counters."""
    return int(guest.sh(f"grep -w {device} /proc/diskstats").split()[16])


@case("domfstrim [--minimum]", "what was deleted is given back to the image; too small pieces are not")
def domfstrim_gives_back_what_was_deleted(lab):
    guest, path = lab.guest, f"{PATHS[0]}/deleted"
    image = guest.images()["ext4"]
    guest.run(f"dd if=/dev/urandom of={path} bs=1M count=24; sync -f {path}; rm {path}; sync -f {PATHS[0]}")
    before, held = discarded(guest, "vda"), image.stat().st_blocks * 512
    lab.virsh("domfstrim", "--minimum", 1 << 40)
    assert discarded(guest, "vda") == before
    lab.virsh("domfstrim")
    sectors = discarded(guest, "vda") - before
    assert sectors * 512 >= 24 << 20
    # QEMU frees the clusters: the file itself has holes again.
    guest.wait_for(lambda: held - image.stat().st_blocks * 512 >= 20 << 20, what="a smaller image")
    return f"{sectors >> 11} MiB discarded, the image smaller by {(held - image.stat().st_blocks * 512) >> 20} MiB"


@contextlib.contextmanager
def any_time(lab):
    """The guest's clocks may be set; the host's time at the end."""
    try:
        yield
    finally:
        lab.virsh("domtime", "--time", int(time.time()))


@case("domtime, --pretty, --time, --now", "reads and sets the guest's clock, and its hardware clock with it")
def domtime_reads_and_sets_both_clocks(lab):
    def system():
        return int(lab.guest.sh("date +%s"))

    def hardware():
        return int(lab.guest.sh("cat /sys/class/rtc/rtc0/since_epoch"))
    with any_time(lab):
        assert abs(int(words(lab.virsh("domtime"))["Time"]) - system()) < 60
        lab.virsh("domtime", "--time", SOME_TIME)
        assert 0 <= system() - SOME_TIME < 60 and abs(system() - hardware()) <= 2
        assert "2033-05-18" in lab.virsh("domtime", "--pretty")
        lab.virsh("domtime", "--now")
        assert abs(system() - time.time()) < 60 and abs(system() - hardware()) <= 2
    return "2033 in both clocks, and back"


@case("domtime --sync", "the guest's clock follows its hardware clock")
def domtime_sync_follows_the_hardware_clock(lab):
    with any_time(lab):
        lab.guest.run("date -s @1500000000")
        lab.virsh("domtime", "--sync")
        assert abs(int(lab.guest.sh("date +%s")) - time.time()) < 60
    return "from 2017 to now"


@case("guestvcpus, --disable, --enable", "the guest's processor goes, and comes again")
def guestvcpus_takes_processors_away_and_back(lab):
    def online():
        return lab.guest.sh("cat /sys/devices/system/cpu/online")
    assert words(lab.virsh("guestvcpus")) == {"vcpus": "0-1", "online": "0-1", "offlinable": "1"}
    lab.virsh("guestvcpus", "--disable", "--cpulist", "1")
    try:
        assert online() == "0"
        assert words(lab.virsh("guestvcpus"))["online"] == "0"
        lab.refused("guestvcpus", "--disable", "--cpulist", "0")
    finally:
        lab.virsh("guestvcpus", "--enable", "--cpulist", "1")
    assert online() == "0-1"
    return "online 0-1, 0, 0-1; processor 0 refused"


@case("setvcpus --guest", "so many processors are left in the guest")
def setvcpus_in_the_guest(lab):
    lab.virsh("setvcpus", "--guest", "1")
    try:
        assert lab.guest.sh("nproc") == "1"
    finally:
        lab.virsh("setvcpus", "--guest", "2")
    assert lab.guest.sh("nproc") == "2"
    return "nproc 1, then 2"


@case("set-user-password [--encrypted]", "the guest's PAM takes the new password, and the old one no more")
def set_user_password_changes_what_the_guest_accepts(lab):
    accounts.install(lab.guest)
    lab.virsh("set-user-password", "qa", "first: one")
    assert accounts.accepts(lab.guest, "qa", "first: one")
    lab.virsh("set-user-password", "qa", "second")
    assert accounts.accepts(lab.guest, "qa", "second") and not accounts.accepts(lab.guest, "qa", "first: one")
    hashed = lab.guest.sh("grep ^qa: /etc/shadow").split(":")[1]
    lab.virsh("set-user-password", "qa", "third")
    lab.virsh("set-user-password", "qa", hashed, "--encrypted")
    assert accounts.accepts(lab.guest, "qa", "second") and not accounts.accepts(lab.guest, "qa", "third")
    lab.refused("set-user-password", "nobody-here", "x")
    return f"hashed as ${hashed.split('$')[1]}$"


@case("set-user-sshkeys, get-user-sshkeys", "the keys of the user's own file, his and readable by nobody else")
def sshkeys_are_those_of_the_users_file(lab):
    keys = [f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number} qa@{number}" for number in range(3)]

    def write(*lines):
        path = lab.folder / "keys"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def has(expected):
        # This virsh prints one key behind the other.
        told = lab.virsh("get-user-sshkeys", "qa").replace("\n", "")
        there = lab.guest.sh("cat /home/qa/.ssh/authorized_keys").splitlines()
        return (told, there) == ("".join(expected), expected)
    lab.virsh("set-user-sshkeys", "qa", "--file", write(*keys[:2]))
    assert has(keys[:2])
    assert lab.guest.sh("stat -c '%u:%g %a' /home/qa/.ssh/authorized_keys") == "1000:1000 600"
    lab.virsh("set-user-sshkeys", "qa", "--file", write(keys[2], keys[1]))
    assert has(keys)
    lab.virsh("set-user-sshkeys", "qa", "--remove", "--file", write(keys[0]))
    assert has(keys[1:])
    lab.virsh("set-user-sshkeys", "qa", "--reset", "--file", write(keys[0]))
    assert has(keys[:1])
    lab.refused("get-user-sshkeys", "nobody-here")
    lab.guest.run("rm -r /home/qa/.ssh")
    return "2 set, 1 added, 1 removed, all replaced; owner qa, mode 600"
