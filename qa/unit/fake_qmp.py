# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's monitor as a test plays it: disks, files, jobs and events as far as a snapshot needs them.

It has no guest. Whatever it is asked stands in .calls, as with the agent that it is made of."""

import json
import os
import threading

from fake_agent import FakeAgent, Refusal

MIB = 1 << 20
GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}, "capabilities": []}}


def drive(name, path, **more):
    """A disk of the guest as query-block shows it."""
    medium = {"node-name": f"node-{name}", "ro": False, "file": path, "drv": "raw",
              "image": {"filename": path, "format": "raw", "virtual-size": 64 * MIB, "actual-size": MIB}}
    medium.update(more.pop("medium", {}))
    return {"device": "", "qdev": f"/machine/peripheral/{name}/virtio-backend", "removable": False, "locked": False,
            "type": "unknown", "inserted": medium, **more}


class FakeQmp(FakeAgent):
    """answers: as FakeAgent has them, in place of what is played here."""

    def __init__(self, blocks, greeting=None, **answers):
        self.greeting = json.dumps(GREETING).encode() + b"\r\n" if greeting is None else greeting
        self.blocks = blocks
        self.jobs = {}
        self.nodes = set()
        played = {
            "qmp_capabilities": {}, "query-block": lambda _: self.blocks,
            "query-chardev": [], "query-jobs": self.query_jobs,
            "blockdev-create": self.create, "job-dismiss": lambda arguments: self.jobs.pop(arguments["id"]) and {},
            "blockdev-add": self.add, "blockdev-del": self.remove, "transaction": self.transaction,
            "block-job-cancel": self.cancel,
        }
        super().__init__({**played, **{name.replace("_", "-"): value for name, value in answers.items()}})

    def _greet(self, connection):
        if self.greeting:
            connection.sendall(self.greeting)

    def encode(self, name, **data):
        message = {"timestamp": {"seconds": 1, "microseconds": 2}, "event": name, "data": data}
        return json.dumps(message).encode() + b"\r\n"

    def event(self, name, **data):
        """To whoever is connected, by itself."""
        for connection in self.connections:
            try:
                connection.sendall(self.encode(name, **data))
            except OSError:
                pass

    # ---- what QEMU does

    def create(self, arguments):
        options, job = arguments["options"], arguments["job-id"]
        if options["driver"] == "file":
            with open(options["filename"], "r+b") as file:  # made by who asks, never by us
                file.truncate(options["size"])
        elif options["file"] not in self.nodes:
            raise Refusal("no such node")
        self.jobs[job] = {"id": job, "type": "create", "status": "running", "current-progress": 0,
                          "total-progress": 1}
        return {}

    def query_jobs(self, _):
        jobs = [dict(job) for job in self.jobs.values()]
        # A creation ends just after it was looked at: its event comes in one piece with the answer, or even before it.
        for job in self.jobs.values():
            if job["type"] == "create" and job["status"] == "running":
                job["status"] = "concluded"
                ended = self.encode("JOB_STATUS_CHANGE", id=job["id"], status="concluded")
                if self.count("query-jobs") % 2:
                    self.behind = ended
                else:
                    self.connections[0].sendall(ended)
        return jobs

    def add(self, arguments):
        self.nodes.add(arguments["node-name"])
        return {}

    def remove(self, arguments):
        if arguments["node-name"] not in self.nodes:
            raise Refusal(f"Failed to find node with node-name='{arguments['node-name']}'")
        self.nodes.remove(arguments["node-name"])
        return {}

    def transaction(self, arguments):
        for action in arguments["actions"]:
            data = action["data"]
            if action["type"] == "blockdev-backup":
                assert data["target"] in self.nodes
                self.jobs[data["job-id"]] = {"id": data["job-id"], "type": "backup", "status": "running",
                                             "current-progress": 0, "total-progress": 64 * MIB}
            else:
                assert os.path.exists(data["snapshot-file"]) and data["mode"] == "existing"
        return {}

    def cancel(self, arguments):
        self.end_job(arguments["device"], "BLOCK_JOB_CANCELLED")
        return {}

    def end_job(self, job, event="BLOCK_JOB_COMPLETED", **more):
        self.jobs.pop(job)
        self.event(event, device=job, type="backup", len=64 * MIB, offset=64 * MIB, speed=0, **more)

    # ---- what a test sees of it

    def running(self):
        return [name for name, job in self.jobs.items() if job["type"] == "backup"]

    def when_copying(self, action):
        """Calls @action in a thread of its own as soon as progress is asked for."""
        def wait():
            self.wait_for("transaction")
            count = self.count("query-jobs")
            self.wait_for("query-jobs", count + 1)
            action()
        threading.Thread(target=wait, daemon=True).start()
