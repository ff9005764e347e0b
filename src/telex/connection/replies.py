"""Answers that have come to many requests under way, and that the program has not taken yet.

They are counted when their size may matter, and not as they come: that would cost time for each.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from telex.conversation.calls import Call
from telex.wire.processor import MessageProcessor

if TYPE_CHECKING:
    from mypy_extensions import i64

_MOST_PER_BYTE: Final = 4
"""Bytes of memory at most that a message takes for each byte that was received of it."""


class Replies:
    """The answers to calls in rows: a program takes them from the left of each row."""

    __slots__ = ("_counted", "_counted_at", "_processor", "_rows")

    def __init__(self, processor: MessageProcessor) -> None:
        self._processor: Final = processor
        self._rows: list[deque[Call]] = []
        self._counted: i64 = 0
        self._counted_at: i64 = processor.bytes_received

    def watch(self, row: deque[Call]) -> None:
        """Count the answers to the calls of a row from now on."""
        self._rows.append(row)

    def forget(self, row: deque[Call]) -> None:
        """Count them no longer: nobody takes any more."""
        self._rows = [known for known in self._rows if known is not row]

    @property
    def is_watched(self) -> bool:
        """Whether there is a row."""
        return len(self._rows) > 0

    def count(self) -> i64:
        """Count the bytes of memory that the answers take."""
        size: i64 = 0
        for row in self._rows:
            for call in list(row):  # another thread may take from it
                if call.reply is not None:
                    size += call.reply.memory_size
        self._counted = size
        self._counted_at = self._processor.bytes_received
        return size

    def count_if_over(self, most: i64) -> i64:
        """Count them if they may take more than ``most`` bytes; else return 0."""
        came = self._processor.bytes_received - self._counted_at
        return self.count() if self._counted + came * _MOST_PER_BYTE > most else 0

    def were_taken(self) -> bool:
        """Say whether answers take less memory than when they were counted last."""
        before = self._counted
        return self.count() < before
