"""Messages of checked fields and a body: nothing is read or written twice."""

from __future__ import annotations

import sys

import pytest

from telex import ContentError, Message
from telex.wire.header import fields_for
from telex.wire.received import ReceivedMessage, with_body


def received(body: bytes, content_type: str) -> ReceivedMessage:
    """Make a message as it comes from the peer, with id 5, re 6 and timeout 7."""
    fields = fields_for(sys.byteorder, content_type, "utf-8", None, "s", False)
    return ReceivedMessage(fields, body, 5, 6, 7)


def test_a_received_message_equals_the_one_that_was_sent() -> None:
    """Headers, numbers, body and content are those of the sender's message."""
    arrived = received(b'{"a":1}', "application/json")
    assert arrived == Message({"a": 1}, subject="s", id=5, re=6, timeout_ms=7)
    assert (arrived.id, arrived.re, arrived.timeout_ms, arrived.body) == (5, 6, 7, b'{"a":1}')
    assert arrived.content == {"a": 1}


def test_content_is_decoded_when_it_is_asked_for_and_once() -> None:
    """A body that does not fit its header can be looked at; good content is kept."""
    broken = received(b"{", "application/json")
    assert broken.body == b"{"
    with pytest.raises(ContentError):
        _ = broken.content
    good = received(b"[1]", "application/json")
    assert good.content is good.content


def test_a_message_with_a_body_is_not_written_again() -> None:
    """Text, bytes and received messages have their bodies."""
    for message in (Message("x"), Message(b"x"), received(b"[1]", "application/json")):
        assert with_body(message) is message


def test_json_is_written_once_for_the_copy_that_travels() -> None:
    """Later changes of the content do not reach the copy; headers changed before do."""
    content = [1]
    message = Message(content, id=5, re=6, timeout_ms=7, subject="s")
    message.headers["site"] = "north"
    copied = with_body(message)
    content.append(2)
    headers = {"site": "north"}
    assert copied == Message([1], id=5, re=6, timeout_ms=7, subject="s", headers=headers)
    assert with_body(copied) is copied


def test_content_that_cannot_be_written_gets_no_body() -> None:
    """The error comes from the content, before anything is sent."""
    with pytest.raises(ContentError):
        with_body(Message({"a": object()}))
