"""Messages that have come and that nobody has asked for yet, and how much memory they take.

The size is kept by the piece in which messages came, not by the message: it is only needed to know
when to stop receiving. This module does no input or output.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from telex.wire.received import memory_of

if TYPE_CHECKING:
    from telex.wire.message import Message


class Inbox:
    """Received messages in their order; take them from the left of ``messages``."""

    __slots__ = ("_added", "_pieces", "_size", "messages")

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()
        self._added = 0
        self._size = 0
        # For each piece: how many messages had been added with it in all, and its size.
        self._pieces: deque[tuple[int, int]] = deque()

    def add(self, messages: list[Message]) -> None:
        """Add what came with one piece."""
        size = memory_of(messages)
        self.messages.extend(messages)
        self._added += len(messages)
        self._size += size
        self._pieces.append((self._added, size))

    def size(self) -> int:
        """Return how many bytes the messages take, by the whole pieces they came in."""
        taken = self._added - len(self.messages)
        while self._pieces and self._pieces[0][0] <= taken:
            self._size -= self._pieces.popleft()[1]
        return self._size
