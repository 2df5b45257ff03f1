# SPDX-License-Identifier: LGPL-2.1-or-later
"""What each command takes, and the requests made of that: good ones, and every way to get an argument wrong."""

from exchange import Case, request

INTEGER, STRING, BOOLEAN, STRINGS, OBJECTS = "integer", "string", "boolean", "strings", "objects"
WRONG = {
    INTEGER: ["5", 1.5, 1.0, True, None, [1], {}, 2**63, 2**64 - 1, -2**63 - 1],
    STRING: [5, 1.5, False, None, ["x"], {}],
    BOOLEAN: ["true", 1, 0.0, None, [], {}],
    STRINGS: ["x", 5, 1.5, True, None, {}, [5], ["x", None], [["x"]], [{}]],
    OBJECTS: ["x", 5, 1.5, True, None, {}, [5], ["x"], [None], [[]]],
}
NO_ARGUMENTS = ("guest-ping", "guest-info", "guest-fsfreeze-status", "guest-fsfreeze-freeze", "guest-fsfreeze-thaw",
                "guest-get-time", "guest-get-fsinfo", "guest-get-disks", "guest-get-diskstats", "guest-get-cpustats",
                "guest-network-get-interfaces", "guest-get-vcpus", "guest-get-memory-blocks",
                "guest-get-memory-block-info", "guest-get-host-name", "guest-get-osinfo", "guest-get-timezone",
                "guest-get-users", "guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid")
HANDLE = ("handle", INTEGER, True)
# Command -> (name, type, is required) of each argument; objects have a fourth: their members.
ARGUMENTS = {
    **dict.fromkeys(NO_ARGUMENTS, ()),
    "guest-sync": (("id", INTEGER, True),),
    "guest-sync-delimited": (("id", INTEGER, True),),
    "guest-fsfreeze-freeze-list": (("mountpoints", STRINGS, False),),
    "guest-set-time": (("time", INTEGER, False),),
    "guest-fstrim": (("minimum", INTEGER, False),),
    "guest-set-vcpus": (("vcpus", OBJECTS, True, (("logical-id", INTEGER, True), ("online", BOOLEAN, True),
                                                  ("can-offline", BOOLEAN, False))),),
    "guest-set-memory-blocks": (("mem-blks", OBJECTS, True, (("phys-index", INTEGER, True), ("online", BOOLEAN, True),
                                                             ("can-offline", BOOLEAN, False))),),
    "guest-shutdown": (("mode", STRING, False),),
    "guest-exec": (("path", STRING, True), ("arg", STRINGS, False), ("env", STRINGS, False),
                   ("input-data", STRING, False), ("capture-output", BOOLEAN, False)),
    "guest-exec-status": (("pid", INTEGER, True),),
    "guest-file-open": (("path", STRING, True), ("mode", STRING, False)),
    "guest-file-close": (HANDLE,),
    "guest-file-read": (HANDLE, ("count", INTEGER, False)),
    "guest-file-write": (HANDLE, ("buf-b64", STRING, True), ("count", INTEGER, False)),
    "guest-file-seek": (HANDLE, ("offset", INTEGER, True), ("whence", INTEGER, True)),
    "guest-file-flush": (HANDLE,),
    "guest-set-user-password": (("username", STRING, True), ("password", STRING, True), ("crypted", BOOLEAN, True)),
    "guest-ssh-get-authorized-keys": (("username", STRING, True),),
    "guest-ssh-add-authorized-keys": (("username", STRING, True), ("keys", STRINGS, True), ("reset", BOOLEAN, False)),
    "guest-ssh-remove-authorized-keys": (("username", STRING, True), ("keys", STRINGS, True)),
}
# Of a later version than the qemu-ga in the guest.
LATER = ("guest-get-load", "guest-network-get-route")
GOOD = {INTEGER: 1, STRING: "/nonexistent", BOOLEAN: False, STRINGS: [], OBJECTS: []}
# What is returned by those that only look. Vague: what changes from one moment to the next.
REPORTS = {
    "guest-get-time": "*", "guest-get-fsinfo": ("used-bytes",), "guest-get-disks": (), "guest-get-diskstats": ("stats",),
    "guest-get-cpustats": "*", "guest-network-get-interfaces": ("statistics",), "guest-get-vcpus": (),
    "guest-get-memory-blocks": (), "guest-get-memory-block-info": (), "guest-get-host-name": (), "guest-get-osinfo": (),
    "guest-get-timezone": (), "guest-get-users": (), "guest-info": ("version",), "guest-ping": (),
}


def good(command):
    """Arguments of the right types, all of them."""
    return {name: GOOD[kind] for name, kind, *_ in ARGUMENTS[command]}


def changed(command, **members):
    return {"execute": command, "arguments": {**good(command), **members}}


def wrong_envelopes(command):
    """Whatever the command: what is wrong around its arguments."""
    yield "arguments [] ", {"execute": command, "arguments": []}
    yield "arguments null", {"execute": command, "arguments": None}
    yield "arguments text", {"execute": command, "arguments": "id"}
    yield "a member that is unknown", {"execute": command, "control": {}}
    yield "an argument that is unknown", changed(command, **{"no-such": 1})


def wrong_arguments(command):
    arguments = ARGUMENTS[command]
    for name, kind, is_required, *_ in arguments:
        if is_required:
            rest = {other: value for other, value in good(command).items() if other != name}
            yield f"without {name}", {"execute": command, "arguments": rest}
            yield f"without {name}, with an unknown one", {"execute": command, "arguments": {"no-such": 1, **rest}}
        for value in WRONG[kind]:
            yield f"{name} {value!r}", changed(command, **{name: value})
        yield f"{name} wrong, with an unknown one", changed(command, **{"no-such": 1, name: {}})
    if any(is_required for _, _, is_required, *_ in arguments):
        yield "without arguments", {"execute": command}
        yield "with empty arguments", {"execute": command, "arguments": {}}


def wrong_members(command):
    """Of the objects that some commands take lists of."""
    for name, kind, _, *rest in ARGUMENTS[command]:
        if kind != OBJECTS:
            continue
        right = {member: GOOD[its] for member, its, _ in rest[0]}
        for member, its, is_required in rest[0]:
            if is_required:
                less = {other: value for other, value in right.items() if other != member}
                yield f"{name} without {member}", changed(command, **{name: [less]})
            for value in WRONG[its]:
                yield f"{name}: {member} {value!r}", changed(command, **{name: [{**right, member: value}]})
        yield f"{name}: unknown member", changed(command, **{name: [{**right, "no-such": 1}]})
        yield f"{name}: second is wrong", changed(command, **{name: [right, {**right, "online": 7}]})


def wrong_cases():
    """Each command with each way to get it wrong. None of them does anything."""
    cases = []
    for command in ARGUMENTS:
        for make in (wrong_envelopes, wrong_arguments, wrong_members):
            cases += [Case(f"{command}: {name.strip()}", wrong) for name, wrong in make(command)]
    return cases


def report_cases():
    return [Case(command, request(command), vague=vague) for command, vague in REPORTS.items()] + [
        Case(command, request(command), vague="*") for command in LATER]


BOUNDS = ["0", "-0", "1", "-1", "9223372036854775807", "9223372036854775808", "18446744073709551615",
          "18446744073709551616", "-9223372036854775808", "-9223372036854775809", "1.0", "-0.0", "1e2", "1E2", "10.5",
          "1e400", "123456789012345678901234567890"]


def integer_cases():
    """The wire's integers, as they are written: on the command that only sends one back, and where a range is checked."""
    cases = [Case(f"guest-sync: id {text}", b'{"execute": "guest-sync", "arguments": {"id": %s}}' % text.encode())
             for text in BOUNDS]
    far = (-2**63, -1, 0, 2**31, 2**63 - 1)
    for command, name, numbers in (
            ("guest-exec-status", "pid", far), ("guest-file-close", "handle", far),
            ("guest-file-flush", "handle", far), ("guest-file-read", "count", far),
            ("guest-file-seek", "offset", far), ("guest-file-seek", "whence", (-1, 3, 2**63 - 1)),
            ("guest-file-write", "count", far), ("guest-set-time", "time", (2**63 - 1, -1, -2**63)),
            ("guest-fstrim", "minimum", (-1, -2**63))):
        cases += [Case(f"{command}: {name} {number}", changed(command, **{name: number}),
                       vague=("trimmed",)) for number in numbers]
    for command, blocks, name, numbers in (("guest-set-vcpus", "vcpus", "logical-id", (-1, 99, 2**31, 2**63 - 1)),
                                           ("guest-set-memory-blocks", "mem-blks", "phys-index", (-1, 99999, 2**63 - 1))):
        cases += [Case(f"{command}: {name} {number}", changed(command, **{blocks: [{name: number, "online": True}]}))
                  for number in numbers]
    return cases


def name_cases():
    """What stands for a command's name."""
    names = ["", " ", "guest-nonsense", "Guest-ping", "guest-ping ", "guest-ping\n", "quit", "qmp_capabilities", "%s%n",
             'a "quoted" one', "back\\slash", "grün 日本 😀", "x" * 4000, "guest-get-devices", "guest-fsfreeze-freeze\t"]
    cases = [Case(f"execute {name[:20]!r}", {"execute": name}) for name in names]
    cases += [Case(f"execute {name[:20]!r}, bad arguments", {"execute": name, "arguments": {"x": 1}}) for name in names[:3]]
    cases += [Case(f"execute is {value!r}", {"execute": value}) for value in (1, 1.5, True, None, [], {})]
    return cases
