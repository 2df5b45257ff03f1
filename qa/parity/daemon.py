# SPDX-License-Identifier: LGPL-2.1-or-later
"""How both are started: options, configuration files, exit statuses, signals; which commands lists leave."""

import configparser
import json

from exchange import Case, Seen, request

CONF = "/run/parity.conf"
SOCKET = "/run/parity.sock"


def status(job):
    return {"status": job.returncode}


def outputs(job):
    """The exit status, and where something is written; what the messages say is each program's own."""
    return {**status(job), "standard output": bool(job.stdout), "standard error": bool(job.stderr)}


def commands(job):
    """The names that -b help prints; those of our own are no difference."""
    return {**outputs(job), "commands": [name for name in job.stdout.split() if name.startswith("guest-")]}


def settings(job):
    """What -D prints of the group that both have."""
    file = configparser.ConfigParser(delimiters="=", interpolation=None, strict=False)
    file.read_string(job.stdout if job.stdout.startswith("[") else "[general]")
    return {**outputs(job), "general": dict(file["general"])}


class Start(Case):
    """One start of the program with @options; @look says what came of it. @signal is what it gets when it listens;
    @waits: for what never comes."""

    def __init__(self, name, *options, config=None, look=outputs, env="", signal="KILL", waits=False):
        super().__init__(name)
        self.options = options
        self.config = config
        self.look = look
        self.env = env
        self.signal = signal
        self.waits = waits


# One command, for the guest's machine may be slow. Who listens would go on for ever, and is ended; by more than one
# signal, for qemu-ga forgets what comes before its main loop runs.
RUN = f"""rm -rf /run/parity.*
test -z "$CONFIG" || printf %s "$CONFIG" >{CONF}
$ENV "$@" & pid=$!
while test -d /proc/$pid && ! grep -q '^State:.Z' /proc/$pid/status; do
	! test -S {SOCKET} || kill -$SIGNAL $pid
	usleep 100000
done 2>/dev/null
wait $pid; status=$?
while pidof qemu-ga snapfreeze-agent snapfreeze-freezer >/dev/null; do usleep 20000; done
rm -rf /run/parity.*
exit $status"""


def play(agent, case):
    """Starts @agent's program as @case says."""
    env = case.env or (f"QGA_CONF={CONF}" if case.config is not None else "")
    words = [f"CONFIG={case.config or ''}", f"ENV={'env ' + env if env else ''}", f"SIGNAL={case.signal}"]
    limit = ["timeout", "-s", "KILL", "3"] if case.waits else []
    seen = Seen()
    job = agent.guest.run(["env", *words, "sh", "-c", RUN, "sh", *limit, agent.path, *case.options], check=False)
    seen.lines.append(json.dumps({"return": case.look(job)}).encode())
    return seen


LISTEN = ("-m", "unix-listen", "-p", SOCKET)
GENERAL = f"""[general]
daemon=false
method=unix-listen
path={SOCKET}
logfile=/run/parity.log
pidfile=/run/parity.pid
statedir=/run
verbose=true
retry-path=true
block-rpcs=guest-ping
"""
BROKEN = {
    "no key file": "what is this\n", "a bad boolean": "[general]\nverbose=perhaps\n", "a bad method":
    "[general]\nmethod=pigeon\npath=/run/x\n", "an unknown key": f"[general]\nmethod=unix-listen\npath={SOCKET}\nx=1\n",
    "an unknown group": f"[general]\nmethod=unix-listen\npath={SOCKET}\n[other]\nx=1\n",
}
DUMPED = {
    "nothing": (), "verbose": ("-v",), "daemon": ("-d",), "retry": ("-r",), "a state folder": ("-t", "/run/x"),
    "a log file": ("-l", "/run/x"), "a pid file": ("-f", "/run/x"), "a hook": ("-F/etc/x",), "the default hook": ("-F",),
    "a method and a path": LISTEN, "isa-serial": ("-m", "isa-serial"), "a blocked command": ("-b", "guest-ping"),
    "blocked commands": ("-b", "guest-ping,guest-info"), "blocked twice": ("-b", "guest-ping", "-b", "guest-info"),
    "an allowed command": ("-a", "guest-ping"), "long names": ("--verbose", "--retry-path", "--statedir=/run/x",
                                                              "--logfile=/run/x", "--pidfile", "/run/x"),
    "the old name of blocking": ("--blacklist=guest-ping",), "the new one": ("--block-rpcs=guest-ping",),
    "allowing, in full": ("--allow-rpcs=guest-ping",), "options in one word": ("-vr",),
    "a method in full": ("--method=unix-listen", f"--path={SOCKET}"),
}


def start_cases():
    return [
        *(Start(f"dump of {name}", *options, "-D", look=settings) for name, options in DUMPED.items()),
        Start("dump of a file", "-D", config=GENERAL, look=settings),
        Start("dump of a file and options", "-p", "/run/other", "-t", "/run/x", "-D", config=GENERAL,
              look=settings),
        Start("dump of a file by option", "-c", CONF, "-D", config=GENERAL, look=settings),
        Start("dump of an empty file", "-D", config="\n", look=settings),
        Start("dump of no file", "-D", env="QGA_CONF=/run/parity.none"),
        *(Start(f"a file with {name}", config=text) for name, text in BROKEN.items()),
        Start("a file that is none", *LISTEN, env="QGA_CONF=/run/parity.none"),
        *(Start(f"list of commands by {' '.join(words)}", *words, look=commands)
          for words in (("-b", "help"), ("-b", "?"), ("-a", "help"), ("-bhelp",), ("--block-rpcs=help",))),
        Start("version", "-V"), Start("version in full", "--version"),
        Start("help", "-h"), Start("help in full", "--help"),
        Start("an unknown letter", "-Z"), Start("an unknown option", "--no-such"), Start("a letter without its word", "-p"),
        Start("a word too many", *LISTEN, "surplus"), Start("a bad method", "-m", "pigeon", "-p", "/run/x"),
        Start("no path for a socket", "-m", "unix-listen"),
        Start("no path for vsock", "-m", "vsock-listen"), Start("a bad path for vsock", "-m", "vsock-listen", "-p", "x"),
        Start("a device that is none", "-p", "/dev/no-such"),
        Start("a serial line that is none", "-m", "isa-serial", "-p", "/dev/no-such"),
        Start("a socket's folder that is none", "-m", "unix-listen", "-p", "/run/parity.none/x"),
        Start("a log's folder that is none", *LISTEN, "-l", "/run/parity.none/x"),
        Start("a state folder that is none", *LISTEN, "-t", "/run/parity.none"),
        Start("waiting for a device that is none", "-r", "-p", "/dev/no-such", look=status, waits=True),
        *(Start(f"SIG{name}", *LISTEN, "-t", "/run", signal=name, look=status) for name in ("TERM", "INT", "HUP")),
    ]


# ---- lists

def list_cases():
    """Of an agent that was told which commands it has."""
    names = ("guest-ping", "guest-info", "guest-get-time", "guest-get-osinfo", "guest-fsfreeze-thaw", "guest-nonsense")
    return [
        Case("guest-info", request("guest-info"), vague=("version",)),
        *(Case(name, request(name), vague="*") for name in names if name != "guest-info"),
        *(Case(f"{name}, bad arguments", {"execute": name, "arguments": {"x": 1}}) for name in names),
    ]
