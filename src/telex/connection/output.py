"""The outbox of a connection: bytes that were handed over and that the network has not taken.

Pieces are kept as they are, in order, and never copied. What is added at once is a batch of whole
messages, or of whole records of a layer. The module decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_extensions import i64

    Piece = bytes | memoryview

MOST_PIECES: Final = 1024
"""Pieces offered at once: the most that one system call takes (IOV_MAX on Linux and macOS)."""


_NONE: Final[list[Piece]] = []
"""What an output without unsent bytes shares with all others; never changed."""


class Output:
    """Unsent bytes: ``size`` counts them, ``sent`` those that went, ``lost`` those that never will.

    After ``discard()`` everything that is added is lost.
    """

    __slots__ = ("_discards", "_ends", "_first_end", "_pieces", "_whole", "lost", "sent", "size")

    def __init__(self) -> None:
        self.size: i64 = 0
        self.sent: i64 = 0
        self.lost: i64 = 0
        self._discards = False
        self._pieces: list[Piece] = _NONE
        # The size of the piece that the first view shows a part of; 0 where the first is no view.
        self._whole: i64 = 0
        # Where the batch ends that is sent first, counted from the beginning of the stream, and
        # where the batches behind it end.
        self._first_end: i64 = 0
        self._ends: list[int] | None = None

    @property
    def held(self) -> int:
        """Bytes of memory that the unsent pieces take, with the sent part of the first piece."""
        if self._whole:
            return self.size + self._whole - len(self._pieces[0])
        return self.size

    def add(self, pieces: list[bytes]) -> None:
        """Add pieces behind those that wait."""
        size: i64 = 0
        for piece in pieces:
            size += len(piece)
        if self._discards:
            self.lost += size
            return
        if self.size:
            self._pieces += pieces
            if self._ends is None:
                self._ends = []
            self._ends.append(self.sent + self.size + size)
        elif size:
            self._pieces = [*pieces]
            self._first_end = self.sent + size
        self.size += size

    def lose(self, pieces: list[bytes]) -> None:
        """Count pieces that can never be sent."""
        for piece in pieces:
            self.lost += len(piece)

    def offered(self) -> list[Piece]:
        """Return the unsent pieces, as many as one system call takes; do not change the list."""
        pieces = self._pieces
        return pieces if len(pieces) <= MOST_PIECES else pieces[:MOST_PIECES]

    def forget(self, sent: i64) -> None:
        """Take away the first ``sent`` bytes: the network has taken them.

        After ``discard()`` these are bytes that a driver had on their way: they count as sent, and
        not as lost. Raises ValueError for more bytes than there are.
        """
        if self._discards and sent <= self.lost:
            self.lost -= sent
            self.sent += sent
            return
        if sent > self.size:
            raise ValueError(f"{sent:,} bytes cannot have been sent of {self.size:,}")
        self.size -= sent
        self.sent += sent
        if not self.size:
            self._pieces = _NONE
            self._whole = 0
            self._ends = None
            return
        while self.sent >= self._first_end and self._ends is not None:
            self._first_end = self._ends.pop(0)
        pieces = self._pieces
        count = 0
        while sent:
            first = pieces[count]
            length: i64 = len(first)
            if sent < length:
                if not self._whole:
                    self._whole = length
                pieces[count] = memoryview(first)[sent:]
                break
            sent -= length
            count += 1
            self._whole = 0
        del pieces[:count]

    def shorten(self, most: i64) -> bool:
        """Lose everything but the batch that is sent first, if that is at most ``most`` bytes.

        Returns whether it is; otherwise nothing is lost.
        """
        left = self._first_end - self.sent
        if left > most:
            return False
        kept: list[Piece] = []
        size: i64 = 0
        for piece in self._pieces:
            if size >= left:
                break
            kept.append(piece)
            size += len(piece)
        self.lost += self.size - size
        self.size = size
        self._pieces = kept
        self._ends = None
        return True

    def discard(self) -> None:
        """Let go of everything, and of all that is added later."""
        self._discards = True
        self.lost += self.size
        self.size = 0
        self._pieces = _NONE
        self._whole = 0
        self._ends = None
