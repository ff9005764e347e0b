"""What is measured: messages of a size and a variety, the bytes they travel as, and the pieces.

Everyone who is compared gets the same bytes, and they are made here, from the description of the
wire format: this module must never import Telex.
"""

from __future__ import annotations

import json
import struct
import sys
from enum import StrEnum
from typing import Any, Final, NamedTuple

CONTENT_TYPE: Final = "application/octet-stream"
ENCODING: Final = "binary"

_STEP: Final = 0.618  # any number of messages spreads evenly over the lengths: the golden section
_BYTES: Final = bytes(range(256))


class Variety(StrEnum):
    """How much the header blocks of a stream differ from message to message."""

    SAME = "same"
    """Not at all."""
    VARYING = "varying"
    """In their numbers: lengths are half to one and a half times the content's size, ids count."""
    DIFFERENT = "different"
    """In all they say: every message has a subject and a header that no other one has."""


class Parts(NamedTuple):
    """What a message is made of."""

    content: bytes
    subject: str
    headers: dict[str, Any] | None
    id: int | None


def parts_of(variety: Variety, size: int, count: int, first: int) -> list[Parts]:
    """Return the parts of ``count`` messages of about ``size`` bytes, numbered from ``first``."""
    filler = _BYTES * (2 * size // len(_BYTES) + 1)
    return [_parts(variety, size, number, filler) for number in range(first, first + count)]


def _parts(variety: Variety, size: int, number: int, filler: bytes) -> Parts:
    if variety is Variety.SAME:
        return Parts(filler[:size], "orders.new", None, None)
    length = size // 2 + int(number * size * _STEP) % size
    if variety is Variety.VARYING:
        return Parts(filler[:length], "orders.new", None, number)
    return Parts(filler[:length], f"orders.{number}", {"trace": f"{number:016x}"}, number)


def header_of(parts: Parts) -> dict[str, Any]:
    """Return the header block as the wire format orders it."""
    header: dict[str, Any] = {
        "byteorder": sys.byteorder,
        "content-type": CONTENT_TYPE,
        "content-encoding": ENCODING,
        "subject": parts.subject,
    }
    if parts.headers is not None:
        header.update(parts.headers)
    header["content-length"] = len(parts.content)
    if parts.id is not None:
        header["id"] = parts.id
    return header


def wire_bytes(parts: Parts) -> bytes:
    """Return the message as it travels."""
    block = json.dumps(header_of(parts), separators=(",", ":")).encode("utf-8")
    return struct.pack(">H", len(block)) + block + parts.content


def cut(stream: bytes, piece_size: int) -> list[bytes]:
    """Return the stream in pieces, the last of which may be shorter."""
    return [stream[start : start + piece_size] for start in range(0, len(stream), piece_size)]
