# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel itself saw of freezes and thaws: probes on freeze_super() and thaw_super()."""

import re
from collections import namedtuple

TRACING = "/sys/kernel/tracing"
# The superblock's s_dev lies behind its list head. As many return probes as threads may wait inside at a time.
PROBES = """p:qa/freeze freeze_super device=+16(%di):u32
r256:qa/freeze_end freeze_super result=$retval:s32
p:qa/thaw thaw_super device=+16(%di):u32
r256:qa/thaw_end thaw_super result=$retval:s32
"""
LINE = re.compile(r"-(?P<thread>\d+)\s+\[\d+\]\s+\S+\s+(?P<time>[\d.]+): (?P<name>\w+): .*?(?:device=(?P<device>\d+)"
                  r"|result=(?P<result>-?\d+))")

# One call: kind is "freeze" or "thaw", device "major:minor", begin and end in s, end and result None while inside.
Call = namedtuple("Call", "kind device begin end result")


class FreezeTrace:
    """From __enter__ to __exit__; calls() may be asked at any time."""

    def __init__(self, guest):
        self.guest = guest

    def __enter__(self):
        self.guest.run(f"echo mono >{TRACING}/trace_clock; echo >{TRACING}/trace; echo 1 >{TRACING}/tracing_on")
        self.guest.run(f"cat >{TRACING}/kprobe_events", input=PROBES)
        self.guest.run(f"echo 1 >{TRACING}/events/qa/enable")
        return self

    def __exit__(self, *_):
        self.guest.run(f"echo 0 >{TRACING}/events/qa/enable; echo >{TRACING}/kprobe_events")

    def clear(self):
        """Forgets what was seen so far."""
        self.guest.run(f"echo >{TRACING}/trace")

    def calls(self, kind):
        """All calls of one kind that did something, in the order of their beginnings."""
        calls, inside = [], {}
        for line in self.guest.sh(f"cat {TRACING}/trace").splitlines():
            match = LINE.search(line)
            if not match or match["name"] not in (kind, f"{kind}_end"):
                continue
            thread, time = match["thread"], float(match["time"])
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
