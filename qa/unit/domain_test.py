#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`snapfreeze snapshot --domain` with a virsh that this script plays. Nothing is frozen anywhere."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.dom.minidom

sys.dont_write_bytecode = True
import tap
from client_stage import BROKEN, FROZEN, SNAPFREEZE, THAWED, environment, equal, holds
from fake_agent import PATIENCE

DOMAIN = """<domain><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{0}/a.qcow2'/>
  <backingStore type='file'><source file='{0}/base'/><format type='raw'/></backingStore><target dev='vda'/></disk>
<disk type='file' device='disk'><driver type='raw'/><source file='{0}/b&amp;c.raw'/><target dev='vdb'/></disk>
<disk type='file' device='cdrom'><target dev='sda'/></disk>
<disk type='file' device='disk'><source file='{0}/ro'/><target dev='vdc'/><readonly/></disk>
<disk type='file' device='disk' snapshot='no'><source file='{0}/out'/><target dev='vdd'/></disk>
</devices></domain>"""
# Each call is noted; what it says and does stands in a file of its command's name (of the agent's, for those).
VIRSH = r"""#!/bin/sh
folder=${0%/*}
shift
command=$1
case $command in
qemu-agent-command) for word; do case $word in --cmd=*) command=$(expr "$word" : '.*"execute": "\([a-z-]*\)"') ;; esac; done ;;
backup-begin) for word; do case $word in --backupxml=*) cp "${word#*=}" "$folder/backup.xml" ;; esac; done ;;
esac
printf '%s\n' "$*" >>"$folder/calls"
if [ -x "$folder/$command" ]; then exec "$folder/$command"; fi
if [ -e "$folder/$command" ]; then exec cat "$folder/$command"; fi
echo "error: internal error: unable to execute QEMU agent command '$command': The command $command has not been found" >&2
exit 1
"""


class Libvirt:
    """A folder that stands first in PATH, with virsh in it and the domain's images beside it."""

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="snapfreeze-domain-")
        self.folder = self.temporary.name
        os.mkdir(self.path("bin"))
        self.program("virsh", VIRSH)
        self.says("dumpxml", DOMAIN.format(self.folder))
        for command, reply in (("status", {"state": "thawed"}), ("freeze", FROZEN), ("thaw", THAWED),
                               ("extend", {"deadline-ms": 5000})):
            self.says(f"snapfreeze-{command}", json.dumps({"return": reply}))
        self.says("domjobinfo", "Job type: 0\n\n")
        for command in ("snapshot-create-as", "backup-begin", "domjobabort"):
            self.says(command, "")
        return self

    def __exit__(self, *_):
        self.temporary.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def says(self, command, text):
        with open(self.path(f"bin/{command}"), "w", encoding="utf-8") as file:
            file.write(text)

    def program(self, command, text):
        """@command is this shell script."""
        self.says(command, text)
        os.chmod(self.path(f"bin/{command}"), 0o755)

    def fails(self, command, complaint):
        self.program(command, f"#!/bin/sh\necho 'error: {complaint}' >&2\nexit 1\n")

    def start(self, *words, **env):
        path = f"{self.path('bin')}:{os.environ['PATH']}"
        return subprocess.Popen([SNAPFREEZE, "snapshot", "--domain", "vm", *words], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=environment(**{"PATH": path, **env}))

    def run(self, *words, **env):
        process = self.start(*words, **env)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    def calls(self, command=""):
        with contextlib.suppress(FileNotFoundError), open(self.path("bin/calls"), encoding="utf-8") as file:
            return [line.rstrip("\n") for line in file if line.startswith(command)]
        return []

    def wait_for(self, command, count=1):
        deadline = time.monotonic() + PATIENCE
        while len(self.calls(command)) < count:
            assert time.monotonic() < deadline, f"no {command}: {self.calls()}"
            time.sleep(0.02)

    def is_thawed(self):
        asked = [call for call in self.calls("qemu-agent-command") if "-freeze" in call or "-thaw" in call]
        return not asked or ("-freeze" in asked[0] and "-thaw" in asked[-1])


def test_overlays_of_all_disks_in_one_snapshot():
    with Libvirt() as libvirt:
        status, out, err = libvirt.run("--disk", f"vda={libvirt.path('x,y')}", "--disk", "vdb")
        equal(status, 0, err)
        holds(out, "consistent, writers stood still for 2.1 s")
        call, = libvirt.calls("snapshot-create-as")
        holds(call, "--domain=vm", "--disk-only", "--atomic", "--no-metadata",
              f"--diskspec=vda,snapshot=external,driver=qcow2,file={libvirt.path('x,,y')}", f"file={libvirt.path('b&c-2')}")
        assert "quiesce" not in call
        order = [line.split()[0] for line in libvirt.calls()]
        equal(order, ["qemu-agent-command", "domjobinfo", "dumpxml", "qemu-agent-command", "snapshot-create-as", "qemu-agent-command"])
        assert libvirt.is_thawed()


def test_disks_that_are_not_wanted_are_left_out_by_name():
    with Libvirt() as libvirt:
        status, _, err = libvirt.run("--disk", "vdb")
        equal(status, 0, err)
        holds(libvirt.calls("snapshot-create-as")[0], "--diskspec=vda,snapshot=no")
    with Libvirt() as libvirt:
        status, _, err = libvirt.run()
        holds(err, "sda: it is empty", "vdc: it is read-only", "vdd: its configuration says so")


def test_a_snapshot_that_libvirt_refuses_thaws_and_leaves_nothing():
    with Libvirt() as libvirt:
        libvirt.fails("snapshot-create-as", "Operation not supported: no way")
        status, _, err = libvirt.run()
        equal((status, sorted(os.listdir(libvirt.folder))), (1, ["bin"]))
        holds(err, "libvirt refused snapshot-create-as: Operation not supported: no way")
        assert libvirt.is_thawed()


def test_a_backup_is_described_followed_and_may_fail():
    for outcome, status in (("Completed", 0), ("Failed", 1)):
        with Libvirt() as libvirt:
            libvirt.program("domjobinfo", f"""#!/bin/sh
folder=${{0%/*}}
case $(tail -n 1 "$folder/calls") in *--completed) echo 'Job type:  {outcome}'; exit ;; esac
if [ ! -e "$folder/backup.xml" ] || [ -e "$folder/second" ]; then echo 'Job type: 0'
else echo 'Job type: 2'; echo 'disk_total: 100'; echo 'disk_processed: 42'; : >"$folder/second"; fi
""")
            libvirt.program("backup-begin", f"#!/bin/sh\n: >'{libvirt.path('out')}/vda.raw'\n")
            got, out, err = libvirt.run("--backup", libvirt.path("out"), "--format", "raw", "--disk", "vda")
            equal(got, status, err)
            holds(err, "copied 40%")
            equal(os.path.exists(libvirt.path("out/vda.raw")), status == 0)
            described = xml.dom.minidom.parse(libvirt.path("bin/backup.xml")).getElementsByTagName("disk")
            equal([(disk.getAttribute("name"), disk.getAttribute("backup")) for disk in described],
                  [("vda", "yes"), ("vdb", "no")])
            equal(libvirt.calls("domjobabort"), [])


def test_another_job_is_found_before_the_freeze():
    with Libvirt() as libvirt:
        libvirt.says("domjobinfo", "Job type: 2\n")
        status, _, err = libvirt.run()
        equal((status, len(libvirt.calls("qemu-agent-command")), sorted(os.listdir(libvirt.folder))), (1, 1, ["bin"]))
        holds(err, "has a job already")


def test_only_a_job_of_its_own_is_aborted():
    with Libvirt() as libvirt:
        libvirt.fails("backup-begin", "another job is active")
        status, _, err = libvirt.run("--backup", libvirt.path("out"))
        equal((status, libvirt.calls("domjobabort"), os.path.exists(libvirt.path("out"))), (1, [], False))
        holds(err, "another job is active")
    for broken in (False, True):
        with Libvirt() as libvirt:
            libvirt.program("backup-begin", "#!/bin/sh\necho 'Job type: 2' >${0%/*}/domjobinfo\n")
            if broken:
                libvirt.says("snapfreeze-thaw", json.dumps({"return": BROKEN}))
            process = libvirt.start("--backup", libvirt.path("out"))
            if not broken:
                libvirt.wait_for("domjobinfo --domain=vm --rawstats", 2)
                process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)
            equal((process.returncode, len(libvirt.calls("domjobabort"))), (1, 1))


def test_the_lease_is_renewed_and_a_signal_thaws_while_libvirt_works():
    with Libvirt() as libvirt:
        libvirt.program("snapshot-create-as", "#!/bin/sh\nwhile [ ! -e ${0%/*}/go ]; do sleep 0.05; done\n")
        process = libvirt.start()
        libvirt.wait_for("snapshot-create-as")
        deadline = time.monotonic() + PATIENCE
        while not any("snapfreeze-extend" in call for call in libvirt.calls()) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        while not any("snapfreeze-thaw" in call for call in libvirt.calls()) and time.monotonic() < deadline:
            time.sleep(0.02)
        libvirt.says("go", "")
        out, err = process.communicate(timeout=PATIENCE)
        equal(process.returncode, 1)
        holds(out, "NOT CONSISTENT", "thawed before the snapshot was there")
        holds(err, "interrupted, thawing")


def test_an_agent_of_qemus_own_behind_libvirt():
    with Libvirt() as libvirt:
        for command in ("status", "freeze", "thaw", "extend"):
            os.unlink(libvirt.path(f"bin/snapfreeze-{command}"))
        for command, reply in (("status", "thawed"), ("freeze", 3), ("thaw", 3)):
            libvirt.says(f"guest-fsfreeze-{command}", json.dumps({"return": reply}))
        status, out, err = libvirt.run("--json")
        equal((status, json.loads(out)["consistent"]), (0, None), err)


def test_what_libvirt_cannot_do_is_told():
    for complaint, status in (("failed to get domain vm", 3), ("Guest agent is not responding: it is not connected", 3)):
        with Libvirt() as libvirt:
            libvirt.fails("snapfreeze-status", complaint)
            got, _, err = libvirt.run()
            equal((got, len(libvirt.calls())), (status, 1))
            holds(err, complaint)
    with Libvirt() as libvirt:
        libvirt.says("dumpxml", "<domain><devices></domain>")
        status, _, err = libvirt.run()
        equal(status, 1)
        holds(err, "description of the domain")
    with Libvirt() as libvirt:
        status, _, err = libvirt.run(PATH="/nonexistent")
        equal((status, libvirt.calls()), (1, []))
        holds(err, "virsh, libvirt's command, is not installed")
        equal(libvirt.run("--agent", "/x")[0], 2)


if __name__ == "__main__":
    sys.exit(tap.run(sys.modules[__name__]))
