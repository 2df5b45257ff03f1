# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host's ends of a guest's sockets: agent ports, QMP, and the port that runs commands."""

import json
import random
import signal
import socket
import struct
import threading
import time


# After so many seconds without an answer to "true" a guest is taken to hang.
SILENCE = 30


class GuestDied(Exception):
    """QEMU is gone; the text holds the end of its output and of the guest's console."""


class Timeout(Exception):
    """What was waited for did not come in time."""


class AgentError(Exception):
    """The agent answered an error: .klass and .desc."""

    def __init__(self, error):
        super().__init__(f"{error.get('class')}: {error.get('desc')}")
        self.klass = error.get("class")
        self.desc = error.get("desc")


def connect_to_qemu(path, timeout=60):
    """A connection to a socket that QEMU has made: it has a name before it listens."""
    deadline = time.monotonic() + timeout
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
            return connection
        except ConnectionRefusedError:
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class AgentPort:
    """A host's connection to an agent: raw bytes, lines, or calls. Works on any stream socket."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = None
        self.buffer = b""

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *_):
        self.close()

    def open(self):
        """Connects: the guest sees the host side of its port open."""
        if self.socket is None:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.connect(self.path)
            self.buffer = b""
        return self

    def close(self):
        """Hangs up: the guest sees the host side of its port closed."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def send(self, data):
        """Sends bytes, text, or anything else as JSON, just as it is."""
        self.open()
        if not isinstance(data, (bytes, str)):
            data = json.dumps(data)
        self.socket.settimeout(60)
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def read(self, timeout=60):
        """Some bytes, as they come; b"" at the end or when none came in time."""
        if self.buffer:
            data, self.buffer = self.buffer, b""
            return data
        self.socket.settimeout(max(timeout, 0.001))
        try:
            return self.socket.recv(65536)
        except socket.timeout:
            return b""

    def read_line(self, timeout=60):
        """One line without its newline; what came before a 0xFF is kept as it is."""
        deadline = time.monotonic() + timeout
        searched = 0
        while self.buffer.find(b"\n", searched) < 0:
            searched = len(self.buffer)  # a line may have megabytes, and comes in small pieces
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout(f"no line within {timeout} s; came so far: {self.buffer[:200]!r}")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except socket.timeout:
                continue
            if not data:
                raise GuestDied(f"{self.path} was closed")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def read_reply(self, timeout=60):
        """The next line as JSON."""
        return json.loads(self.read_line(timeout).lstrip(b"\xff"))

    def sync(self, timeout=60):
        """guest-sync-delimited behind a 0xFF: whatever was under way is discarded."""
        number = random.randrange(1, 2**31)
        self.send(b"\xff" + json.dumps({"execute": "guest-sync-delimited", "arguments": {"id": number}}).encode())
        deadline = time.monotonic() + timeout
        while True:
            line = self.read_line(deadline - time.monotonic()).rpartition(b"\xff")[2]
            try:
                if json.loads(line).get("return") == number:
                    return
            except (ValueError, AttributeError):
                continue

    def raw_call(self, command, timeout=60, **arguments):
        """One request, its whole reply. An underscore in an argument's name stands for a dash."""
        request = {"execute": command}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.send(request)
        return self.read_reply(timeout)

    def call(self, command, timeout=60, **arguments):
        """One request, what it returns; AgentError where it answers an error."""
        reply = self.raw_call(command, timeout, **arguments)
        if "error" in reply:
            raise AgentError(reply["error"])
        return reply["return"]


class Qmp:
    """QEMU's monitor."""

    def __init__(self, path):
        self.socket = connect_to_qemu(path)
        self.file = self.socket.makefile("rb")
        self.events = []
        self._read(60)
        self.call("qmp_capabilities")

    def _read(self, timeout):
        self.socket.settimeout(timeout)
        line = self.file.readline()
        if not line:
            raise GuestDied("the monitor was closed")
        return json.loads(line)

    def call(self, command, timeout=120, raw=None, **arguments):
        """An underscore in an argument's name stands for a dash; in the dict @raw it stays what it is."""
        request = {"execute": command}
        if raw or arguments:
            request["arguments"] = {**(raw or {}), **{name.replace("_", "-"): arguments[name] for name in arguments}}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            reply = self._read(timeout)
            if "event" in reply:
                self.events.append(reply)
            elif "error" in reply:
                raise AgentError(reply["error"])
            elif "return" in reply:
                return reply["return"]

    def wait_event(self, name, match=lambda data: True, timeout=300):
        """Takes the first such event out of those that came or come."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event["event"] == name and match(event.get("data", {})):
                    self.events.remove(event)
                    return event
            if time.monotonic() > deadline:
                raise Timeout(f"no {name} within {timeout} s")
            reply = self._read(max(deadline - time.monotonic(), 0.1))
            if "event" in reply:
                self.events.append(reply)


class Command:
    """A command that runs in the guest. .out and .err grow while it runs."""

    def __init__(self, port, number, argv):
        self.port = port
        self.number = number
        self.argv = argv
        self.out = b""
        self.err = b""
        self._pid = None
        self.returncode = None  # as subprocess has it: negative is a signal
        self.start_ns = self.end_ns = None  # the guest's CLOCK_MONOTONIC

    @property
    def stdout(self):
        return self.out.decode(errors="replace")

    @property
    def stderr(self):
        return self.err.decode(errors="replace")

    @property
    def pid(self):
        """Its process in the guest."""
        self._wait_until(lambda: self._pid is not None, 60, "did not start")
        return self._pid

    @property
    def ms(self):
        """How long it ran, by the guest's clock."""
        return (self.end_ns - self.start_ns) / 1e6

    def poll(self):
        """Its exit status, or None while it runs."""
        self.port.check()
        return self.returncode

    def _wait_until(self, predicate, timeout, what):
        with self.port.changed:
            in_time = self.port.changed.wait_for(lambda: predicate() or self.port.dead, timeout)
            if in_time and not predicate():
                raise GuestDied(self.port.dead)
        if not in_time:
            raise Timeout(f"{self.argv}: {what} within {timeout} s; stdout: {self.stdout[-500:]!r}, "
                          f"stderr: {self.stderr[-500:]!r}{self.port.silence()}")

    def wait(self, timeout=120):
        """Waits for its end; returns itself."""
        self._wait_until(lambda: self.returncode is not None, timeout, "did not end")
        return self

    def wait_output(self, needle, timeout=120):
        """Waits until @needle stands in what it wrote, on either output."""
        needle = needle.encode() if isinstance(needle, str) else needle
        self._wait_until(lambda: needle in self.out or needle in self.err or self.returncode is not None, timeout,
                         f"did not say {needle!r}")
        if needle not in self.out and needle not in self.err:
            raise Timeout(f"{self.argv}: ended ({self.returncode}) without {needle!r}: {self.stderr[-500:]!r}")
        return self

    def write(self, data):
        """Standard input."""
        data = data.encode() if isinstance(data, str) else data
        for at in range(0, len(data), 65536):
            self.port.send(self.number, "I", data[at:at + 65536])

    def close_input(self):
        self.port.send(self.number, "E")

    def kill(self, signo=signal.SIGKILL):
        """A signal to its process group."""
        if self.returncode is None:
            self.port.send(self.number, "K", struct.pack("<I", signo))


class CommandPort:
    """The other end of guest/command-server.c. A thread reads; any number of commands run at a time."""

    def __init__(self, path, why_dead, look=None):
        """Functions that say how the guest ended, and what it does when it answers no more."""
        self.path = path
        self.why_dead = why_dead
        self.look = look
        self.ready = False
        self.changed = threading.Condition()
        self.sending = threading.Lock()
        self.commands = {}
        self.number = 0
        self._connect()

    def _connect(self):
        self.socket = connect_to_qemu(self.path)
        self.dead = None
        self.reader = threading.Thread(target=self._read_all, daemon=True)
        self.reader.start()

    def connect_again(self):
        """For a guest that goes on behind a new socket, restored from its memory: what ran in it still does."""
        self.reader.join()
        self._connect()

    def check(self):
        if self.dead:
            raise GuestDied(self.dead)

    def silence(self):
        """"" where the guest still runs commands, else words about what it does instead."""
        if self.dead or not self.look:
            return ""
        command = self.start(["true"])
        with self.changed:
            if self.changed.wait_for(lambda: command.returncode is not None or self.dead, SILENCE):
                return ""
        return f"\nthe guest runs no command any more:\n{self.look()}"

    def wait_ready(self, timeout):
        with self.changed:
            if not self.changed.wait_for(lambda: self.ready or self.dead, timeout):
                raise Timeout(f"the guest's command server did not come up within {timeout} s")
        self.check()

    def send(self, number, kind, data=b""):
        self.check()
        with self.sending:
            self.socket.sendall(struct.pack("<III", len(data), number, ord(kind)) + data)

    def start(self, argv):
        with self.changed:
            self.number += 1
            command = self.commands[self.number] = Command(self, self.number, argv)
        self.send(command.number, "R", b"".join(str(arg).encode() + b"\0" for arg in argv))
        return command

    def _read_all(self):
        file = self.socket.makefile("rb")
        try:
            while True:
                head = file.read(12)
                if len(head) < 12:
                    break
                length, number, kind = struct.unpack("<III", head)
                self._handle(number, chr(kind), file.read(length))
        except OSError:
            pass
        reason = self.why_dead()
        with self.changed:
            self.dead = reason
            self.changed.notify_all()

    def _handle(self, number, kind, data):
        with self.changed:
            command = self.commands.get(number)
            if kind == "H":
                self.ready = True
            elif kind == "o" and command:
                command.out += data
            elif kind == "e" and command:
                command.err += data
            elif kind == "s" and command:
                command._pid = struct.unpack("<I", data)[0]
            elif kind == "x" and command:
                status, command.start_ns, command.end_ns = struct.unpack("<IQQ", data)
                command.returncode = -(status & 127) if status & 127 else status >> 8
                del self.commands[number]
            self.changed.notify_all()

    def forget(self):
        """For a guest that is about to boot anew: nothing runs in it, and wait_ready() waits for the next boot."""
        with self.changed:
            self.ready = False
            self.commands.clear()

    def close(self):
        """Hangs up: the next connection is served at once."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
