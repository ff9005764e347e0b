"""The inbox: messages in their order, and how much of what came is still there."""

from __future__ import annotations

from telex import Message
from telex.connection.inbox import Inbox


def test_size_shrinks_piece_by_piece() -> None:
    """A piece counts until the last message that came with it was taken."""
    inbox = Inbox()
    assert inbox.size() == 0
    small, large = Message("2"), Message(bytes(100_000))
    inbox.add([large, small])
    inbox.add([])
    inbox.add([small])
    both = large.memory_size + small.memory_size
    assert inbox.size() == both + small.memory_size
    assert inbox.messages.popleft() is large
    assert inbox.size() == both + small.memory_size
    inbox.messages.popleft()
    assert inbox.size() == small.memory_size
    inbox.messages.popleft()
    assert inbox.size() == 0


def test_cleared_inbox_is_empty() -> None:
    """Messages that are dropped count as taken."""
    inbox = Inbox()
    inbox.add([Message("1"), Message("2")])
    inbox.messages.clear()
    assert inbox.size() == 0
