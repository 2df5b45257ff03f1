# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the processors of a guest do that answers no more, for the text of the error that says so."""

import bisect
import contextlib
import re

LOOKS = 3
STACK_WORDS = 256
# Where the kernel's code lies; a return address is anything on the stack that leads there.
KERNEL = range(0xffffffff81000000, 0xffffffffa0000000)
SYMBOL_MAX = 0x10000


class Symbols:
    """Addresses to names, out of /proc/kallsyms of any guest with the same kernel: all are booted with nokaslr."""

    def __init__(self, kallsyms):
        rows = (line.split() for line in kallsyms.splitlines() if not line.endswith("]"))
        self.rows = sorted((int(address, 16), name) for address, kind, name in rows if kind in "tTwW")

    def name(self, address):
        """"function+offset", or None where there is no code."""
        number = bisect.bisect(self.rows, (address, "\x7f")) - 1
        if address not in KERNEL or number < 0 or address - self.rows[number][0] > SYMBOL_MAX:
            return None
        return f"{self.rows[number][1]}+{address - self.rows[number][0]:#x}"


def describe(monitor, cpus, symbols):
    """@monitor(line, cpu) asks QEMU's monitor; symbols() finds the Symbols."""
    names = None
    with contextlib.suppress(Exception):  # they are of use, and no more
        names = symbols()
    try:
        # Several looks: does it stand still, or go round?
        return "\n".join(look(monitor, number, cpu, names) for number in range(LOOKS) for cpu in range(cpus))
    except Exception as error:  # in whatever state it is: the error that this is for must be heard of
        return f"what its processors do cannot be told: {error}"


def look(monitor, number, cpu, symbols):
    registers = monitor("info registers", cpu)
    pointer, stack = (int(re.search(rf"{name}=(\w+)", registers)[1], 16) for name in ("RIP", "RSP"))
    text = [f"look {number}, processor {cpu}: {symbols and symbols.name(pointer) or hex(pointer)}"]
    if number == 0:
        text += [registers.partition("FCW=")[0].strip(), monitor(f"x/8i {pointer:#x}", cpu).strip()]
    if symbols:
        words = re.findall(r"0x([0-9a-f]{16})", monitor(f"x/{STACK_WORDS}gx {stack:#x}", cpu))
        names = filter(None, (symbols.name(int(word, 16)) for word in words))
        text.append("    on its stack: " + ", ".join(dict.fromkeys(names)))
    return "\n".join(text)
