# SPDX-License-Identifier: LGPL-2.1-or-later
"""A mount table that changes between the plan and the freeze, and while frozen."""

import contextlib

import pytest

import disks
from ports import AgentError

PLANNED = list(disks.PLANNED)
SLOW_DISK = "/machine/peripheral/disk-letters/virtio-backend"


@contextlib.contextmanager
def slow_disk(guest):
    """The flush of one planned disk takes until the end of this: its writes wait in QEMU."""
    def throttle(rate):
        limits = dict.fromkeys(("bps", "bps_rd", "iops", "iops_rd", "iops_wr"), 0)
        guest.qmp("block_set_io_throttle", raw={"id": SLOW_DISK, "bps_wr": rate, **limits})
    guest.run("dd if=/dev/zero of=/mnt/grün-日本/dirty bs=64k count=32 2>/dev/null")
    throttle(4096)
    try:
        yield
    finally:
        throttle(0)


@contextlib.contextmanager
def between_plan_and_freeze(guest, agent):
    """A freeze is asked for, and planned, opened and being flushed while this lasts; .answer afterwards."""
    class Result:
        answer = None
    result = Result()
    with slow_disk(guest):
        agent.port.open()
        agent.port.send({"execute": "guest-fsfreeze-freeze"})
        # 306 is syncfs().
        guest.wait_for("grep -q '^306 ' /proc/$(pidof snapfreeze-freezer)/task/*/syscall", what="the flush")
        yield result
    reply = agent.port.read_reply(120)
    result.answer = reply.get("return", reply.get("error", {}).get("desc"))


@pytest.fixture
def extra(scratch):
    """One more filesystem than the layout has."""
    scratch.filesystem("/mnt/extra")
    return "/mnt/extra"


@pytest.fixture(autouse=True)
def tidy(guest):
    yield
    guest.run("rm -f /mnt/grün-日本/dirty")


# ---- between plan and freeze

def test_what_is_unmounted_before_the_freeze_is_not_frozen(guest, scratch, extra, trace, agent):
    with between_plan_and_freeze(guest, agent) as freeze:
        # Held open for the freeze, it can only be detached.
        guest.run(["umount", "-l", extra])
    assert freeze.answer == len(PLANNED)
    trace.by_path("freeze", PLANNED)
    assert agent.thaw() == len(PLANNED)


def test_what_is_mounted_before_the_freeze_is_frozen_too(guest, scratch, trace, agent):
    device = scratch.device()
    with between_plan_and_freeze(guest, agent) as freeze:
        scratch.mount("/mnt/extra", "-t", "ext4", device)
    assert freeze.answer == len(PLANNED) + 1
    assert guest.blocked(["/mnt/extra"], timeout=2) == ["/mnt/extra"]
    trace.by_path("freeze", [*PLANNED, "/mnt/extra"])
    assert agent.thaw() == len(PLANNED) + 1


def test_what_is_covered_before_the_freeze_is_named_and_nothing_is_frozen(guest, scratch, extra, trace, agent):
    with between_plan_and_freeze(guest, agent) as freeze:
        guest.run(["mount", "-t", "tmpfs", "cover", extra])
    assert "has no mount point that leads to it" in freeze.answer and f"'{extra}'" in freeze.answer
    assert agent.status() == "thawed"
    assert trace.calls("freeze") == []
    assert agent.thaw() == 0
    guest.run(["umount", extra])
    assert agent.freeze() == len(PLANNED) + 1
    assert agent.thaw() == len(PLANNED) + 1


def test_what_is_covered_but_seen_elsewhere_is_frozen(guest, scratch, extra, trace, agent):
    scratch.mount("/mnt/elsewhere", "--bind", extra)
    with between_plan_and_freeze(guest, agent) as freeze:
        guest.run(["mount", "-t", "tmpfs", "cover", extra])
    assert freeze.answer == len(PLANNED) + 1
    trace.by_path("freeze", [*PLANNED, "/mnt/elsewhere"])
    assert agent.thaw() == len(PLANNED) + 1


def test_another_filesystem_at_the_planned_place_is_not_taken_for_it(guest, scratch, extra, trace, agent):
    device = scratch.device()
    with between_plan_and_freeze(guest, agent) as freeze:
        guest.run(["umount", "-l", extra])
        guest.run(["mount", "-t", "ext4", device, extra])
    assert freeze.answer == len(PLANNED) + 1
    trace.by_path("freeze", [*PLANNED, extra])
    assert agent.thaw() == len(PLANNED) + 1


def test_a_change_that_does_not_matter_changes_nothing(guest, scratch, trace, agent):
    with between_plan_and_freeze(guest, agent) as freeze:
        scratch.mount("/mnt/more", "-t", "tmpfs", "more")
    assert freeze.answer == len(PLANNED)
    assert agent.thaw() == len(PLANNED)


def test_a_table_that_never_stands_still_gives_right_answers_or_a_clear_error(guest, scratch, agent):
    device = scratch.device()
    scratch.folder("/mnt/extra")
    churn = guest.spawn(f"echo churning; while [ ! -e /run/stop ]; do mount -t ext4 {device} /mnt/extra; "
                        "umount -l /mnt/extra; done; rm /run/stop")
    churn.wait_output("churning")
    frozen, errors = [], []
    try:
        for _ in range(8):
            try:
                frozen.append(agent.freeze())
            except AgentError as error:
                errors.append(error.desc)
                assert agent.status() == "thawed"
                assert agent.thaw() == 0
                continue
            assert agent.status() == "frozen"
            try:
                assert agent.thaw() == frozen[-1]
            except AgentError as error:
                # A writable mount that came while frozen.
                assert "was not frozen" in error.desc
            assert agent.status() == "thawed"
    finally:
        guest.run("touch /run/stop")
        churn.wait()
    assert set(frozen) <= {len(PLANNED), len(PLANNED) + 1}
    for text in errors:
        assert "the mounted filesystems changed 3 times" in text or "/mnt/extra" in text, text
    assert agent.freeze() == len(PLANNED)
    assert agent.thaw() == len(PLANNED)


# ---- while frozen

def test_a_frozen_filesystem_cannot_be_unmounted(guest, scratch, extra, agent):
    assert agent.freeze() == len(PLANNED) + 1
    refused = guest.run(["umount", extra], check=False)
    assert refused.returncode != 0 and "busy" in refused.stderr
    assert guest.blocked([extra], timeout=2) == [extra]
    assert agent.thaw() == len(PLANNED) + 1
    assert guest.access([extra], timeout=30) == {extra: "done"}
    guest.run(["umount", extra])


def test_a_filesystem_detached_while_frozen_is_thawed(guest, scratch, trace, agent):
    device = scratch.filesystem("/mnt/extra")
    assert agent.freeze() == len(PLANNED) + 1
    guest.run(["umount", "-l", "/mnt/extra"])
    answer = agent.call("snapfreeze-thaw")
    assert {entry["mountpoint"]: entry["result"] for entry in answer["filesystems"]}["/mnt/extra"] == "thawed"
    assert answer["consistent"] is True, "it stayed frozen, wherever it was mounted"
    assert len(trace.calls("thaw")) == len(PLANNED) + 1
    # Its last user is gone with the thaw: it can be mounted anew, and written to.
    guest.wait_for(f"[ ! -e /sys/fs/ext4/{device.rpartition('/')[2]} ]", what="the superblock's end")
    guest.run(["mount", "-t", "ext4", device, "/mnt/extra"])
    assert guest.access(["/mnt/extra"], timeout=30, sync=True) == {"/mnt/extra": "done"}


def test_a_filesystem_covered_while_frozen_is_thawed(guest, scratch, extra, agent):
    assert agent.freeze() == len(PLANNED) + 1
    guest.run(["mount", "-t", "tmpfs", "cover", extra])
    assert agent.thaw() == len(PLANNED) + 1
    guest.run(["umount", extra])
    assert guest.access([extra], timeout=30, sync=True) == {extra: "done"}
