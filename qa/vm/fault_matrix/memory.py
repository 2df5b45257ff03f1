# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory runs out: reclaim, swap on the disk of what is frozen, and the kernel's killer."""

from . import own
from .cell import Failed
from .fault import ANY, Fault, only

SWAP_FILE = "/mnt/ext4-b/swap"


def swap_to_file(cell):
    cell.guest.run(f"""set -e
        dd if=/dev/zero of={SWAP_FILE} bs=1M count=64 2>/dev/null
        chmod 600 {SWAP_FILE}
        mkswap {SWAP_FILE} >/dev/null
        swapon {SWAP_FILE}""")


def end_swap_file(cell):
    cell.guest.run(f"swapoff {SWAP_FILE}; rm -f {SWAP_FILE}")


def press(cell):
    """Until the kernel had to kill somebody for want of memory; it goes on."""
    cell.scratch["freezer"] = cell.agent.freezer_pid
    cell.scratch["hog"] = hog = cell.guest.spawn(["qa-hog", 2])
    hog.wait_output("pressed", 240)


def release(cell):
    hog = cell.scratch.pop("hog", None)
    if hog:
        hog.kill(15)
        hog.wait(120)


def press_and_thaw(cell):
    press(cell)
    if cell.stage == "frozen":
        own.hear_thaw(cell, 120)
        own.check_others(cell)
        check_freezer_lives(cell)


def check_freezer_lives(cell):
    if cell.agent.freezer_pid != cell.scratch["freezer"]:
        raise Failed("1: the freezer did not outlive the want of memory")


def heal(cell):
    release(cell)
    check_freezer_lives(cell)


def partition(cell):
    """Swap and a filesystem, beside each other on one disk."""
    cell.guest.run(f"""set -e
        mkdir -p {own.OWN}
        disk=$(readlink -f /dev/qa/scsi-halves)
        printf 'o\\nn\\np\\n1\\n\\n+64M\\nn\\np\\n2\\n\\n\\nw\\n' | busybox fdisk $disk >/dev/null 2>&1
        for number in 1 2; do [ -b $disk$number ] || {{ mdev -s 2>/dev/null; sleep 1; }}; done
        mkswap ${{disk}}1 >/dev/null
        swapon ${{disk}}1
        /usr/sbin/mke2fs -q -F -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 ${{disk}}2
        mount -t ext4 ${{disk}}2 {own.OWN}""")


def end_partition(cell):
    cell.guest.run(f"umount {own.OWN}; rmdir {own.OWN}; swapoff $(readlink -f /dev/qa/scsi-halves)1", check=False)


def offer_agent(cell):
    """The kernel takes the agent first."""
    pid = cell.agent.pid
    cell.guest.run(f"echo 1000 >/proc/{pid}/oom_score_adj")
    cell.scratch["hog"] = cell.guest.spawn(["qa-hog", 2, 0])
    cell.agent.wait_ended(240)
    cell.mark()


FAULTS = [
    Fault("swap-file", "memory", press_and_thaw, prepare=swap_to_file, heal=heal,
          clean_up=lambda cell: (release(cell), end_swap_file(cell)), ends=False, loses=ANY, promise_s=5),
    Fault("swap-partition", "memory", press_and_thaw, prepare=partition, heal=heal,
          clean_up=lambda cell: (release(cell), end_partition(cell)), ends=False, loses=ANY, promise_s=5,
          needs=(("scsi-halves", 128, None),)),
    Fault("deadline-without-memory", "memory", press, prepare=swap_to_file, heal=heal,
          clean_up=lambda cell: (release(cell), end_swap_file(cell)), promise_s=8,
          config={"freeze": "timeout=4"}, senseless=only(("frozen",), "the deadline is of what is frozen")),
    Fault("oom-kills-agent", "memory", offer_agent, heal=release, clean_up=release, promise_s=5),
]
