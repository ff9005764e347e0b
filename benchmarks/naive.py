"""What a careful afternoon's work comes to without Telex: the measure of everything here.

``json.loads`` on every header, and slices of the buffer for the rest; ``json.dumps`` and
concatenation on the way back. It keeps its place in the buffer and never reads a header twice, but
it checks nothing. It never imports Telex.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import Any, Final

from benchmarks.task import Job, Preparation, Task, Work, hand_over, take_all
from benchmarks.workload import CONTENT_TYPE, ENCODING, header_of


class NaiveDecoder:
    """Turns received bytes into pairs of header and content."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._header: dict[str, Any] | None = None
        self._needed = 2

    def receive(self, data: bytes) -> list[tuple[dict[str, Any], bytes]]:
        """Take bytes; return all messages that are complete now."""
        buffer = self._buffer
        buffer += data
        messages: list[tuple[dict[str, Any], bytes]] = []
        position, available = 0, len(buffer)
        while available - position >= self._needed:
            if self._header is None:
                start = position + 2
                end = start + struct.unpack_from(">H", buffer, position)[0]
                if end > available:
                    self._needed = end - position
                    break
                self._header = json.loads(buffer[start:end].decode("utf-8"))
                self._needed = self._header["content-length"]
            else:
                end = position + self._needed
                messages.append((self._header, bytes(buffer[position:end])))
                self._header = None
                self._needed = 2
            position = end
        if position:
            del buffer[:position]
        return messages


def encode(header: dict[str, Any], content: bytes) -> bytes:
    """Return a message as it travels."""
    block = json.dumps(header).encode("utf-8")
    return struct.pack(">H", len(block)) + block + content


def _decoding(task: Task) -> Job:
    return take_all(NaiveDecoder().receive, task.pieces())


def _encoding(task: Task) -> Job:
    ready = [(header_of(parts), parts.content) for parts in task.parts()]

    def job() -> int:
        for header, content in ready:
            encode(header, content)
        return len(ready)

    return job


def _making(task: Task) -> Job:
    ingredients = task.parts()

    def job() -> int:
        for content, subject, headers, id in ingredients:
            header: dict[str, Any] = {
                "byteorder": sys.byteorder,
                "content-type": CONTENT_TYPE,
                "content-encoding": ENCODING,
                "subject": subject,
            }
            if headers is not None:
                header.update(headers)
            header["content-length"] = len(content)
            if id is not None:
                header["id"] = id
            encode(header, content)
        return len(ingredients)

    return job


def _do_nothing(piece: bytes) -> None:
    pass


def _calling(task: Task) -> Job:
    return hand_over(_do_nothing, task.pieces())


def _looping(task: Task) -> Job:
    pieces = task.pieces()

    def job() -> int:
        for _piece in pieces:
            pass
        return len(pieces)

    return job


PREPARATIONS: Final[dict[Work, Preparation]] = {
    Work.DECODE: _decoding,
    Work.ENCODE: _encoding,
    Work.MAKE: _making,
    Work.EMPTY_CALL: _calling,
    Work.EMPTY_LOOP: _looping,
}
