# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults of the host's side: it hangs up, floods, stammers, talks over itself, stops or resets the machine or its
clock."""

import json
import socket
import time

from .cell import Failed, describe
from .fault import ANY, BEFORE_FREEZING, FREEZING, STAGES, Fault, only
from .stages import FREEZE, THAW

DEADLINE_S = 6
LEASE = {"freeze": f"timeout={DEADLINE_S}"}
PENDING = (*BEFORE_FREEZING, *FREEZING)


def hang_up(cell):
    cell.host.close()
    cell.mark()


def stay_away(cell):
    """Until the freeze is over without this host."""
    cell.guest.wait_for(lambda: cell.control.call("snapfreeze-status", 120)["state"] in ("thawed", "expired"), 120,
                        what="the deadline")


def reopen(cell):
    cell.host.close()
    cell.host.open()


def hear_all_pending(cell):
    """The answers to what the host had asked before it went on talking, in their order."""
    if cell.stage in PENDING:
        cell.freeze_reply = cell.host.read_reply(120)
    elif cell.stage == "thawing":
        cell.thaw_reply = cell.host.read_reply(120)


# ---- floods

def send_until_full(port, data, patience=2):
    """Sends until it is all out, or nobody has taken any for @patience seconds; returns what is left."""
    port.socket.settimeout(patience)
    data = memoryview(data)
    while data:
        try:
            data = data[port.socket.send(data):]
        except socket.timeout:
            break
    return bytes(data)


def flood(cell):
    cell.scratch["count"] = 3000
    pings = "".join(json.dumps({"execute": "guest-ping", "id": number}) for number in range(3000))
    cell.scratch["rest"] = send_until_full(cell.host, pings.encode())


def drain(cell):
    """Reads all answers: each comes once, in order."""
    hear_all_pending(cell)
    for number in range(cell.scratch["count"]):
        if cell.scratch["rest"]:
            cell.scratch["rest"] = send_until_full(cell.host, cell.scratch["rest"], 0.001)
        reply = cell.host.read_reply(60)
        if reply != {"return": {}, "id": number}:
            raise Failed(f"3: ping {number} of a flood was answered {describe(reply)}")


def never_read(cell):
    """Requests with long answers, of which none is read: what is held for this host reaches its bound."""
    request = json.dumps({"execute": "guest-info"}).encode()
    for _ in range(40):
        if send_until_full(cell.host, request * 500, 0.5):
            break
    cell.mark()


# ---- talks over itself

def half_a_message(cell):
    cell.host.send('{"execute": "guest-fsfreeze-thaw", "argum')
    cell.control.send('{"execute": "guest-fsfreeze-thaw", "id": {"a": [')
    cell.mark()


def discard_half(cell):
    cell.control.sync(60)


def thaw_behind_freeze(cell):
    cell.ask_thaw()


def hear_freeze_and_thaw(cell):
    cell.freeze_reply = cell.host.read_reply(120)
    cell.thaw_reply = cell.host.read_reply(120)


def thaw_elsewhere(cell):
    cell.control.send(THAW)
    cell.mark()


def hear_elsewhere(cell):
    reply = cell.control.read_reply(120)
    if cell.stage == "frozen" and reply != {"return": len(cell.planned)}:
        raise Failed(f"3: the other channel's thaw was answered {describe(reply)}")


def refused(reply):
    if "error" not in reply:
        raise Failed(f"3: a freeze while another is under way was answered {describe(reply)}")


def freeze_twice(cell):
    refused(cell.control.raw_call("guest-fsfreeze-freeze", 60))
    if cell.stage != "thawing":  # behind a thaw it would be a new freeze
        cell.host.send(FREEZE)


def hear_refusal(cell):
    hear_all_pending(cell)
    if cell.stage != "thawing":
        refused(cell.host.read_reply(120))


def talk_on_two_channels(cell):
    """Whatever may be asked at any time, on both, and what is refused."""
    for _ in range(5):
        cell.host.send({"execute": "guest-ping"})
        for command in ("guest-ping", "guest-info", "snapfreeze-status", "guest-fsfreeze-status", "snapfreeze-plan"):
            cell.control.raw_call(command, 60)
        cell.control.send({"execute": "snapfreeze-extend", "arguments": {"id": 123456789, "timeout": 1}})
        if "error" not in cell.control.read_reply(60):
            raise Failed("3: a freeze that does not exist was extended")
        cell.control.send({"execute": "snapfreeze-thaw", "arguments": {"id": 123456789}})
        reply = cell.control.read_reply(60)
        if reply.get("return", {}).get("thawed"):
            raise Failed(f"3: a thaw that names another freeze was answered {describe(reply)}")
        if cell.stage != "after":
            refused(cell.control.raw_call("guest-fsfreeze-freeze", 60))


def hear_pings(cell):
    hear_all_pending(cell)
    for _ in range(5):
        if cell.host.read_reply(60) != {"return": {}}:
            raise Failed("3: the answers on one channel are out of order")


# ---- the machine itself

def pause(cell):
    """QMP stop, for as long as a backup may take; the guest's clocks stand still meanwhile, ours must not."""
    cell.guest.qmp("stop")
    cell.guest.qmp_port.wait_event("STOP")
    time.sleep(12 if cell.stage == "frozen" else 2)
    cell.guest.qmp("cont")
    cell.guest.qmp_port.wait_event("RESUME")


def monitor(cell, command):
    words = cell.guest.qmp("human-monitor-command", 300, command_line=command).strip()
    if words:
        raise RuntimeError(f"{command}: {words}")


def restore(cell):
    """The memory and the disks of the moment when all was frozen, after a thaw that went well."""
    monitor(cell, "savevm frozen")
    cell.host.send(THAW)
    reply = cell.host.read_reply(120)
    if reply != {"return": len(cell.planned)}:
        raise Failed(f"3: the thaw before the restore was answered {describe(reply)}")
    monitor(cell, "loadvm frozen")
    cell.mark()


def forget_snapshot(cell):
    monitor(cell, "delvm frozen")


def set_clock(days):
    def inject(cell):
        cell.scratch["moved"] = days * 86400
        cell.mark(cell.guest.run(f"date -s @$(($(date +%s) + {days * 86400}))"))
    return inject


def set_clock_back(cell):
    moved = cell.scratch.pop("moved", 0)
    if moved:
        cell.guest.run(f"date -s @$(($(date +%s) - {moved}))")


FAULTS = [
    Fault("host-closes", "host", hang_up, heal=stay_away, config=LEASE, promise_s=DEADLINE_S + 1, after_release=True,
          loses={"thawing": ANY}),
    # The sync behind a freeze that has not begun gives it up.
    Fault("host-reopens", "host", reopen, loses={None: False, **dict.fromkeys(PENDING, ANY), "thawing": ANY},
          worst="freezing-middle"),
    Fault("host-floods", "host", flood, heal=drain, loses=False),
    Fault("host-never-reads", "host", never_read, heal=hang_up,
          loses={None: False, **dict.fromkeys(PENDING, ANY), "thawing": ANY}),
    Fault("host-half-message", "host", half_a_message, heal=discard_half, loses=False),
    Fault("host-thaws-while-freezing", "host", thaw_behind_freeze, heal=hear_freeze_and_thaw, loses=False,
          worst="freezing-middle", senseless=only(PENDING, "the thaw would not stand behind a freeze")),
    Fault("host-thaws-elsewhere", "host", thaw_elsewhere, heal=hear_elsewhere, others_may_claim=True,
          loses={None: True, "thawing": False}, worst="freezing-middle"),
    Fault("host-freezes-twice", "host", freeze_twice, heal=hear_refusal, loses=False, worst="freezing-first",
          senseless={"after": "a freeze after the thaw is the next one"}),
    Fault("host-two-channels", "host", talk_on_two_channels, heal=hear_pings, loses=False, worst="freezing-last"),
    Fault("guest-paused", "host", pause, loses=False),
    Fault("guest-restored", "host", restore, clean_up=forget_snapshot, config=LEASE, promise_s=DEADLINE_S + 1,
          senseless=only(("frozen",), "the snapshot is of a freeze that was answered and not thawed")),
    Fault("clock-forward", "host", set_clock(400), heal=set_clock_back, loses=False),
    Fault("clock-back", "host", set_clock(-400), heal=set_clock_back, loses=False),
]
assert set(PENDING) < set(STAGES)
