# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases about what a host reads on the wire, byte for byte, while the guest is thawed, freezing and frozen."""

import contextlib
import json

import pytest

from agents import SOCKET, SOCKET_CHANNEL, TEST_CHANNEL
from guest_socket import GuestSocket
from ports import AgentError

TWO_MORE = TEST_CHANNEL + SOCKET_CHANNEL
SOME = ["/mnt/ext4-a", "/mnt/with space"]
COMMANDS = {
    "guest-sync", "guest-sync-delimited", "guest-ping", "guest-info", "guest-fsfreeze-status",
    "guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list", "guest-fsfreeze-thaw", "snapfreeze-plan",
    "snapfreeze-freeze", "snapfreeze-extend", "snapfreeze-thaw", "snapfreeze-status",
}


def request(command, **arguments):
    return json.dumps({"execute": command, "arguments": arguments} if arguments else {"execute": command}).encode()


def error_line(klass, desc):
    return json.dumps({"error": {"class": klass, "desc": desc}}).encode()


# ---- framing

def test_proxmox_reads_ff_and_exactly_two_lines_for_its_one_write(agent):
    agent.port.send(b"\xff" + request("guest-sync-delimited", id=4711) + b"\n" + request("guest-ping") + b"\n")
    assert agent.port.read_line() == b'\xff{"return": 4711}'
    assert agent.port.read_line() == b'{"return": {}}'
    assert agent.port.read(1) == b"", "nothing unasked"


def test_a_0xff_discards_what_was_half_read_and_is_not_answered(agent):
    agent.port.send(b'{"execute": "guest-pi\xff\xff' + request("guest-sync", id=1))
    assert agent.port.read_line() == b'{"return": 1}'
    agent.port.send(b'{"execute": "guest-sync", "arguments": {"id": 2\xff')
    agent.port.send(b"}}" + request("guest-sync-delimited", id=3))
    # What is left behind a 0xFF is a message of its own, and a malformed one.
    first = agent.port.read_line()
    while b"JSON parse error" in first:
        first = agent.port.read_line()
    assert first == b'\xff{"return": 3}'


def test_requests_in_pieces_and_in_one_piece_are_the_same(agent):
    line = b"".join(json.dumps({"execute": "guest-sync", "arguments": {"id": n}}).encode() for n in range(40))
    agent.port.send(line)
    assert [agent.port.read_reply()["return"] for _ in range(40)] == list(range(40))
    for at in range(0, len(line), 7):
        agent.port.send(line[at:at + 7])
    assert [agent.port.read_reply()["return"] for _ in range(40)] == list(range(40))


@pytest.mark.parametrize("identity", ['"text"', "7", "null", "[1, {}]", '{"a": false}', '"gr\\u00FCn"'])
def test_an_id_comes_back_as_it_was_and_where_clients_look_for_it(agent, identity):
    agent.port.send(b'{"execute": "guest-ping", "id": %s}' % identity.encode())
    assert agent.port.read_line() == b'{"return": {}, "id": %s}' % identity.encode()
    agent.port.send(b'{"execute": "no", "id": %s}' % identity.encode())
    assert agent.port.read_line() == (b'{"id": %s, "error": {"class": "CommandNotFound", '
                                      b'"desc": "The command no has not been found"}}' % identity.encode())


def test_replies_are_pure_ascii(agent):
    agent.port.send('{"execute": "guest-ping", "id": "grün 日本 😀"}')
    assert agent.port.read_line() == b'{"return": {}, "id": "gr\\u00FCn \\u65E5\\u672C \\uD83D\\uDE00"}'
    agent.port.send(request("snapfreeze-plan"))
    line = agent.port.read_line()
    assert b"\\u65E5" in line and max(line) < 0x80


# ---- errors, word for word

ERRORS = [
    ('{"execute": "guest-nonsense"}', "CommandNotFound", "The command guest-nonsense has not been found"),
    ('{"execute": "guest-sync", "arguments": {"id": 1, "x": 2}}', "GenericError", "Parameter 'x' is unexpected"),
    ('{"execute": "guest-ping", "arguments": {"id": 1}}', "GenericError", "Parameter 'id' is unexpected"),
    ('{"execute": "guest-sync"}', "GenericError", "Parameter 'id' is missing"),
    ('{"execute": "guest-sync", "arguments": {"id": "5"}}', "GenericError",
     "Invalid parameter type for 'id', expected: integer"),
    ('{"execute": "guest-sync", "arguments": {"id": 1.0}}', "GenericError",
     "Invalid parameter type for 'id', expected: integer"),
    ('{"execute": "guest-sync", "arguments": {"id": 18446744073709551615}}', "GenericError",
     "Invalid parameter type for 'id', expected: integer"),
    ('{"execute": "guest-sync", "arguments": {"id": null}}', "GenericError",
     "Invalid parameter type for 'id', expected: integer"),
    ('{"execute": "guest-fsfreeze-freeze-list", "arguments": {"mountpoints": "/"}}', "GenericError",
     "Invalid parameter type for 'mountpoints', expected: array"),
    ('{"execute": "snapfreeze-freeze", "arguments": {"label": 1}}', "GenericError",
     "Invalid parameter type for 'label', expected: string"),
    ('7', "GenericError", "QMP input must be a JSON object"),
    ('[1]', "GenericError", "QMP input must be a JSON object"),
    ('null', "GenericError", "QMP input must be a JSON object"),
    ('{}', "GenericError", "QMP input lacks member 'execute'"),
    ('{"arguments": {}}', "GenericError", "QMP input lacks member 'execute'"),
    ('{"execute": "guest-ping", "more": 1}', "GenericError", "QMP input member 'more' is unexpected"),
    ('{"exec-oob": "guest-ping"}', "GenericError", "QMP input member 'exec-oob' is unexpected"),
    ('{"execute": 1}', "GenericError", "QMP input member 'execute' must be a string"),
    ('{"execute": "guest-ping", "arguments": []}', "GenericError", "QMP input member 'arguments' must be an object"),
    # Existence and permission come before arguments.
    ('{"execute": "guest-nonsense", "arguments": {"x": 1}}', "CommandNotFound",
     "The command guest-nonsense has not been found"),
    ('[' * 2000, "GenericError", "JSON nesting depth limit exceeded"),
]
MALFORMED = ['{"execute": "guest-ping",}', '{"execute" "guest-ping"}', '{"execute": guest}',
             '{"execute": "guest-ping", "execute": "guest-ping"}', r'{"execute": "\x"}', '{"execute": "guest\x01"}']


def test_every_error_is_told_in_qemus_words_and_the_next_request_works(agent):
    port = agent.port
    for text, klass, desc in ERRORS:
        port.send(text)
        if text.startswith("[["):
            port.send("]" * 2000)
        elif not text.startswith(("{", "[")):
            port.send(" ")
        assert port.read_line() == error_line(klass, desc), text[:100]
        port.send(request("guest-sync", id=1))
        assert port.read_line() == b'{"return": 1}', text[:100]


def test_malformed_messages_are_parse_errors_without_an_id(agent):
    port = agent.port
    for data in [text.encode() for text in MALFORMED] + [b'{"execute": "guest-\xc3\x28"}']:
        port.send(b'\xff' + data)
        reply = port.read_reply()
        assert list(reply) == ["error"] and reply["error"]["class"] == "GenericError", data
        assert reply["error"]["desc"].startswith("JSON parse error, "), data
        port.sync()


def test_what_qemu_accepts_is_accepted(agent):
    port = agent.port
    port.send(b"{'execute': 'guest-sync',\n\t'arguments':\r\n{'id': 9223372036854775807}}")
    assert port.read_line() == b'{"return": 9223372036854775807}'
    port.send('{"execute": "guest-sync", "arguments": {"id": -9223372036854775808}}')
    assert port.read_line() == b'{"return": -9223372036854775808}'


def test_disabled_commands_are_told_from_unknown_ones(guest, make_agent):
    agent = make_agent(guest).start("-b", "guest-ping,guest-fsfreeze-thaw")
    with pytest.raises(AgentError) as caught:
        agent.call("guest-ping", anything=1)
    assert (caught.value.klass, caught.value.desc) == (
        "CommandNotFound", "Command guest-ping has been disabled: the command is not allowed")
    # A freeze that could not be thawed is never on offer.
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=SOME) == 2
    assert agent.thaw() == 2


def enabled(agent):
    info = agent.call("guest-info")
    assert isinstance(info["version"], str) and info["version"]
    names = [entry["name"] for entry in info["supported_commands"]]
    assert sorted(names) == sorted(set(names)) and set(names) >= COMMANDS, "all are listed, enabled or not"
    assert all(list(sorted(entry)) == ["enabled", "name", "success-response"] for entry in info["supported_commands"])
    assert all(entry["success-response"] is True for entry in info["supported_commands"] if entry["name"] in COMMANDS)
    return {entry["name"] for entry in info["supported_commands"] if entry["enabled"]}


def test_guest_info_tells_which_commands_are_allowed(guest, make_agent):
    agent = make_agent(guest).start()
    everything = enabled(agent)
    assert everything >= COMMANDS
    agent.stop()
    agent.start(config="[commands]\nprofile=snapshot\n")
    assert enabled(agent) == COMMANDS
    agent.stop()
    agent.start("-b", "guest-ping,guest-fsfreeze-freeze-list", "-b", "snapfreeze-plan")
    assert everything - enabled(agent) == {"guest-ping", "guest-fsfreeze-freeze-list", "snapfreeze-plan"}
    agent.stop()
    # Whoever lists what is allowed gets that, and the ways out of a freeze.
    agent.start("-a", "guest-sync,guest-sync-delimited,guest-info")
    assert enabled(agent) == {"guest-sync", "guest-sync-delimited", "guest-info", "guest-fsfreeze-thaw",
                              "snapfreeze-thaw"}


# ---- while frozen

def test_while_frozen_only_what_cannot_harm_is_allowed(guest, agent):
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=SOME) == 2
    port = agent.port
    assert port.raw_call("guest-fsfreeze-status") == {"return": "frozen"}
    for command in ("guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list", "snapfreeze-freeze", "snapfreeze-plan"):
        # Permission is looked at before arguments.
        port.send(request(command, nonsense=1))
        assert port.read_line() == error_line(
            "CommandNotFound", f"Command {command} has been disabled: the agent is in frozen state")
    port.send(request("guest-nonsense"))
    assert port.read_line() == error_line("CommandNotFound", "The command guest-nonsense has not been found")
    assert port.call("guest-ping") == {}
    assert port.call("guest-sync", id=3) == 3
    port.sync()
    assert set(entry["name"] for entry in port.call("guest-info")["supported_commands"]) >= COMMANDS
    status = port.call("snapfreeze-status")
    assert status["state"] == "frozen" and [entry["state"] for entry in status["filesystems"]] == ["frozen"] * 2
    port.send(request("snapfreeze-extend", id=status["id"], timeout=100))
    assert port.read_reply()["return"]["deadline-ms"] > 90000
    assert set(guest.blocked([*SOME, "/mnt/xfs"], timeout=2)) == set(SOME)
    assert agent.thaw() == 2
    assert agent.status() == "thawed"
    assert agent.thaw() == 0


def test_an_empty_list_freezes_nothing(agent):
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=[]) == 0
    assert agent.status() == "thawed"
    assert agent.thaw() == 0


# ---- order, and channels beside one another

SECTORS = "$(blockdev --getsz /dev/qa/linear)"


@contextlib.contextmanager
def slow_writes(guest, delay_ms):
    """/mnt/linear on a disk whose writes and flushes take long: so do its freeze and thaw, but not a flush
    of nothing."""
    device = guest.sh("readlink -f /dev/qa/linear")
    guest.run("modprobe dm-delay")

    def load(table):
        guest.run(f"sync -f /mnt/linear; dmsetup --noudevsync reload linear --table \"{table}\" && "
                  "dmsetup --noudevsync suspend linear && dmsetup --noudevsync resume linear")
    load(f"0 {SECTORS} delay {device} 0 0 {device} 0 {delay_ms}")
    try:
        yield
    finally:
        load(f"0 {SECTORS} linear {device} 0")


@contextlib.contextmanager
def stuck_disk(guest):
    """/mnt/linear on a disk that answers nothing, with something to be flushed on it."""
    guest.run("echo dirty >/mnt/linear/dirty")
    guest.run("dmsetup --noudevsync suspend --nolockfs --noflush linear")
    try:
        yield
    finally:
        guest.run("dmsetup --noudevsync resume linear; rm -f /mnt/linear/dirty", timeout=60)


def test_status_behind_a_freeze_on_its_channel_is_answered_behind_it(guest, make_agent):
    agent = make_agent(guest).start(config=TWO_MORE)
    with guest.agent_port("test") as other, slow_writes(guest, 2000):
        other.sync()
        agent.port.send(request("guest-fsfreeze-freeze-list", mountpoints=["/mnt/linear"]))
        guest.wait_for(lambda: other.call("guest-fsfreeze-status") == "frozen", what="the first FIFREEZE")
        agent.port.send(request("guest-fsfreeze-status") + request("guest-ping"))
        # The freeze is under way, and another channel is not kept waiting.
        assert other.call("snapfreeze-status")["state"] == "freezing"
        with GuestSocket(guest, "unix", SOCKET) as local:
            assert local.call("guest-ping", timeout=20) == {}
            assert local.call("snapfreeze-status")["state"] == "freezing"
        with pytest.raises(AgentError, match="the agent is in frozen state"):
            other.call("guest-fsfreeze-freeze")
        assert agent.port.read(0.01) == b""
        assert agent.port.read_line() == b'{"return": 1}'
        assert agent.port.read_line() == b'{"return": "frozen"}'
        assert agent.port.read_line() == b'{"return": {}}'
        assert agent.thaw() == 1


def test_a_thaw_from_another_channel_ends_a_freeze_that_is_being_made(guest, make_agent):
    agent = make_agent(guest).start(config=TWO_MORE)
    with guest.agent_port("test") as other, slow_writes(guest, 2000):
        other.sync()
        agent.port.send(request("guest-fsfreeze-freeze-list", mountpoints=["/mnt/linear", "/mnt/ext4-a"]))
        guest.wait_for(lambda: other.call("guest-fsfreeze-status") == "frozen", what="the first FIFREEZE")
        other.send(request("guest-fsfreeze-thaw"))
        reply = agent.port.read_reply()
        assert reply["error"]["class"] == "GenericError"
        assert "channel 'test' asked for a thaw" in reply["error"]["desc"]
        other.read_reply()
        guest.wait_for(lambda: agent.call("snapfreeze-status")["state"] == "thawed")
        assert guest.blocked(["/mnt/linear", "/mnt/ext4-a"], timeout=60) == []
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=["/mnt/ext4-a"]) == 1, "and the next one works"
    assert agent.thaw() == 1


def test_a_flush_that_hangs_blocks_no_other_channel_and_a_thaw_calls_it_off(guest, make_agent):
    agent = make_agent(guest).start(config=TWO_MORE)
    with guest.agent_port("test") as other, GuestSocket(guest, "unix", SOCKET) as local:
        other.sync()
        with stuck_disk(guest):
            agent.port.send(request("guest-fsfreeze-freeze-list", mountpoints=["/mnt/linear", "/mnt/ext4-a"]))
            guest.wait_for(lambda: other.call("snapfreeze-status")["state"] == "preparing")
            assert other.call("guest-fsfreeze-status") == "thawed"
            assert local.call("guest-ping", timeout=20) == {}
            with pytest.raises(AgentError, match="a freeze is under way"):
                local.call("guest-fsfreeze-freeze")
            assert guest.blocked(["/mnt/ext4-a"], timeout=20) == [], "nothing is frozen before all is flushed"
            other.send(request("guest-fsfreeze-thaw"))
            reply = agent.port.read_reply()
            assert "channel 'test' asked for a thaw" in reply["error"]["desc"]
            other.read_reply()
        guest.wait_for(lambda: local.call("snapfreeze-status")["state"] == "thawed")
    assert agent.call("guest-fsfreeze-freeze-list", mountpoints=["/mnt/linear", "/mnt/ext4-a"]) == 2
    assert agent.thaw() == 2


@pytest.mark.parametrize("sign", [b"\xff", request("guest-sync", id=4)])
def test_a_freeze_given_up_by_its_sender_freezes_nothing(guest, make_agent, sign):
    agent = make_agent(guest).start(config=TWO_MORE)
    with guest.agent_port("test") as other:
        other.sync()
        with stuck_disk(guest):
            agent.port.send(request("guest-fsfreeze-freeze-list", mountpoints=["/mnt/linear"]))
            guest.wait_for(lambda: other.call("snapfreeze-status")["state"] == "preparing")
            agent.port.send(sign)
            reply = agent.port.read_reply()
            assert "given up" in reply["error"]["desc"]
            agent.port.send(request("guest-sync-delimited", id=5))
            if sign != b"\xff":
                assert agent.port.read_line() == b'{"return": 4}'
            assert agent.port.read_line() == b'\xff{"return": 5}'
            assert agent.status() == "thawed"
        guest.wait_for(lambda: other.call("snapfreeze-status")["state"] == "thawed")
    # One in the same bytes as the sync behind it has not begun either.
    agent.port.send(request("guest-fsfreeze-freeze") + request("guest-sync", id=6))
    assert "given up" in agent.port.read_reply()["error"]["desc"]
    assert agent.port.read_line() == b'{"return": 6}'
    assert agent.status() == "thawed"
