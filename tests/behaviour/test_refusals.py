"""What a server does with peers that break the rules: everything in one table.

Whatever comes, the sender is told where it still can be, there is one line in the log, and nobody
else notices.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from telex import IncompleteMessageError, Limits, Message, ProtocolError
from tests.behaviour.stage import (
    Running,
    RunningServer,
    name_of,
    receive_all,
    receive_exactly,
    receive_one,
    reset,
    warnings_about,
)
from tests.framing import frame

MESSAGE = Message("a message that is cut", subject="any").to_bytes()
HEADER_SIZE = 2 + int.from_bytes(MESSAGE[:2])


class Offence(NamedTuple):
    """Bytes that no server can take, and what it says of them."""

    data: bytes
    code: str
    words: str


def header(**fields: object) -> bytes:
    """Return a header block with these fields; dashes are written as underscores."""
    return json.dumps({name.replace("_", "-"): value for name, value in fields.items()}).encode()


def number(text: str) -> bytes:
    """Return a message that announces a content of this length, written as it is."""
    return frame(f'{{"content-length":{text}}}', b"content")


OFFENCES = {
    "header length 0": Offence(b"\0\0" + MESSAGE, "bad-message", "0 bytes"),
    "header length 1": Offence(b"\0\1{" + MESSAGE, "bad-message", "1 bytes"),
    "65,535 of garbage": Offence(frame(b"\xa5" * 65_535), "bad-message", "0xa5"),
    "65,535 that begin well": Offence(frame(b"{" + b"\xa5" * 65_534), "bad-message", "UTF-8"),
    "not UTF-8": Offence(frame(b'{"content-length":0,"a":"\xff"}'), "bad-message", "UTF-8"),
    "not JSON": Offence(frame(b"{content-length: 0}"), "bad-message", "JSON"),
    "an array": Offence(frame(b" [0]"), "bad-message", "object"),
    "nested 10,000 deep": Offence(
        frame(b'{"content-length":0,"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
        "bad-message",
        "deep",
    ),
    "a number of 5,000 digits": Offence(
        frame(b'{"content-length":0,"a":' + b"7" * 5_000 + b"}"), "bad-message", "64-bit float"
    ),
    "a repeated field": Offence(
        frame(b'{"content-length":7,"content-length":7}', b"content"),
        "bad-message",
        "more than once",
    ),
    "NaN": Offence(frame(b'{"content-length":0,"a":NaN}'), "bad-message", "NaN"),
    "no content-length": Offence(frame(b'{"a":1}'), "bad-message", "content-length"),
    "negative": Offence(number("-1"), "bad-message", "content-length"),
    "a float": Offence(number("7.0"), "bad-message", "content-length"),
    "a string": Offence(number('"7"'), "bad-message", "content-length"),
    "true": Offence(number("true"), "bad-message", "content-length"),
    "2^53": Offence(number(str(2**53)), "bad-message", "content-length"),
    "10^30": Offence(number(str(10**30)), "bad-message", "content-length"),
    "17 MiB announced": Offence(number(str(17 * 2**20)), "too-large", "17,825,792"),
    "17 MiB sent": Offence(
        frame(header(content_length=17 * 2**20), bytes(17 * 2**20)), "too-large", "17,825,792"
    ),
    "a TLS ClientHello": Offence(
        bytes.fromhex("1603010200010001fc0303") + bytes(range(256)) * 2, "bad-message", "TLS"
    ),
    "an HTTP request": Offence(
        b"GET / HTTP/1.1\r\nHost: localhost:7766\r\nAccept: */*\r\n\r\n", "bad-message", "0x54"
    ),
    "escape sequences": Offence(
        frame(b'{"content-length":"\\u001b[31m\\u202e"}'), "bad-message", "content-length"
    ),
}


@pytest.fixture
def stage(running: Running) -> Iterator[RunningServer]:
    """Run a server that must get over each offence."""
    with running(limits=Limits(max_header_size=65_535)) as stage:
        yield stage


@pytest.fixture
def bystander(stage: RunningServer) -> Iterator[socket.socket]:
    """Connect a good client that is there before, meanwhile and afterwards."""
    with stage.plug_in() as sock:
        assert_served(sock)
        yield sock
        assert_served(sock)


def assert_served(sock: socket.socket) -> None:
    """Assert that a good client has its message echoed."""
    sock.sendall(MESSAGE)
    assert receive_one(sock).to_bytes() == MESSAGE


def assert_refusal(message: Message, code: str, words: str) -> None:
    """Assert that a message tells its receiver what it did wrong."""
    assert message.kind == "error"
    assert message.content_type == "application/problem+json"
    assert message.content["code"] == code
    assert words in message.content["detail"]
    assert message.content["title"]


@pytest.mark.parametrize("offence", OFFENCES.values(), ids=OFFENCES.keys())
def test_offence_is_answered_logged_and_harmless(
    stage: RunningServer,
    bystander: socket.socket,
    caplog: pytest.LogCaptureFixture,
    offence: Offence,
) -> None:
    """The sender is told, also when it sends on; one line is logged; others are served."""
    with stage.plug_in() as sock:
        name = name_of(sock)
        sock.sendall(offence.data)
        [told] = receive_all(sock)
        assert_refusal(told, offence.code, offence.words)
        assert_served(bystander)
    ending = stage.ending_of(name)
    assert isinstance(ending, ProtocolError)
    [line] = warnings_about(caplog, name)
    assert offence.words in line
    assert line.isprintable()


def test_http_request_is_recognised_where_limits_are_as_they_come(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """Who types the address into a browser is told that it looks like HTTP."""
    with running() as stage, stage.plug_in() as sock:
        sock.sendall(OFFENCES["an HTTP request"].data)
        [told] = receive_all(sock)
        assert_refusal(told, "bad-message", "HTTP")
        name = name_of(sock)
        sock.close()
        stage.ending_of(name)
        assert len(warnings_about(caplog, name)) == 1


def test_good_messages_before_a_bad_one_are_handled(
    stage: RunningServer, bystander: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """What was complete before the bad bytes is answered first, and the error says where it is."""
    with stage.plug_in() as sock:
        sock.sendall(MESSAGE * 3 + b"\0\0" + MESSAGE)
        *good, told = receive_all(sock)
    assert [message.to_bytes() for message in good] == [MESSAGE] * 3
    assert_refusal(told, "bad-message", f"at byte {3 * len(MESSAGE)}")


CONTENT_OFFENCES = {
    "an unknown charset": Offence(
        frame(
            header(
                content_type="text/plain",
                content_encoding="klingon",
                content_length=2,
                kind="request",
                subject="content",
                id=5,
            ),
            b"ab",
        ),
        "bad-content",
        "klingon",
    ),
    "text that is not in its charset": Offence(
        frame(
            header(
                content_type="text/plain",
                content_encoding="utf-8",
                content_length=2,
                kind="request",
                subject="content",
                id=5,
            ),
            b"\xff\xfe",
        ),
        "bad-content",
        "utf-8",
    ),
    "broken JSON": Offence(
        frame(
            header(
                content_type="application/json",
                content_length=2,
                kind="request",
                subject="content",
                id=5,
            ),
            b"{]",
        ),
        "bad-content",
        "JSON",
    ),
}


@pytest.mark.parametrize("offence", CONTENT_OFFENCES.values(), ids=CONTENT_OFFENCES.keys())
def test_bad_content_is_answered_and_the_connection_lives(
    stage: RunningServer,
    bystander: socket.socket,
    caplog: pytest.LogCaptureFixture,
    offence: Offence,
) -> None:
    """Content that cannot be read is told to its sender, by its id; the next message is served."""
    with stage.plug_in() as sock:
        sock.sendall(offence.data)
        told = receive_one(sock)
        assert_refusal(told, offence.code, offence.words)
        assert told.re == 5
        assert_served(sock)
        [line] = warnings_about(caplog, name_of(sock))
        assert offence.words in line


def test_error_is_never_answered_with_an_error(
    stage: RunningServer, bystander: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """Bad content in an error is logged only: two servers cannot throw errors at each other."""
    bad = frame(
        header(
            content_type="text/plain",
            content_encoding="klingon",
            content_length=0,
            kind="error",
            subject="content",
        )
    )
    with stage.plug_in() as sock:
        sock.sendall(bad)
        assert_served(sock)
        assert len(warnings_about(caplog, name_of(sock))) == 1


STATES = {
    "proto-header": 1,
    "header block, none of it": 2,
    "header block": HEADER_SIZE - 1,
    "content, none of it": HEADER_SIZE,
    "content": len(MESSAGE) - 1,
}


@pytest.mark.parametrize("size", STATES.values(), ids=STATES.keys())
def test_end_in_the_middle_of_a_message_is_answered(
    stage: RunningServer, bystander: socket.socket, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    """A peer that stops sending in the middle of a message is told, if it still listens."""
    with stage.plug_in() as sock:
        name = name_of(sock)
        sock.sendall(MESSAGE + MESSAGE[:size])
        sock.shutdown(socket.SHUT_WR)
        echo, told = receive_all(sock)
    assert echo.to_bytes() == MESSAGE
    assert_refusal(told, "bad-message", f"ended after {size} bytes")
    assert isinstance(stage.ending_of(name), IncompleteMessageError)
    [line] = warnings_about(caplog, name)
    assert f"ended after {size} bytes" in line


def test_reset_at_every_point_of_a_message_is_logged_once(
    stage: RunningServer, bystander: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever in a message a peer vanishes: one line, which says what was cut.

    It is a warning where something was: between two messages, as health probes do it, nothing is.
    """
    caplog.set_level(logging.INFO, "telex.server")
    for size in range(len(MESSAGE) + 1):
        sock = stage.plug_in()
        name = name_of(sock)
        sock.sendall(MESSAGE + MESSAGE[:size])
        assert receive_exactly(sock, len(MESSAGE)) == MESSAGE
        reset(sock)
        ending = stage.ending_of(name)
        assert ending is not None
        [record] = [record for record in caplog.records if record.getMessage().startswith(name)]
        line = record.getMessage()
        assert "reset" in line
        if size < len(MESSAGE):  # of the last whole message the answer may be lost
            assert record.levelno == (logging.WARNING if size else logging.INFO)
        assert (f"ended after {size} bytes" in line) == (0 < size < len(MESSAGE))
        caplog.clear()  # the next peer may come from the same port


def test_close_at_every_point_of_a_message_is_logged_once(
    stage: RunningServer, bystander: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """A peer that goes in the middle of a message costs one line, and after a whole one none."""
    for size in range(len(MESSAGE)):
        with stage.plug_in() as sock:
            name = name_of(sock)
            sock.sendall(MESSAGE[:size])
        ending = stage.ending_of(name)
        assert isinstance(ending, IncompleteMessageError) == (size > 0)
        assert len(warnings_about(caplog, name)) == (size > 0)
        caplog.clear()  # the next peer may come from the same port


def test_reset_by_a_refused_peer_is_not_its_reason(
    stage: RunningServer, bystander: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """A peer that vanishes when it is told what it did wrong has still ended because of that."""
    sock = stage.plug_in()
    name = name_of(sock)
    sock.sendall(MESSAGE + b"\0\0")
    assert receive_exactly(sock, len(MESSAGE)) == MESSAGE
    assert sock.recv(1) == b"\0"
    reset(sock)
    assert isinstance(stage.ending_of(name), ProtocolError)
    [line] = warnings_about(caplog, name)
    assert "0 bytes; the smallest is {}" in line
