"""Descriptions: what ``str(message)`` shows, and what it keeps from a terminal."""

from __future__ import annotations

import pytest

from telex import Message, MessageProcessor
from tests.framing import frame

CONTROLS = {
    "C0": "\x00\x07\x08\x7f",
    "C1": "\x80\x9b31m",
    "ESC": "\x1b[2J\x1b]0;title\x07",
    "line breaks": "a\r\nb\x0b\x0c\x85\u2028\u2029",
    "bidirectional marks": "\u200e\u200f\u202a\u202e\u2066\u2069\u061c",
    "invisible": "\ufeff\u00ad\u2060\U000e0001",
}


def received(message: Message) -> Message:
    """Return the message that arrives when ``message`` is sent."""
    (arrived,) = MessageProcessor().receive_messages(message.to_bytes())
    return arrived


def test_str_says_what_the_message_is() -> None:
    """One line shows the type, the size, all headers and the content."""
    message = Message(
        "Grüße, 世界",
        subject="greet",
        kind="request",
        id=7,
        re=5,
        timeout_ms=2000,
        headers={"site": "north"},
    )
    shown = str(message)
    for said in (
        "text/plain",
        "15 bytes",
        "greet",
        "request",
        "id 7",
        "re 5",
        "timeout 2000 ms",
        "site north",
        "世界",
    ):
        assert said in shown
    assert repr(message) == f"<Message {shown}>"


def test_str_shows_json_and_bytes() -> None:
    """JSON is shown as it travels, bytes as hex."""
    assert '{"a":["ü"]}' in str(Message({"a": ["ü"]}))
    assert '{"a":["ü"]}' in str(Message({"a": ["ü"]}, encoding="utf-16"))
    assert "00 1b ff" in str(Message(b"\x00\x1b\xff"))


def test_str_is_short_for_long_content() -> None:
    """Long content is shown in part, saying how much more there is."""
    text = str(Message("x" * 1_000_000))
    binary = str(Message(bytes(1_000_000)))
    assert len(text) < 2_000
    assert len(binary) < 2_000
    assert "1,000,000 bytes" in text
    assert "999,000 characters more" in text
    assert "999,936 bytes more" in binary


@pytest.mark.parametrize("controls", CONTROLS.values(), ids=CONTROLS.keys())
def test_str_escapes_what_drives_a_terminal(controls: str) -> None:
    """Nothing from a peer moves the cursor, breaks a line or turns the direction of reading."""
    message = received(
        Message(
            f"a{controls}z",
            subject=controls,
            kind=controls,
            content_type=f"text/plain;{controls}",
            headers={controls: [controls, {controls: controls}]},
        )
    )
    assert str(message).isprintable()
    assert repr(message).isprintable()
    assert str(Message(controls.encode())).isprintable()
    assert str(Message([controls, {controls: 1}])).isprintable()


def test_str_escapes_an_encoding_that_is_unknown() -> None:
    """An unreadable message is shown as hex, with its escaped charset."""
    message = MessageProcessor().receive_bytes(
        frame('{"content-type":"text/plain","content-encoding":"\\u001b","content-length":1}', b"x")
    )
    assert str(message).isprintable()
    assert "78" in str(message)


@pytest.mark.parametrize(
    ("body", "content_type", "encoding"),
    [(b"\xff", "text/plain", "utf-8"), (b"\xff", "application/json", "utf-8")],
)
def test_str_shows_unreadable_content_as_hex(body: bytes, content_type: str, encoding: str) -> None:
    """What is not in its charset can still be looked at."""
    header = (
        f'{{"content-type":"{content_type}","content-encoding":"{encoding}","content-length":1}}'
    )
    shown = str(MessageProcessor().receive_bytes(frame(header, body)))
    assert "ff" in shown
    assert "not readable as utf-8" in shown


def test_str_shows_text_that_says_it_is_binary_as_hex() -> None:
    """No charset is guessed for display either."""
    header = '{"content-type":"text/plain","content-encoding":"binary","content-length":1}'
    assert "41" in str(MessageProcessor().receive_bytes(frame(header, b"A")))
