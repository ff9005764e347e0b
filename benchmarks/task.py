"""What one worker is asked to time, once. It crosses to the worker's process as a line of JSON."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from benchmarks.workload import Parts, Variety, cut, parts_of, wire_bytes


class Work(StrEnum):
    """What is timed."""

    DECODE = "decode"
    """All messages of a stream, taken from the decoder as lists."""
    ENCODE = "encode"
    """Messages that are ready, to bytes."""
    MAKE = "make and encode"
    """Content, subject, headers and id, to messages, to bytes."""
    RECEIVE_BYTES = "receive_bytes"
    """A piece of a message, handed to Telex's ``receive_bytes``."""
    RECEIVE_MESSAGES = "receive_messages"
    """A piece of a message, handed to Telex's ``receive_messages``."""
    EMPTY_CALL = "a call that does nothing"
    """A piece, handed to an empty Python function."""
    EMPTY_LOOP = "the loop around it"
    """A piece, handed to nobody."""


@dataclass(frozen=True, slots=True)
class Task:
    """One measurement: ``count`` messages, numbered from ``first``, in pieces of ``piece_size``.

    Sizes are in bytes. Encoding has no use for ``piece_size``.
    """

    work: Work
    variety: Variety
    content_size: int
    count: int
    piece_size: int = 0
    first: int = 1

    def to_json(self) -> str:
        """Return the task as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Task:
        """Return the task that ``to_json`` wrote."""
        fields = json.loads(line)
        return cls(**fields | {"work": Work(fields["work"]), "variety": Variety(fields["variety"])})

    def parts(self) -> list[Parts]:
        """Return what the messages are made of."""
        return parts_of(self.variety, self.content_size, self.count, self.first)

    def pieces(self) -> list[bytes]:
        """Return the messages as they travel, cut up."""
        return _pieces(self)


@functools.lru_cache(maxsize=1)
def _pieces(task: Task) -> list[bytes]:
    return cut(b"".join(map(wire_bytes, task.parts())), task.piece_size)


Job = Callable[[], int]
"""What is timed, all prepared: it does its work, and returns how many times it did it."""

Preparation = Callable[[Task], Job]


def take_all(receive: Callable[[bytes], Iterable[object]], pieces: list[bytes]) -> Job:
    """Return the job of handing over every piece, and looking at every message that comes of it."""

    def job() -> int:
        messages = 0
        for piece in pieces:
            for _message in receive(piece):
                messages += 1
        return messages

    return job


def hand_over(receive: Callable[[bytes], object], pieces: list[bytes]) -> Job:
    """Return the job of handing over every piece."""

    def job() -> int:
        for piece in pieces:
            receive(piece)
        return len(pieces)

    return job
