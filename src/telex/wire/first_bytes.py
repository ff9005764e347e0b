"""The first bytes of a message that show that it is none, and what they may be instead.

A peer that speaks another protocol is told so, instead of waiting for the end of a header block.
"""

from __future__ import annotations

from typing import Final

from telex.errors import ProtocolError, TooLargeError

SMALLEST_HEADER: Final = 2
"""Bytes of the smallest header block: an object without members."""

_OPENING_BRACE: Final = 0x7B
_JSON_SPACES: Final = (0x20, 0x09, 0x0A, 0x0D)
_TLS_HANDSHAKE: Final = 0x16
_TLS_MAJOR_VERSION: Final = 0x03


def bad_size(high: int, low: int, most: int) -> ProtocolError:
    """Return the error for a proto-header of these two bytes; ``most`` is the largest size."""
    size = high << 8 | low
    if size < SMALLEST_HEADER:
        return ProtocolError(
            f"the proto-header announces a header block of {size} bytes; the smallest is {{}}"
        )
    error = TooLargeError("header block", size, most)
    if _is_capital(high) and _is_capital(low):
        error.hint = f'it begins with "{chr(high)}{chr(low)}", as an HTTP request may'
    return error


def check_first_byte(high: int, low: int, first: int) -> None:
    """Refuse a header block that cannot be an object; JSON allows spaces before it.

    ``high`` and ``low`` are the bytes of the proto-header. Raises ProtocolError.
    """
    if first == _OPENING_BRACE or first in _JSON_SPACES:
        return
    error = ProtocolError(f"the header block begins with byte 0x{first:02x}; it must begin with {{")
    if high == _TLS_HANDSHAKE and low == _TLS_MAJOR_VERSION:
        error.hint = "it looks like the beginning of TLS"
    raise error


def _is_capital(byte: int) -> bool:
    return ord("A") <= byte <= ord("Z")
