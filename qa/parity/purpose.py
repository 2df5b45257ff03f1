# SPDX-License-Identifier: LGPL-2.1-or-later
"""What differs from qemu-ga 7.2 on purpose, each with its reason. An entry that explains nothing any more is an error."""

import re


class Purpose:
    """What is explained: patterns of where it is seen, of what qemu-ga does, and of what is done here; each must match
    as a whole."""

    def __init__(self, reason, family, case=".*", where=".*", theirs=".*", ours=".*"):
        self.reason = reason
        self.patterns = [re.compile(pattern, re.DOTALL) for pattern in (family, case, where, theirs, ours)]

    def is_about(self, family):
        return self.patterns[0].fullmatch(family.name)

    def explains(self, difference):
        return all(pattern.fullmatch(text) for pattern, text in zip(self.patterns, difference))


PARSE = "GenericError: JSON parse error, "
ANY_LIST = "blocked by .*"
LATER = "guest-get-load|guest-network-get-route"
DISABLED = r"CommandNotFound: Command \S+ has been disabled"
NOBODY = "-"

# What the wire's rules (snapfreeze-protocol(7)) say otherwise than qemu-ga 7.2 does.
WIRE = [
    Purpose("0xFF is not answered: it is no request, and clients do without", "framing|corpus|freeze", where="one more",
            theirs=PARSE + "stray '.*\ufffd'", ours=NOBODY),
    Purpose("a message is refused where its fault is seen, once, and skipped until its braces balance; qemu-ga goes on "
            "with whatever it takes for the next message", "malformed|corpus",
            "8 bit outside of text|brace for a bracket|(line-)?comment(-within)?|quote-within-string|"
            "quotes-do-not-pair|raw-newline-then-members|raw-newlines-in-base64|bad-utf8-in-key|reset-in-skipped|"
            "unclosed-array-in-object|utf8-fe", "error|one more"),
    Purpose("0xFF ends a number without making it a message", "corpus", "reset-in-number"),
    Purpose("an error quotes the first 32 letters of a word", "corpus", "long-word", "error",
            ours=PARSE + "invalid keyword 'a{32}'"),
    Purpose("what Unicode calls a noncharacter is valid UTF-8 all the same", "corpus", "raw-utf8", "error"),
    Purpose("what is left of a message that was refused is not refused again", "malformed|corpus", where="one more",
            theirs=PARSE + "expecting value", ours=NOBODY),
    Purpose("a word that is none is quoted whole, and without what stands behind it", "malformed|corpus",
            where="error", theirs=PARSE + "(stray '.*'|expected separator in (dict|list)|expecting value)",
            ours=PARSE + "stray '.*'"),
    Purpose("a control character in a text is named as what it is", "malformed|corpus", where="error",
            theirs=PARSE + "stray '\".*", ours=PARSE + "control character in string"),
    Purpose("a text holds no U+0000: as an argument it would end there", "malformed|corpus",
            ours=PARSE + r".*cannot hold \\u0000"),
    Purpose("a half escape is told so, not as a character that is none", "malformed|corpus",
            theirs=PARSE + r"\\u.* is not a valid Unicode character", ours=PARSE + r"invalid escape, \\u takes .*"),
    Purpose("a number that no double holds is refused; it is no infinity", "corpus|integers", ".*(1e400|floating).*",
            "error", ours=PARSE + "number out of range"),
    Purpose("numbers beyond 64 bits with sign are kept as doubles", "framing", "id 18446744073709551615 .*", "id"),
    Purpose("of two members that are wrong, the first is told of; qemu-ga goes by its table's order", "framing",
            "wrong member before an unknown one"),
    Purpose("an error quotes at most 8 KiB of what the host sent", "malformed", "name of 1 MiB"),
    Purpose("an object has a limit of members", "malformed", "20,000 members"),
    Purpose("the wire's words of later versions say why", f"names|{ANY_LIST}", where="error", theirs=DISABLED,
            ours=DISABLED + ": the command is not allowed|CommandNotFound: The command guest-get-devices has not been found"),
    Purpose("guest-get-devices is Windows' own", f"reports|freeze|dialogues|{ANY_LIST}",
            where=".*guest-get-devices.*", ours=NOBODY),
    Purpose("commands of later versions", f"reports|freeze|dialogues|{ANY_LIST}", where=f".*({LATER}).*", theirs=NOBODY),
    Purpose("commands of later versions", "reports|freeze", where="error",
            theirs=f"CommandNotFound: The command ({LATER}) has not been found"),
    Purpose("commands of our own", f"reports|freeze|dialogues|{ANY_LIST}", where=".*snapfreeze-.*", theirs=NOBODY),
    Purpose("integers are of 64 bits with sign", "wrong arguments|integers", ".*phys-index.*"),
    Purpose("capture-output takes the names of later versions, and those are checked", "wrong arguments|programs",
            "(guest-exec: )?capture-output .*", "error",
            theirs="GenericError: Invalid parameter type for 'capture-output', expected: boolean"),
    Purpose("the words of later versions say which process there is not", "integers|programs", where="error",
            theirs="GenericError: Invalid parameter 'pid'", ours=r"GenericError: PID -?\d+ does not exist"),
]

# Freezing and thawing, as the design has it.
FREEZE = [
    Purpose("guest-info tells what the configuration allows; that a freeze is on would make KubeVirt take the agent for "
            "one that it cannot use", "freeze|dialogues", "guest-info while frozen|kubevirt-freeze.dialogue",
            r".*\.enabled", "false", "true"),
    Purpose("nothing can be written to a superblock that is mounted read-only: it is not frozen", "freeze|dialogues",
            "how many that are|mounted read-only|(libvirt-fsfreeze|pve-backup|kubevirt-freeze).dialogue"),
    Purpose("a path that is written otherwise is the same path", "freeze", "a path with a slash behind it"),
    Purpose("what was named and cannot be frozen is an error: the host would believe in a consistent snapshot", "freeze",
            "a path that is none|one path of two that is none|a folder|a tmpfs|an overlay"),
]

# Reports.
ALL_REPORTS = "reports|dialogues"
REPORTS = [
    Purpose("total-bytes-privileged is of a later version", ALL_REPORTS, where=r".*\.total-bytes-privileged",
            theirs=NOBODY),
    Purpose("a virtio disk's serial number is found without udev too", ALL_REPORTS, where=r".*\.serial", theirs=NOBODY),
    Purpose("a SCSI disk's target is told as it is, not as 0", ALL_REPORTS, where=r".*\.target", theirs="0"),
    Purpose("loop devices are followed to the disks that hold their files", ALL_REPORTS,
            where=r"\.?\[loop.*\]\.disk\[#\d\]", theirs=NOBODY),
    Purpose("what device mapper calls a device is told without udev too", ALL_REPORTS, where=r".*\.alias", theirs=NOBODY),
    Purpose("each filesystem is trimmed once, and none that is read-only", "integers|changes|dialogues",
            where=r"\.paths\[/mnt/(covered#2|read-only|ro-bind|bind-file|bind|btrfs-two)\]", ours=NOBODY),
]

# What changes something: errors say what failed.
CHANGES = [
    Purpose("what the host may not set is told before it is tried, and what the kernel says is passed on", "integers",
            "guest-set-time: .*", "error"),
    Purpose("files are written at once: an error comes with the write and not with the flush", "files",
            "a device that is full"),
    Purpose("a program is in a session of its own, to be ended with what it started", "programs", "folder and session",
            r"\.out-data"),
    Purpose("keys are read within the home, opened step by step: the error names the step", "keys", "no keys yet", "error"),
    Purpose("a key that sshd could not read is refused", "keys", "key .*"),
    Purpose("there is no error number behind a user who is not found", "keys", "user .*", "error", theirs="(.*): Success"),
    Purpose("the error says which program has failed, and how", "passwords|shutdown", "(the program|shutdown) fails",
            "error", theirs="GenericError: child process has failed to .*", ours=r"GenericError: '.*' ended with status 1"),
    Purpose("the error says what the kernel answered", "shutdown", "suspend to .*", "error",
            ours="GenericError: write 'disk' to '/sys/power/state': No such device"),
]

# Options and files.
STARTED = [
    Purpose("-c and -a are of later versions", "started", "dump of a file by option|.* -a help|.*allow.*"),
    Purpose("the record must lie on tmpfs, in a folder of its own", "started", "dump of .*", r"\.general\.statedir",
            '"/var/run"', '"/run/snapfreeze"'),
    Purpose("/var/run is /run", "started", "dump of .*", r"\.general\.pidfile", '"/var/run/qemu-ga.pid"',
            '"/run/qemu-ga.pid"'),
    Purpose("what is not set is not printed", "started", "dump of .*", r"\.general\.block-rpcs", '""', NOBODY),
    Purpose("a list is printed as it was given", "started", "dump of blocked commands", r"\.general\.block-rpcs"),
    Purpose("a configuration that was named and is not there, or that has keys which nobody reads, is an error: it may "
            "have been meant to forbid something", "started", "a file with .*|a file that is none|dump of no file"),
    Purpose("-b help lists what there is", "started", "list of commands by .*", r"\.commands\[.*\]"),
    Purpose("what is wrong with the options is told on standard error", "started",
            "an unknown (letter|option)|a letter without its word", r"\.standard output", "true", "false"),
    Purpose("a word that nothing reads is an error", "started", "a word too many"),
    Purpose("a log that cannot be written is an error", "started", "a log's folder that is none", r"\.status", "0", "1"),
    Purpose("the state folder is made", "started", "a state folder that is none"),
    Purpose("SIGHUP thaws and ends as SIGTERM does", "started", "SIGHUP", r"\.status", "129", "0"),
]

PURPOSES = WIRE + FREEZE + REPORTS + CHANGES + STARTED


def sort(family, differences):
    """(what is explained, each with its entry; what is not)."""
    mine = [entry for entry in PURPOSES if entry.is_about(family)]
    explained, differs = [], []
    for difference in differences:
        entry = next((entry for entry in mine if entry.explains(difference)), None)
        if entry:
            explained.append((difference, entry))
        else:
            differs.append(difference)
    return explained, differs


def stale(all_families, families, explained):
    """The entries that explain nothing, of those for which all families that they are about were run."""
    left = [family for family in all_families if family not in families]
    used = {entry for _, entry in explained}
    return [entry for entry in PURPOSES if entry not in used and not any(entry.is_about(family) for family in left)]
