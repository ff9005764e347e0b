"""Mistakes of the peer that only a conversation can see: messages in a wrong place, or too large.

What these say to the peer is here; when they are mistakes, the conversation decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.errors import ProtocolError, TooLargeError
from telex.wire.message import Message

if TYPE_CHECKING:
    from mypy_extensions import i64

OWN_KINDS: Final = ("error", "ping", "pong", "close", "hello", "welcome")
"""Kinds of messages about the conversation itself, and about the messages in it."""

LARGEST_CONTROL: Final = 64 * 1024
"""Bytes of the largest content of a kind of the conversation's own: such a kind needs no more, and
more would cost time and memory before anybody knows who the peer is (wire format, "kinds")."""


def misplaced(message: Message, problem: str) -> ProtocolError:
    """Return the error for a message that is valid by itself, and must not come now."""
    name = message.kind or "a plain message"
    number = f", id {message.id}" if message.id else f", re {message.re}" if message.re else ""
    return ProtocolError(f"{name}{number}: {problem}")


def check_size(kind: str | None, length: i64) -> None:
    """Raise TooLargeError for content that is too long for a kind of the conversation's own."""
    if length > LARGEST_CONTROL and kind in OWN_KINDS:
        raise TooLargeError("content", length, LARGEST_CONTROL)
