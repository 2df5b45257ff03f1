# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults of where the log goes: a pipe that nobody reads, a file on a disk that is frozen, journald stopped."""

from .fault import ANY, Fault
from .process import kill

PIPE = "/run/full-pipe"
LOGFILE = "/mnt/ext4-a/agent.log"
TO_PIPE = ("sh", "-c", f'exec "$@" 2>{PIPE}', "sh")
TO_STOPPED_JOURNAL = ("qa-hold", "run")
TO_FILE = {"general": f"logfile={LOGFILE}"}
SOCKETS = ("/run/systemd/journal/socket", "/run/systemd/journal/syslog", "/dev/log")


def chatter(cell):
    """Makes it log: more than any pipe or ring holds, with -v."""
    for number in range(40):
        cell.control.send('{"execute": "no-such-command-%d-%s"}' % (number, "x" * 3000) + '{"broken": 1 2}')
        cell.control.read_reply(60)
        cell.control.read_reply(60)


def chatter_and_kill(who):
    def inject(cell):
        chatter(cell)
        kill(cell, who, atomically=who == "both")
    return inject


# ---- a pipe

def fill_pipe(cell):
    """Somebody has it open and does not read."""
    job = cell.guest.spawn(["qa-hold", "fifo", PIPE])
    cell.jobs.append(job)
    job.wait_output("ready")


def remove_pipe(cell):
    cell.guest.run(["rm", "-f", PIPE])


# ---- journald

def stop_journal(cell):
    cell.guest.run(["mkdir", "-p", "/run/systemd/journal"])
    job = cell.guest.spawn(["qa-hold", "bind", *SOCKETS])
    cell.jobs.append(job)
    job.wait_output("ready")


def remove_journal(cell):
    cell.guest.run("rm -rf /run/systemd /dev/log")


# ---- a file

def remove_logfile(cell):
    cell.guest.run(["rm", "-f", LOGFILE])


def log_faults(name, deaths, **options):
    """The log alone, and with a death in the same moment: what is to be told about that must not wait either."""
    options["options"] = ("-v",)
    return [Fault(name, "log", chatter, loses=False, **options)] + [
        Fault(f"{name}-{who}-sigkill", "log", chatter_and_kill(who), **{**DEATHS[who], **options}) for who in deaths]


DEATHS = {
    "agent": {"worst": "freezing-middle", "promise_s": 2},
    "freezer": {"loses": {"planning": ANY}, "promise_s": 2},
    "both": {"promise_s": 4},
}
FAULTS = [
    *log_faults("stderr-full", ("freezer", "both"), wrapper=TO_PIPE, prepare=fill_pipe, clean_up=remove_pipe),
    *log_faults("logfile-frozen", ("agent", "freezer", "both"), config=TO_FILE, clean_up=remove_logfile),
    *log_faults("journal-stopped", ("freezer",), wrapper=TO_STOPPED_JOURNAL, prepare=stop_journal,
                clean_up=remove_journal),
]
