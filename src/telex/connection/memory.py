"""About how much memory a connection takes for the bytes that it holds."""

from __future__ import annotations

from typing import Final

from telex.wire.processor import MessageProcessor

_GROWING: Final = 2.0
"""Bytes of memory for each byte of a message that is coming in: buffers grow ahead of what they
hold, and leave gaps behind."""

_SETTLED: Final = 1.25
"""Bytes of memory for each byte of everything else: there are gaps between buffers."""


def memory_of(processor: MessageProcessor, settled: int) -> int:
    """Return about how many bytes of memory are taken.

    ``processor`` holds what has come of a message, ``settled`` counts all other bytes.
    """
    came = processor.bytes_buffered
    growing = max(came * _GROWING, came + processor.bytes_set_aside)
    if processor.fields is not None:
        growing += processor.fields.memory_size
    return int(settled * _SETTLED + growing)
