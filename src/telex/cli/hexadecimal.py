"""Decodes hex digits with any white space."""

from __future__ import annotations

import re
from typing import Final

from telex.cli.failure import CommandError

_NOT_HEX: Final = re.compile(rb"[^0-9A-Fa-f\s]")


def bytes_from_hex(text: bytes) -> bytes:
    r"""Return the bytes of hex digits; white space may stand anywhere between the digits.

    >>> bytes_from_hex(b"0000 0d0a\n")
    b'\x00\x00\r\n'

    Raises CommandError with the position, and what would be right.
    """
    wrong = _NOT_HEX.search(text)
    if wrong is not None:
        raise CommandError(
            f"{_position(text, wrong.start())}: {_shown(wrong[0])} is not a hex digit "
            "(only digits and white space, as xxd -p prints them)"
        )
    digits = b"".join(text.split())
    if len(digits) % 2:
        raise CommandError(
            f"{_position(text, len(text.rstrip()) - 1)}: the last byte has one hex digit, not two "
            f"({len(digits):,} digits in all)"
        )
    return bytes.fromhex(digits.decode("ascii"))


def _position(text: bytes, index: int) -> str:
    line = text.count(b"\n", 0, index) + 1
    column = index - text.rfind(b"\n", 0, index)
    return f"line {line}, column {column}"


def _shown(byte: bytes) -> str:
    return repr(byte.decode("ascii")) if byte.isascii() else f"byte 0x{byte.hex()}"
