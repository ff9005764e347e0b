"""Mistakes of the peer that only a conversation can see: messages in a wrong place."""

from __future__ import annotations

from telex.errors import ProtocolError
from telex.wire.message import Message


def misplaced(message: Message, problem: str) -> ProtocolError:
    """Return the error for a message that is valid by itself, and must not come now."""
    name = message.kind or "a plain message"
    number = f", id {message.id}" if message.id else f", re {message.re}" if message.re else ""
    return ProtocolError(f"{name}{number}: {problem}")
