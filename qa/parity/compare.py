# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two agents' answers to one case, compared: what differs, and where."""

import collections
import itertools
import json
import re

# theirs, ours: text. where: "error", "one more", "answer", "form", "id", "guest", or the path of a value:
# ".disk[#1].serial".
Difference = collections.namedtuple("Difference", "family case where theirs ours")

# What tells the entries of an array from one another, whatever their order.
KEYS = (("name", "mountpoint"), ("name",), ("path",), ("logical-id",), ("phys-index",), ("cpu",), ("user",),
        ("ip-address",), ("iface", "destination"))
# What qemu-ga says once more than there is to say: to a 0xFF, and to the rest of a message that it has refused already.
SURPLUS = re.compile(r"GenericError: JSON parse error, (stray '.*\ufffd'|expecting value)", re.DOTALL)
ABSENT = "-"


def name_of(entry):
    """What tells an entry of an array from the others, whatever their order; None where nothing does."""
    if isinstance(entry, str):
        return entry
    for members in KEYS if isinstance(entry, dict) else ():
        if all(member in entry for member in members):
            return ", ".join(str(entry[member]) for member in members)
    return None


def entries(array):
    """The entries of an array by their names; those of one name, and those without, are counted."""
    named, count = {}, collections.Counter()
    for entry in array:
        name = name_of(entry)
        count[name] += 1
        named[f"{name or ''}#{count[name]}" if count[name] > 1 or name is None else name] = entry
    return named


def kind(value):
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def values(theirs, ours, vague, path=""):
    """Yields (path, theirs, ours) for all that is not the same."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in list(theirs) + [name for name in ours if name not in theirs]:
            inner = f"{path}.{name}"
            if name not in theirs or name not in ours:
                yield (inner, *(json.dumps(side[name]) if name in side else ABSENT for side in (theirs, ours)))
            elif name in vague:
                yield from values(theirs[name], ours[name], {"*"}, inner)
            else:
                yield from values(theirs[name], ours[name], vague, inner)
    elif isinstance(theirs, list) and isinstance(ours, list):
        theirs, ours = entries(theirs), entries(ours)
        for name in list(theirs) + [name for name in ours if name not in theirs]:
            inner = f"{path}[{name}]"
            if name not in theirs or name not in ours:
                yield (inner, *(json.dumps(side[name]) if name in side else ABSENT for side in (theirs, ours)))
            else:
                yield from values(theirs[name], ours[name], vague, inner)
    elif kind(theirs) != kind(ours) or (theirs != ours and "*" not in vague):
        yield path, json.dumps(theirs), json.dumps(ours)


def form(line):
    """How a line is written, without what it says: 0xFF, members of the whole answer in their order, spacing."""
    outline = re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', line)
    spacing = set(re.findall(rb" *[,:] *|[\[{] +| +[\]}]", outline))
    facts = [f"{line.count(0xFF)} of 0xFF", "members " + ", ".join(json.loads(line.lstrip(b"\xff"))),
             "QEMU's spacing" if spacing <= {b", ", b": "} else "spacing of its own",
             "ASCII" if line.lstrip(b"\xff").isascii() else "8 bit"]
    return "; ".join(facts)


def told(answer):
    """An answer in a few words: an error's class and text, or that it is a result."""
    if "error" in answer:
        return f"{answer['error'].get('class')}: {answer['error'].get('desc')}"
    return "return " + json.dumps(answer.get("return"))


def parsed(line):
    try:
        answer = json.loads(line.lstrip(b"\xff"))
        return answer if isinstance(answer, dict) else None
    except ValueError:
        return None


def lines(case, theirs, ours):
    """Yields (where, theirs, ours) of one answer each."""
    if theirs == ours:
        return
    pair = parsed(theirs), parsed(ours)
    if None in pair:
        yield "answer", word(theirs), word(ours)
        return
    if form(theirs) != form(ours) and set(pair[0]) == set(pair[1]):
        yield "form", form(theirs), form(ours)
    if "return" in pair[0] and "return" in pair[1]:
        yield from values(pair[0]["return"], pair[1]["return"], case.vague)
    elif told(pair[0]) != told(pair[1]):
        yield "error", told(pair[0]), told(pair[1])
    if pair[0].get("id") != pair[1].get("id"):
        yield "id", json.dumps(pair[0].get("id")), json.dumps(pair[1].get("id"))


def word(line):
    """A line in a few words, whatever it is."""
    answer = parsed(line)
    return told(answer) if answer else line.decode("latin-1")


def pair_up(theirs, ours):
    """Yields pairs of lines that answer the same; None stands for one that is missing."""
    theirs, ours = list(theirs), list(ours)
    while theirs or ours:
        is_surplus = theirs and len(theirs) > len(ours) and SURPLUS.fullmatch(word(theirs[0]))
        if not ours or (is_surplus and theirs[0] != ours[0]):
            yield theirs.pop(0), None
        else:
            yield theirs.pop(0) if theirs else None, ours.pop(0)


def seen(family, case, theirs, ours):
    """All differences of a case."""
    found = []
    for pair in pair_up(theirs.lines, ours.lines):
        if None in pair:
            found.append(("one more", *(word(line) if line else ABSENT for line in pair)))
        else:
            found += lines(case, *pair)
    found += [("guest", *pair) for pair in itertools.zip_longest(theirs.shown, ours.shown, fillvalue=ABSENT)
              if pair[0] != pair[1]]
    return [Difference(family, case.name, *one) for one in dict.fromkeys(found)]
