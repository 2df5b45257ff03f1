# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest agent that a test plays: it answers as told, on a Unix socket, and remembers what it was asked.

It freezes nothing. Several connections at a time, each in its own thread."""

import json
import os
import socket
import tempfile
import threading
import time

PATIENCE = 30  # seconds until a condition that must come true counts as never coming


class Refusal(Exception):
    def __init__(self, description, kind="GenericError"):
        super().__init__(description)
        self.kind = kind


NO_REPLY = object()
HANG_UP = object()


def unknown(command):
    return Refusal(f"The command {command} has not been found", "CommandNotFound")


class FakeAgent:
    """answers: command -> a value, or a function(arguments) that returns one, raises Refusal, or
    returns NO_REPLY or HANG_UP."""

    def __init__(self, answers, silent=False):
        self.answers = answers
        self.silent = silent
        self.calls = []  # (command, arguments, number of the connection)
        self.times = []  # when each of them came, in seconds
        self.changed = threading.Condition()
        self.folder = tempfile.TemporaryDirectory(prefix="snapfreeze-client-")
        self.path = os.path.join(self.folder.name, "agent.sock")
        self.connections = []
        self.listener = None
        self.behind = b""  # what goes out in one piece with the next answer
        self.listen()

    def listen(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop_listening(self):
        """As if the agent had died: every connection breaks, new ones are refused."""
        # close() alone leaves the socket accepting for as long as a thread waits in accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.stop_listening()
        except OSError:
            pass
        self.folder.cleanup()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            number = len(self.connections)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection, number):
        try:
            with connection, connection.makefile("rb") as stream:
                self._greet(connection)
                for line in stream:
                    if not self._answer(connection, json.loads(line.lstrip(b"\xff")), number):
                        connection.shutdown(socket.SHUT_RDWR)
                        return
        except (OSError, ValueError):
            return

    def _greet(self, connection):
        """What the other end gets before it has said anything."""

    def _answer(self, connection, request, number):
        command, arguments = request["execute"], request.get("arguments", {})
        if self.silent:
            return True
        if command == "guest-sync-delimited":
            connection.sendall(b"\xff" + json.dumps({"return": arguments["id"]}).encode() + b"\n")
            return True
        with self.changed:
            self.calls.append((command, arguments, number))
            self.times.append(time.monotonic())
            self.changed.notify_all()
        try:
            if command not in self.answers:
                raise unknown(command)
            value = self.answers[command]
            value = value(arguments) if callable(value) else value
            if value is HANG_UP:
                return False
            if value is NO_REPLY:
                return True
            reply = {"return": value}
        except Refusal as refusal:
            reply = {"error": {"class": refusal.kind, "desc": str(refusal)}}
        reply.update({name: request[name] for name in ("id",) if name in request})
        behind, self.behind = self.behind, b""
        connection.sendall(json.dumps(reply).encode() + b"\n" + behind)
        return True

    def count(self, command):
        return sum(1 for call in self.calls if call[0] == command)

    def commands(self):
        return [call[0] for call in self.calls]

    def arguments(self, command):
        return [call[1] for call in self.calls if call[0] == command]

    def wait_for(self, command, count=1):
        with self.changed:
            if not self.changed.wait_for(lambda: self.count(command) >= count, PATIENCE):
                raise AssertionError(f"{command} never came {count} times: {self.commands()}")
