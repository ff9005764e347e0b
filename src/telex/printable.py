"""Makes text from a peer safe to print and to log.

Control characters, escape sequences, line breaks, direction marks and lone surrogates become
visible escapes, so that a peer can neither drive a terminal nor forge a line of a log. This module
knows nothing of messages.
"""

from __future__ import annotations

from typing import Final

_HARMLESS: Final = frozenset("\u00a0\u200c\u200d\u202f\u3000")
"""Spaces and joiners that ordinary text needs, though Python does not count them as printable."""


def printable(text: str) -> str:
    """Return ``text`` with every character that is not plainly visible written as an escape."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in _HARMLESS else _escape(character)
        for character in text
    )


def printable_bytes(data: bytes, most: int = 64) -> str:
    """Return the first ``most`` bytes of ``data`` as hex pairs, and how many more there are."""
    shown = data[:most].hex(" ")
    left = len(data) - most
    return f"{shown} … {left:,} bytes more" if left > 0 else shown


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
