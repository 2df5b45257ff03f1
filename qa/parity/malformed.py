# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a host may send besides good requests: bytes in any pieces, 0xFF, and all that is no JSON. The fuzzers' corpus
of messages (qa/fuzz/corpus-frame) is sent too."""

from pathlib import Path

from exchange import Case, encoded, request

PING = b'{"execute": "guest-ping"}'
SYNC = b'{"execute": "guest-sync", "arguments": {"id": %d}}'
CORPUS = Path(__file__).resolve().parent.parent / "fuzz" / "corpus-frame"

FRAMING = {
    "no newline behind it": [PING],
    "two on a line": [PING + SYNC % 1],
    "two on a line with blanks": [PING + b" \t " + SYNC % 1 + b"\r\n"],
    "newlines within": [b'{\n"execute"\n:\n"guest-ping"\n}\n'],
    "blank lines between": [b"\n\n \r\n\t" + PING + b"\n\n\n" + PING],
    "in pieces": [PING[:9], PING[9:17], PING[17:]],
    "a byte at a time": [bytes([byte]) for byte in SYNC % 12345],
    "two in three pieces": [PING[:7], PING[7:] + (SYNC % 3)[:20], (SYNC % 3)[20:]],
    "40 in one write": [b"".join(SYNC % number for number in range(40))],
    "single quotes": [b"{'execute': 'guest-sync', 'arguments': {'id': 4}}"],
    "single quotes around double ones": [b"""{'execute': 'no "such" command'}"""],
    "escapes in a name": [rb'{"execute": "guest-\u0070ing"}'],
    "escapes in a key": [rb'{"e\u0078ecute": "guest-ping"}'],
    "every escape": [rb'{"execute": "guest-ping", "id": "\" \\ \/ \b \f \n \r \t \u00fc \ud83d\ude00 \u0001 \u007f"}'],
    "a single quote escaped": [rb"""{"execute": "guest-ping", "id": "\u0027 \' '"}"""],
    "empty object": [b"{}"],
    "empty array": [b"[]"],
    "number, text, true, null": [b'7 "x" true null '],
    "an array of a request": [b"[" + PING + b"]"],
    "arguments without execute": [b'{"arguments": {}}'],
    "id without execute": [b'{"id": 5}'],
    "id before execute": [b'{"id": 5, "execute": "guest-ping"}'],
    "id behind arguments": [b'{"execute": "guest-sync", "arguments": {"id": 1}, "id": 2}'],
    "exec-oob": [b'{"exec-oob": "guest-ping"}'],
    "exec-oob beside execute": [b'{"execute": "guest-ping", "exec-oob": "guest-ping"}'],
    "control": [b'{"execute": "guest-ping", "control": {"run-oob": true}}'],
    "unknown member before a wrong one": [b'{"x": 1, "execute": 2}'],
    "wrong member before an unknown one": [b'{"execute": 2, "x": 1}'],
    "0xFF alone": [b"\xff"],
    "0xFF before a request": [b"\xff" + PING],
    "0xFF behind a request": [PING + b"\xff" + PING],
    "0xFF in a half object": [b'{"execute": \xff' + PING],
    "0xFF in a half text": [b'{"execute": "guest-\xff' + PING],
    "0xFF in a half array": [b"[[[{\xff" + PING],
    "three of 0xFF": [b"\xff\xff\xff" + PING],
    "guest-sync-delimited": [b"\xff" + encoded(request("guest-sync-delimited", id=7)), PING],
    "guest-sync-delimited, refused": [b'{"execute": "guest-sync-delimited", "arguments": {"id": "x"}}', PING],
    "guest-sync-delimited with an id": [b'{"execute": "guest-sync-delimited", "arguments": {"id": 5}, "id": "a"}'],
    "base64 with newlines": [encoded(request("guest-file-write", handle=1, **{"buf-b64": "YWJj\nZGVm\n"}))],
}
MALFORMED = {
    "trailing comma in an object": [b'{"execute": "guest-ping",}'],
    "trailing comma in an array": [b'{"a": [1,]}'],
    "leading comma": [b'{,"execute": "guest-ping"}'],
    "two commas": [b'{"a": 1,,"b": 2}'],
    "no comma": [b'{"a": 1 "b": 2}'],
    "no comma in an array": [b'{"a": [1 2]}'],
    "no colon": [b'{"execute" "guest-ping"}'],
    "two colons": [b'{"execute":: "guest-ping"}'],
    "no value": [b'{"execute":}'],
    "bare word": [b'{"execute": ping}'],
    "bare key": [b'{execute: "guest-ping"}'],
    "number for a key": [b'{1: 2}'],
    "null for a key": [b'{null: 2}'],
    "array for a key": [b'{[]: 2}'],
    "duplicate key": [b'{"execute": "guest-ping", "execute": "guest-ping"}'],
    "duplicate key, escaped": [rb'{"execute": "guest-ping", "e\u0078ecute": "guest-ping"}'],
    "duplicate key in arguments": [b'{"execute": "guest-sync", "arguments": {"id": 1, "id": 2}}'],
    "duplicate id": [b'{"execute": "guest-ping", "id": 1, "id": 1}'],
    "unknown escape": [rb'{"execute": "\x41"}'],
    "True, None, NaN": [b'{"a": True}', b'{"a": None}', b'{"a": NaN}'],
    "tru, nulll, falsely": [b'{"a": tru}', b'{"a": nulll}', b'{"a": falsely}'],
    "-, 01, -01": [b'{"a": -}', b'{"a": 01}', b'{"a": -01}'],
    "1., .5, 1e, 1e+": [b'{"a": 1.}', b'{"a": .5}', b'{"a": 1e}', b'{"a": 1e+}'],
    "+1, 0x10, 1_000": [b'{"a": +1}', b'{"a": 0x10}', b'{"a": 1_000}'],
    "12a, 1.5.5, --1": [b'{"a": 12a}', b'{"a": 1.5.5}', b'{"a": --1}'],
    "closing brace alone": [b"}"],
    "closing bracket alone": [b"]"],
    "comma alone": [b", "],
    "colon alone": [b": "],
    "word alone": [b"quit\n"],
    "percent": [b'{"execute": %s}'],
    "a comment": [b'{"a": /* b */ 1}'],
    "half a pair, high": [rb'{"a": "\ud83d"}'],
    "half a pair, low": [rb'{"a": "\ude00"}'],
    "high and high": [rb'{"a": "\ud83d\ud83d"}'],
    "short hexadecimal escape": [rb'{"a": "\u12"}'],
    "escape of no hexadecimal": [rb'{"a": "\uzzzz"}'],
    "escape of NUL": [rb'{"a": "\u0000"}'],
    "bad UTF-8": [b'{"execute": "guest-\xc3\x28"}'],
    "bad UTF-8 in a key": [b'{"\xc3\x28": 1}'],
    "UTF-8 continued by nothing": [b'{"a": "\x80"}'],
    "UTF-8 of a surrogate": [b'{"a": "\xed\xa0\x80"}'],
    "UTF-8 longer than needed": [b'{"a": "\xc0\xaf"}'],
    "UTF-8 beyond Unicode": [b'{"a": "\xf4\x90\x80\x80"}'],
    "8 bit outside of text": [b'{"a": \xe4}'],
    "control character in text": [b'{"a": "x\x01y"}'],
    "tab in text": [b'{"a": "x\ty"}'],
    "newline in text": [b'{"a": "x\ny"}\n'],
    "NUL": [b'{"a": \x00}'],
    "DEL in text": [b'{"execute": "guest-ping", "id": "\x7f"}'],
    "bracket for a brace": [b'{"a": 1]'],
    "brace for a bracket": [b'{"a": [1}]}'],
    "1024 deep": [b'{"execute": "guest-ping", "id": ' + b"[" * 1023 + b"]" * 1023 + b"}"],
    "1025 deep": [b'{"execute": "guest-ping", "id": ' + b"[" * 1024 + b"]" * 1024 + b"}"],
    "text of 1 MiB": [b'{"execute": "guest-ping", "id": "' + b"x" * (1 << 20) + b'"}'],
    "name of 1 MiB": [b'{"execute": "' + b"x" * (1 << 20) + b'"}'],
    "20,000 members": [b'{"execute": "guest-ping", "id": {' +
                       b", ".join(b'"%d": 1' % number for number in range(20000)) + b"}}"],
}
IDS = ['"text"', '""', "0", "7", "-7", "1.5", "-0.0", "1e2", "0.1", "1e300", "9223372036854775807", "18446744073709551615",
       "18446744073709551616", "-9223372036854775809", "true", "false", "null", "[]", "[1, [2], {}]", "{}",
       '{"b": 1, "a": {"c": null}}', '"gr\\u00fcn 日本 😀"', '"\\u0001\\u007f\\u0080"', '"a\\/b"', '"\\"\\\\"', '"<&>"']


def framing_cases():
    cases = [Case(name, *pieces) for name, pieces in FRAMING.items()]
    for number, identity in enumerate(IDS):
        for command in ("guest-ping", "no"):
            cases.append(Case(f"id {identity} with {command}",
                              f'{{"execute": "{command}", "id": {identity}}}'.encode()))
    return cases


def malformed_cases():
    return [Case(name if len(pieces) == 1 else f"{name}: {piece.decode()}", piece)
            for name, pieces in MALFORMED.items() for piece in pieces]


def corpus_cases():
    """Each file's bytes but its first line, which is the fuzzer's."""
    return [Case(path.name, path.read_bytes().partition(b"\n")[2], is_open=True) for path in sorted(CORPUS.iterdir())]
