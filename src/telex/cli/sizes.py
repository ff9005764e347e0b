"""Parses and writes sizes in bytes: ``20``, ``64KiB``, ``100MB``, ``1,024 bytes``."""

from __future__ import annotations

import re
from typing import Final

PROTO_HEADER_SIZE: Final = 2
"""Bytes of the proto-header, which precedes the header block of each message."""

_SIZE: Final = re.compile(r"(\d+)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
_UNITS: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}


def parse_size(text: str) -> int:
    """Return the number of bytes.

    >>> parse_size("16MiB")
    16777216

    ``text`` is a whole number, with or without one of the units B, kB, MB, GB, KiB, MiB and GiB.
    Raises ValueError, which says what would be right.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError(f"{text!r} is not a size: write bytes, or a unit as in 64KiB or 16MB")
    return int(match[1]) * _UNITS[match[2].lower()]


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "byte"), counted(2048, "byte")
    ('1 byte', '2,048 bytes')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
