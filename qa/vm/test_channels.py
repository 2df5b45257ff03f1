# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases about how an agent is reached: virtio port, serial line, vsock, Unix socket, an inherited socket."""

import json
import re
import socket
import time

from agents import PORT, SOCKET, SOCKET_CHANNEL, TEST_CHANNEL
from guest_socket import GuestSocket
from ports import AgentError

TWO_MORE = TEST_CHANNEL + SOCKET_CHANNEL
MIB = 1 << 20
LIMIT = 16 * MIB


def ping(number=None, padding=0):
    """A guest-ping whose id is a number, or a text that begins with it."""
    identity = f"{number}-{'x' * padding}" if padding else number
    return json.dumps({"execute": "guest-ping", "id": identity})


def wait_host_side(guest, state, device=PORT):
    """Waits until the guest's kernel sees the host's side of a port as closed (0) or open (1)."""
    name = guest.sh(f"basename $(readlink -f {device})")
    guest.wait_for(f"grep -q 'host_connected: {state}' /sys/kernel/debug/virtio-ports/{name}")


def wait_asleep(guest, *pids):
    """Waits until these processes have done all that there was to do: for a second they did not run, nor wait to."""
    look = "; ".join(f"grep -h State: /proc/{pid}/task/*/status; grep -h ctxt_switches /proc/{pid}/task/*/status"
                     for pid in pids)

    def is_asleep():
        before = guest.sh(look)
        return before == guest.sh(f"sleep 1; {look}") and set(re.findall(r"State:\s+(\w)", before)) == {"S"}
    guest.wait_for(is_asleep, what="sleep")


def memory_kib(guest, pid):
    """What the process itself allocated: the pages of its libraries come with the first use of each."""
    return int(re.search(r"RssAnon:\s+(\d+)", guest.sh(f"cat /proc/{pid}/status"))[1])


# ---- the virtio port

def test_each_host_that_opens_the_port_meets_a_fresh_parser(guest, agent):
    agent.port.close()
    for number in range(30):
        port = guest.agent_port().open()
        port.send('{"execute": "guest-ping", "id": ["half, and a brace {' + ping(number)[:number])
        wait_host_side(guest, 1)
        port.close()
        wait_host_side(guest, 0)
        # Seen as closed: nothing but the closing itself may be needed, no 0xFF.
        with guest.agent_port() as port:
            assert port.raw_call("guest-sync", id=number) == {"return": number}
        wait_host_side(guest, 0)


def test_no_host_reads_the_replies_to_the_one_before(guest, agent):
    agent.port.close()
    for number in range(5):
        port = guest.agent_port().open()
        port.send(ping("stale") * 50)
        wait_host_side(guest, 1)
        port.close()
        wait_host_side(guest, 0)
        # Sooner, nobody can tell the last one's requests from the next one's (agent/stream.c).
        wait_asleep(guest, agent.pid)
        with guest.agent_port() as port:
            assert port.raw_call("guest-sync", id=number) == {"return": number}
            port.send(ping("last"))
            assert port.read_reply() == {"return": {}, "id": "last"}
        wait_host_side(guest, 0)


def test_a_port_closed_and_opened_at_once_is_in_step_after_a_sync(guest, agent):
    agent.port.close()
    for number in range(30):
        port = guest.agent_port().open()
        port.send((ping(number) + '{"execute": "guest-ping", "id": {"half": "')[:40 + number * 2])
        port.close()
        with guest.agent_port() as port:
            port.sync()
            assert port.raw_call("guest-sync", id=number) == {"return": number}


def test_nothing_wakes_up_while_nobody_talks(guest, make_agent):
    agent = make_agent(guest).start(config=TWO_MORE)
    pids = [agent.pid, agent.freezer_pid]
    agent.port.close()
    wait_host_side(guest, 0)
    count = "; ".join(f"cat /proc/{pid}/task/*/status | grep ctxt_switches" for pid in pids)
    with guest.agent_port("test") as port:  # open and idle, and the other one closed
        port.sync()
        # Let what the last request needed come to its end first.
        wait_asleep(guest, *pids)
        before = guest.sh(count)
        after = guest.sh(f"sleep 10; {count}")
        assert len(before.splitlines()) >= 4
        assert before == after


def flood(port, messages):
    """Sends until nobody has taken any of it for some seconds; returns how many messages went out whole, and what
    is left of the one that was cut."""
    port.socket.settimeout(4)
    for number, message in enumerate(messages):
        data = memoryview(message)
        while data:
            try:
                data = data[port.socket.send(data):]
            except socket.timeout:
                return number, bytes(data)
    raise AssertionError("everything was taken: nothing is bounded")


def test_a_host_that_floods_and_never_reads_harms_nobody_else(guest, make_agent):
    agent = make_agent(guest).start(config=TWO_MORE)
    pid = agent.pid
    # Replies as long as the requests: what is held for this host reaches its bound.
    whole, rest = flood(agent.port, (ping(number, 64 << 10).encode() for number in range(1000)))
    held = memory_kib(guest, pid)
    assert 16 * 1024 < held < 80 * 1024, "KiB while flooded"
    with guest.agent_port("test") as test, GuestSocket(guest, "unix", SOCKET) as local:
        begin = time.monotonic()
        for number in range(20):
            assert test.raw_call("guest-sync", id=number) == {"return": number}
            assert local.raw_call("guest-sync", id=number) == {"return": number}
        assert time.monotonic() - begin < 20
    used = [sum(map(int, guest.sh(f"sleep {s}; cut -d' ' -f14,15 /proc/{pid}/stat").split())) for s in (0, 2)]
    assert used[1] - used[0] < 20, "hundredths of a second: it spins on a port that nobody reads"

    # Now it reads: all is there, in order.
    agent.port.socket.settimeout(60)
    replies = 0
    sent = not rest
    while replies < whole + 1:
        reply = agent.port.read_reply()
        assert reply["return"] == {} and int(reply["id"].partition("-")[0]) == replies
        replies += 1
        if not sent and replies == 300:  # by then there is room again
            agent.port.send(rest)
            sent = True
    agent.port.send(ping("last"))
    assert agent.port.read_reply() == {"return": {}, "id": "last"}
    guest.wait_for(lambda: memory_kib(guest, pid) < 16 * 1024, what="the memory's return")


def test_messages_at_the_limit_pass_and_the_next_one_behind_a_larger_one_too(guest, agent):
    port = agent.port
    pid = agent.pid
    before = memory_kib(guest, pid)
    head, tail = b'{"execute": "guest-ping", "id": "', b'"}'
    body = b"y" * (LIMIT - len(head) - len(tail))
    port.send(head + body + tail)
    assert port.read_line(timeout=300) == b'{"return": {}, "id": "' + body + b'"}'
    port.send(head + body + b"y" + tail + ping(7).encode())
    assert port.read_reply(300) == {"error": {"class": "GenericError", "desc": "JSON token size limit exceeded"}}
    assert port.read_reply() == {"return": {}, "id": 7}
    guest.wait_for(lambda: memory_kib(guest, pid) < before + 2048, what="the memory's return")


# ---- a device that is missing

def test_a_missing_device_ends_the_agent_and_is_named(guest, make_agent):
    job = guest.run([make_agent(guest).path, "-p", "/dev/virtio-ports/no-such-port"], check=False)
    assert job.returncode == 1
    assert "/dev/virtio-ports/no-such-port" in job.stderr and "No such file" in job.stderr


def remove_chardev(guest):
    """Waits until the port that used it is gone, and somewhat later has let it go."""
    def removed():
        try:
            guest.qmp("chardev-remove", id="hot")
        except AgentError as error:
            return "not found" in error.desc
        return True
    guest.wait_for(removed, what="the end of the character device")


def test_with_retry_it_waits_for_its_device_and_survives_its_loss(guest, make_agent):
    agent = make_agent(guest)
    link = "/run/qa-hotplugged"
    agent.start("-r", "-p", link, wait=False)
    agent.job.wait_output(f"open '{link}'")
    path = guest.folder / "hot"
    guest.qmp("chardev-add", id="hot", backend={"type": "socket", "data": {
        "addr": {"type": "unix", "data": {"path": str(path)}}, "server": True, "wait": False}})
    try:
        for _ in range(2):
            guest.qmp("device_add", driver="virtserialport", bus="serial.0", chardev="hot", id="hot-port",
                      name="org.snapfreeze.hot")
            guest.wait_for("grep -l org.snapfreeze.hot /sys/class/virtio-ports/*/name")
            guest.run(f"ln -sf /dev/$(basename $(dirname $(grep -l org.snapfreeze.hot "
                      f"/sys/class/virtio-ports/*/name))) {link}")
            with guest.agent_port("hot") as port:
                port.sync(60)
                assert port.call("guest-ping") == {}
                lost = agent.job.stderr.count("lost")
                guest.qmp("device_del", id="hot-port")
                guest.wait_for(lambda: agent.job.stderr.count("lost") > lost, what="the loss in the log")
            guest.wait_for("! grep -q org.snapfreeze.hot /sys/class/virtio-ports/*/name")
            assert agent.job.poll() is None
    finally:
        remove_chardev(guest)
    assert agent.stop() == 0
    guest.run(["rm", link])


def test_without_retry_a_lost_device_ends_the_agent(guest, make_agent):
    agent = make_agent(guest)
    guest.qmp("chardev-add", id="hot", backend={"type": "null", "data": {}})
    guest.qmp("device_add", driver="virtserialport", bus="serial.0", chardev="hot", id="hot-port",
              name="org.snapfreeze.hot")
    guest.wait_for("grep -l org.snapfreeze.hot /sys/class/virtio-ports/*/name")
    device = "/dev/" + guest.sh("basename $(dirname $(grep -l org.snapfreeze.hot /sys/class/virtio-ports/*/name))")
    agent.start("-p", device, "-v", wait=False)
    guest.wait_for(f"ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q {device}")
    guest.qmp("device_del", id="hot-port")
    assert agent.job.wait(60).returncode == 1
    assert device in agent.job.stderr
    remove_chardev(guest)


# ---- a serial line

def test_a_serial_line_is_served_raw(guest, make_agent):
    agent = make_agent(guest)
    agent.port = guest.agent_port("isa")
    agent.start("-m", "isa-serial", "-p", "/dev/ttyS1")
    assert agent.call("guest-ping") == {}
    agent.port.send("\xff\xff".encode("latin-1") + b'{"execute": "guest-sync", "arguments": {"id": 77}}\r\n')
    assert agent.port.read_line() == b'{"return": 77}', "neither echoed nor with a carriage return"
    agent.port.send(ping(1, 3000) + ping(2))
    assert agent.port.read_reply()["id"] == "1-" + "x" * 3000
    assert agent.port.read_reply() == {"return": {}, "id": 2}
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=["/mnt/linear"]) == 1
    assert agent.status() == "frozen"
    assert agent.thaw() == 1


# ---- vsock

def test_vsock_serves_root_of_this_machine_and_nobody_else_in_it(guest, make_agent):
    guest.run("modprobe -a vsock vsock_loopback")
    agent = make_agent(guest)
    agent.start("-m", "vsock-listen", "-p", "1:5000", wait=False)
    root = GuestSocket(guest, "vsock", 1, 5000, 700)
    guest.wait_for(lambda: guest.run(["qa-socket", "vsock", 1, 5000, 699], check=False, input="").returncode == 0,
                   what="the agent's socket")
    with root:
        root.sync()
        assert root.call("guest-ping") == {}
        other = GuestSocket(guest, "vsock", 1, 5000, 5001).open()
        try:
            other.send(ping(1))
            assert other.wait_closed() == b""
        finally:
            other.close()
        agent.job.wait_output("refused a client from vsock 1:5001")
        assert root.call("guest-ping") == {}, "the refusal is no harm to others"
    assert agent.stop() == 0


# ---- a Unix socket

def unix_agent(guest, make_agent, *options, **more):
    agent = make_agent(guest)
    agent.port = GuestSocket(guest, "unix", SOCKET)
    return agent, lambda: agent.start("-m", "unix-listen", "-p", SOCKET, *options, **more)


def test_the_unix_socket_is_roots_alone_and_goes_with_the_agent(guest, make_agent):
    agent, _ = unix_agent(guest, make_agent)
    # Whatever the umask of who starts it.
    guest.run(["rm", "-f", SOCKET])
    job = guest.spawn(f"umask 0; exec {agent.path} -m unix-listen -p {SOCKET}")
    agent.job = job
    guest.wait_for(f"test -S {SOCKET}")
    assert guest.sh(f"stat -c '%a %u %g' {SOCKET}") == "600 0 0"
    agent.port.sync()
    assert agent.stop() == 0
    guest.run(f"! test -e {SOCKET}")


def test_a_stale_socket_is_replaced_and_a_live_one_is_an_error(guest, make_agent):
    agent, start = unix_agent(guest, make_agent)
    start()
    second = guest.run([agent.path, "-m", "unix-listen", "-p", SOCKET, "-t", "/run/other"], check=False)
    assert second.returncode == 1
    assert SOCKET in second.stderr and "in use" in second.stderr
    assert agent.call("guest-ping") == {}, "the first one goes on"
    agent.signal(9)
    assert agent.job.wait().returncode == -9
    agent.port.close()
    guest.run(f"test -S {SOCKET}")
    start()
    assert agent.call("guest-ping") == {}
    assert agent.stop() == 0


def test_what_is_no_socket_is_never_replaced(guest, make_agent):
    guest.run("echo precious >/run/qa-file")
    job = guest.run([make_agent(guest).path, "-m", "unix-listen", "-p", "/run/qa-file"], check=False)
    assert job.returncode == 1 and "/run/qa-file" in job.stderr
    assert guest.sh("cat /run/qa-file") == "precious"
    guest.run("rm /run/qa-file")


def test_many_clients_each_have_their_parser_and_their_order(guest, make_agent):
    agent, start = unix_agent(guest, make_agent)
    start()
    clients = [GuestSocket(guest, "unix", SOCKET).open() for _ in range(8)]
    try:
        for number, client in enumerate(clients):
            client.send('{"execute": "guest-sync", "argum')
        for number, client in enumerate(clients):
            client.send('ents": {"id": %d}}' % number + "".join(ping(i) for i in range(50)))
        for number, client in enumerate(reversed(clients)):
            assert client.read_reply() == {"return": len(clients) - 1 - number}
            assert [client.read_reply()["id"] for _ in range(50)] == list(range(50))
        clients[0].send('{"half')
        clients.pop(0).close()
        assert clients[0].call("guest-ping") == {}
    finally:
        for client in clients:
            client.close()
    assert GuestSocket(guest, "unix", SOCKET).call("guest-sync", id=5) == 5
    assert agent.stop() == 0


def test_an_inherited_socket_is_the_main_channel(guest, make_agent):
    agent = make_agent(guest)
    agent.port = GuestSocket(guest, "unix", "/run/qa-activated")
    agent.job = guest.spawn(["qa-socket", "listen", "/run/qa-activated", agent.path])
    agent.wait_answer()
    assert agent.call("guest-ping") == {}
    held = guest.sh(f"ls -l /proc/{agent.pid}/fd; ls -l /proc/{agent.freezer_pid}/fd")
    assert "virtio-ports" not in held and "vport" not in held
    assert agent.stop() == 0
    guest.run("test -S /run/qa-activated; rm /run/qa-activated")
