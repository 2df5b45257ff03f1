# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel itself saw of freezes and thaws: probes on freeze_super() and thaw_super()."""

import re
from collections import namedtuple

TRACING = "/sys/kernel/tracing"
# The superblock's s_dev lies behind its list head. As many return probes as threads may wait inside at a time.
PROBES = ["p:qa/freeze freeze_super device=+16(%di):u32", "r256:qa/freeze_end freeze_super result=$retval:s32",
          "p:qa/thaw thaw_super device=+16(%di):u32", "r256:qa/thaw_end thaw_super result=$retval:s32"]
# Every guest has them from its boot to its end. Where two processors are emulated nothing may change the kernel's code
# while the guest lives: QEMU 7.2 sometimes keeps its translation of the breakpoint that the kernel puts there meanwhile,
# and if that lies in the scheduler (a tracepoint in it goes on and off with any event, but for norecord-cmd), the guest
# goes round in it for ever, with nothing on its console.
KERNEL_WORDS = f"kprobe_event={';'.join(PROBES).replace(' ', ',')} trace_clock=mono trace_options=norecord-cmd"
LINE = re.compile(r"-(?P<thread>\d+)\s+\[\d+\]\s+\S+\s+(?P<time>[\d.]+): (?P<name>\w+): .*?(?:device=(?P<device>\d+)"
                  r"|result=(?P<result>-?\d+))")

# One call: kind is "freeze" or "thaw", device "major:minor", begin and end in s, end and result None while inside.
Call = namedtuple("Call", "kind device begin end result")


class FreezeTrace:
    """What happened since __enter__ or the last clear(); calls() may be asked at any time."""

    def __init__(self, guest):
        self.guest = guest
        self.since = None

    def __enter__(self):
        self.guest.traces.append(self)
        self.clear()
        return self

    def __exit__(self, *_):
        self.guest.traces.remove(self)

    def clear(self):
        """Forgets what was seen so far. The kernel forgets it too, unless another trace of this guest wants it."""
        forget = "echo >trace" if self.guest.traces == [self] else ":"
        # Without the probes every case that must see no freeze would pass. From the boot there is room for few events.
        job = self.guest.run(f"cd {TRACING} && grep -qx 1 events/qa/enable && echo 1024 >buffer_size_kb && {forget}")
        self.since = job.end_ns / 1e9

    def calls(self, kind):
        """All calls of one kind that did something, in the order of their beginnings."""
        calls, inside = [], {}
        for line in self.guest.sh(f"cat {TRACING}/trace").splitlines():
            match = LINE.search(line)
            if not match or match["name"] not in (kind, f"{kind}_end"):
                continue
            thread, time = match["thread"], float(match["time"])
            if time < self.since:
                continue
            if match["device"]:
                device = int(match["device"])
                inside[thread] = len(calls)
                calls.append(Call(kind, f"{device >> 20}:{device & 0xfffff}", time, None, None))
            elif thread in inside:
                number = inside.pop(thread)
                calls[number] = calls[number]._replace(end=time, result=int(match["result"]))
        return [call for call in calls if call.result in (0, None)]

    def moment_ms(self):
        """A moment within the last freeze, when all was frozen and nothing thawed yet: by the guest's monotonic clock."""
        return (max(call.end for call in self.calls("freeze")) + min(call.begin for call in self.calls("thaw"))) * 500

    def by_path(self, kind, paths):
        """Mount point -> its call, for filesystems that are mounted now, in the order of the beginnings. A second
        call on one filesystem, or one on a filesystem that is not in @paths, is an error."""
        # The last one at a path is on top, and the one that the path leads to.
        devices = {mount["mountpoint"]: mount["device"] for mount in self.guest.mounts()}
        names = {devices[path]: path for path in paths}
        calls = self.calls(kind)
        assert sorted(call.device for call in calls) == sorted(names), f"each of {paths} once"
        return {names[call.device]: call for call in calls}
