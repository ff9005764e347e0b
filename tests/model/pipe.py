"""What travels between the ends of the model: frames, and the bounded pipe that carries them.

A frame is a message of the wire format with sizes instead of bytes. The pipe stands for the two
socket buffers of one direction. It must never know what a frame means.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

HEADER: Final = 2
"""Bytes that every frame costs beside its content."""


@dataclass(slots=True)
class Frame:
    """A message: its kind, the request that it is about, and what the kind carries.

    ``is_from_asker`` tells ``id`` from ``re`` in a ``credit``. ``credit`` is its number of bytes.
    ``plan`` is what the handler of a request will do; the ends hand it through unread.
    """

    kind: str
    number: int = 0
    size: int = 0
    more: bool = False
    code: str = ""
    credit: int = 0
    timeout: int | None = None
    is_from_asker: bool = False
    plan: Any = None

    @property
    def length(self) -> int:
        """Bytes on the wire."""
        return HEADER + self.size


class Pipe:
    """An ordered pipe that holds at most ``capacity`` bytes and is written and read in any cut."""

    def __init__(self, capacity: int) -> None:
        self._capacity: Final = capacity
        self._frames: deque[tuple[int, Frame]] = deque()
        self._begun = 0
        self._written = 0
        self._read = 0
        self.is_ended = False

    @property
    def room(self) -> int:
        """Bytes that can be written now."""
        return self._capacity - (self._written - self._read)

    @property
    def unread(self) -> int:
        """Bytes that can be read now."""
        return self._written - self._read

    def begin(self, frame: Frame) -> None:
        """Announce the frame that the next bytes belong to."""
        self._begun += frame.length
        self._frames.append((self._begun, frame))

    def write(self, size: int) -> None:
        """Take bytes of the frames that were begun."""
        assert size <= self.room
        self._written += size

    def read(self, most: int) -> tuple[int, Frame | None]:
        """Give bytes of one frame: how many, and the frame with its last byte."""
        end, frame = self._frames[0]
        size = min(most, end - self._read, self.unread)
        self._read += size
        if self._read < end:
            return size, None
        self._frames.popleft()
        return size, frame
