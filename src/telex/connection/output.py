"""The outbox of a connection: bytes that were handed over and that the network has not taken.

Pieces are kept as they are, in order, and never copied. What is added at once is a batch of whole
messages, or of whole records of a layer. Batches that a layer has yet to wrap wait behind all
others. The module decides nothing.
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

    ``unwrapped`` counts the unsent bytes that wait for a layer, which changes their number.
    After ``discard()`` everything that is added is lost.
    """

    __slots__ = (
        "_added",
        "_discards",
        "_ends",
        "_first_end",
        "_pieces",
        "_waiting",
        "_whole",
        "lost",
        "sent",
        "size",
        "unwrapped",
    )

    def __init__(self) -> None:
        self.size: i64 = 0
        self.sent: i64 = 0
        self.lost: i64 = 0
        self.unwrapped: i64 = 0
        # How many more bytes a layer has made of those that it has wrapped.
        self._added: i64 = 0
        self._waiting: list[list[bytes]] | None = None  # a layer's batches
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

    @property
    def progress(self) -> i64:
        """Bytes that the network has taken of those that were handed over, as they were then.

        ``progress + size`` is a place in the output: ``progress`` reaches it when everything before
        that place has gone, however a layer has wrapped it, and not before.
        """
        return self.sent - self._added

    def add(self, pieces: list[bytes]) -> None:
        """Add pieces that can be sent as they are, behind those of this kind."""
        size: i64 = 0
        for piece in pieces:
            size += len(piece)
        if self._discards:
            self.lost += size
            return
        if self.size > self.unwrapped:
            self._pieces += pieces
            if self._ends is None:
                self._ends = []
            self._ends.append(self.sent + self.size - self.unwrapped + size)
        elif size:
            self._pieces = [*pieces]
            self._first_end = self.sent + size
        self.size += size

    def hold(self, pieces: list[bytes]) -> None:
        """Add a batch that a layer has to wrap, behind everything."""
        size: i64 = 0
        for piece in pieces:
            size += len(piece)
        if self._discards:
            self.lost += size
            return
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(pieces)
        self.size += size
        self.unwrapped += size

    def take_unwrapped(self, most: i64) -> list[bytes]:
        """Take the batches that the layer is to wrap now, for ``add_wrapped()``.

        They are as many as keep what can be sent below ``most`` bytes, and one where there is none.
        """
        taken: list[bytes] = []
        if self._waiting is None:
            return taken
        room = most - (self.size - self.unwrapped)
        is_first = self.size == self.unwrapped
        count = 0
        for batch in self._waiting:
            size: i64 = 0
            for piece in batch:
                size += len(piece)
            if size > room and not is_first:
                break
            taken += batch
            count += 1
            is_first = False
            room -= size
            self.size -= size
            self.unwrapped -= size
        if count == len(self._waiting):
            self._waiting = None
        else:
            del self._waiting[:count]
        return taken

    def add_wrapped(self, records: list[bytes], size: i64) -> None:
        """Add the records that a layer has made of ``size`` bytes, which may be none."""
        before = self.size + self.lost
        self.add(records)
        self._added += self.size + self.lost - before - size

    def lose_unwrapped(self) -> None:
        """Lose everything that waits for a layer."""
        self.lost += self.unwrapped
        self.size -= self.unwrapped
        self.unwrapped = 0
        self._waiting = None

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
        if sent > self.size - self.unwrapped:
            there_are = self.size - self.unwrapped
            raise ValueError(f"{sent:,} bytes cannot have been sent of {there_are:,}")
        self.size -= sent
        self.sent += sent
        if self.size == self.unwrapped:
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
        self.lose_unwrapped()
        self.lost += self.size
        self.size = 0
        self._pieces = _NONE
        self._whole = 0
        self._ends = None
