"""Mistakes of the peer: the error names the message, so that its sender can be found."""

from __future__ import annotations

import pytest

from telex import Message
from telex.conversation.mistakes import misplaced


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (Message(""), "a plain message"),
        (Message("", kind="request", id=7), "request, id 7"),
        (Message("", kind="reply", re=8), "reply, re 8"),
        (Message("", kind="x", id=7, re=8), "x, id 7"),
    ],
)
def test_a_misplaced_message_is_named_by_kind_and_number(message: Message, name: str) -> None:
    """An id goes before the number of what is answered."""
    assert str(misplaced(message, "it may not come")) == f"{name}: it may not come"
