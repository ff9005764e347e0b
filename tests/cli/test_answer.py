"""What is printed of an answer where a person looks on: its lines, and nothing that acts."""

from __future__ import annotations

import os
import pty

import pytest

from telex import Message
from telex.cli.answer import Answer, readable_lines


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        (Message("one\ntwo"), ["one", "two"]),
        (Message("ended\n"), ["ended"]),
        (Message("\n\n"), ["", ""]),
        (Message(""), []),
        (Message("Grüße\r\n", encoding="utf-16-le"), ["Grüße"]),
        (Message("a\tb"), ["a       b"]),
        (Message("\x1b[31m\x9b\u202e\u2028x\ry"), [r"\x1b[31m\x9b\u202e\u2028x\ry"]),
        (Message({"a": "ü"}), ['{"a":"ü"}']),
        (Message(b""), []),
        (Message(b"\x00\xff"), ["application/octet-stream, 2 bytes: 00 ff"]),
    ],
)
def test_text_keeps_its_lines_and_nothing_else(message: Message, lines: list[str]) -> None:
    """Line breaks and tabs are layout; whatever could drive a terminal is an escape."""
    assert readable_lines(message) == lines


def test_what_cannot_be_read_is_described() -> None:
    """Content that is not what its header says is shown as bytes, and so is one in no charset."""
    broken = Message(b"\xff", content_type="text/plain", encoding="utf-8")
    assert readable_lines(broken) == [str(broken)]
    binary = Message(b"\xff", content_type="text/plain", encoding="binary")
    assert readable_lines(binary) == [str(binary)]


def test_a_terminal_is_shown_lines() -> None:
    """On a terminal each part begins on a line of its own."""
    here, there = pty.openpty()
    with os.fdopen(there, "w", encoding="utf-8") as terminal:
        answer = Answer(terminal, as_json=False)
        answer.show(Message("one"))
        answer.show(Message("\x1btwo"))
        shown = b""
        while shown.count(b"\n") < 2:
            shown += os.read(here, 1024)
    os.close(here)
    assert shown == b"one\r\n\\x1btwo\r\n"
