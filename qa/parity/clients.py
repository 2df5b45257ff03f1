# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which answers clients take, as their sources have it.

libvirt   (src/qemu/qemu_agent.c) reads lines, each of at most 10 MiB: an object with "return" or "error", else the
          channel is broken for it; the answer to guest-sync must be its number, others before it are skipped
PVE       (PVE/QMPClient.pm) takes all that has come, to the last 0xFF: behind it must be exactly two lines that end in a
          brace, the first with its number
KubeVirt  (agent-poller/agent_parser.go) cuts what stands in "return" out of the answer by a regular expression
"""

import json
import re

from ports import GuestDied, Timeout

LIBVIRT_LONGEST = 10 << 20
PVE_PAIR = re.compile(rb"^.*\xff([^\n]+}\r?\n[^\n]+})\r?\n(.*)$", re.DOTALL)
KUBEVIRT_OBJECT = re.compile(r'{\s*"return":\s*([{\[][\s\S]*[}\]])\s*}')
KUBEVIRT_STRING = re.compile(r'{\s*"return":\s*"([\s\S]*)"\s*}')


class Refused(Exception):
    """The client does not take what came, or nothing came in its time."""


def libvirt_answer(line):
    if len(line) > LIBVIRT_LONGEST:
        raise Refused(f"{len(line)} bytes are too many for libvirt")
    try:
        answer = json.loads(line)
    except ValueError:
        raise Refused(f"libvirt cannot parse {line[:200]!r}") from None
    if not isinstance(answer, dict) or not answer.keys() & {"return", "error"}:
        raise Refused(f"libvirt does not know {line[:200]!r}")
    return answer


def libvirt_sync(port, seconds, number):
    """The first line may be the end of an earlier client's; then others' answers are skipped."""
    while True:
        line = port.read_line(seconds)
        if libvirt_answer(line).get("return") == int(number):
            return line


def libvirt(port, seconds, pattern):
    line = port.read_line(seconds)
    return check(line, libvirt_answer(line), pattern)


def pve(port, seconds, number, pattern):
    data = b""
    while not PVE_PAIR.match(data):
        data += port.read_line(seconds) + b"\n"
    both, rest = PVE_PAIR.match(data).groups()
    first, *others = both.split(b"\n")
    if len(others) != 1 or rest:
        raise Refused(f"PVE wants two lines, not {both!r} and {rest!r}")
    if json.loads(first).get("return") != int(number):
        raise Refused(f"PVE wants its number {number} in {first!r}")
    return check(others[0], json.loads(others[0]), pattern)


def kubevirt(port, seconds, kind, pattern):
    line = port.read_line(seconds)
    libvirt_answer(line)
    cut = (KUBEVIRT_STRING if kind == "string" else KUBEVIRT_OBJECT).search(line.decode())
    if not cut:
        raise Refused(f"KubeVirt finds no {kind} in {line[:200]!r}")
    value = cut[1] if kind == "string" else json.loads(cut[1])
    return check(line, {"return": value}, pattern)


def check(line, answer, pattern):
    """@pattern: of "return VALUE" or "error DESC", as JSON."""
    text = f"error {answer['error'].get('desc')}" if "error" in answer else f"return {json.dumps(answer['return'])}"
    if not re.fullmatch(pattern or ".*", text, re.DOTALL):
        raise Refused(f"{pattern!r} was expected, not {text[:300]!r}")
    return line


def wait(port, seconds, rule):
    """The line that the client takes. @rule: libvirt-sync NUMBER; libvirt PATTERN; pve NUMBER PATTERN;
    kubevirt string PATTERN; kubevirt object PATTERN."""
    client, _, rest = rule.partition(" ")
    # The machine that runs the tests may be ten times slower than a host's.
    seconds = max(seconds, 30)
    try:
        if client == "libvirt-sync":
            return libvirt_sync(port, seconds, rest)
        if client == "libvirt":
            return libvirt(port, seconds, rest)
        kind, _, pattern = rest.partition(" ")
        return {"pve": pve, "kubevirt": kubevirt}[client](port, seconds, kind, pattern)
    except (Timeout, GuestDied) as error:
        raise Refused(f"{client}: {error}") from None
