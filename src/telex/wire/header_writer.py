"""Writes header blocks: what repeats as it was written before, and the numbers of each message.

Everything is added to a list of pieces, to be joined with those of other messages; what is the same
in many messages is written once. This module never looks at what the fields say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.errors import TooLargeError

if TYPE_CHECKING:
    from mypy_extensions import i64

    from telex.wire.header import HeaderFields

_PROTO_HEADER_SIZE: Final = 2

_LONGEST_NUMBERS: Final = 96
"""Bytes that no end of a header block exceeds: four numbers of 16 digits and three names."""

_THOUSAND: Final = 1_000
_MILLION: Final = 1_000_000


def _proto_header(size: int) -> bytes:
    return bytes((size >> 8, size & 0xFF))


_DIGITS: Final = [str(number).encode("ascii") for number in range(_THOUSAND)]
_LAST: Final = [digits + b"}" for digits in _DIGITS]
_LAST_THREE: Final = [b"%03d}" % number for number in range(_THOUSAND)]
"""Numbers as they are written: in the midst of a block, at its end, and behind thousands there."""

_PROTO_HEADERS: Final = [_proto_header(size) for size in range(_THOUSAND)]

_BEFORE_ID: Final = [b""] * _THOUSAND
_BEFORE_RE: Final = [b""] * _THOUSAND
"""``content-length`` up to the digits of the number that follows it, once it was needed."""

_BEFORE_TIMEOUT: Final = b',"timeout":'


def add_header(
    pieces: list[bytes],
    fields: HeaderFields,
    length: i64,
    id: i64,
    re: i64,
    timeout: i64,
    max_size: i64,
) -> i64:
    """Add proto-header and header block to ``pieces``; return how many bytes they are.

    ``id``, ``re`` and ``timeout`` are left out when 0. Raises ContentError when an application
    header cannot be written, and TooLargeError when the block is larger than ``max_size`` bytes.
    """
    prefix = fields.prefix()
    first = len(pieces)
    pieces.append(b"")  # until it is known which size stands there
    pieces.append(prefix)
    size: i64 = len(prefix)
    if timeout == 0:
        size += _add_numbers(pieces, length, id, re)
    else:
        size += _add_with_timeout(pieces, length, id, re, timeout)
    if size > max_size:
        del pieces[first:]
        raise TooLargeError("header block", size, max_size)
    pieces[first] = _PROTO_HEADERS[size] if size < _THOUSAND else _proto_header(size)
    return size + _PROTO_HEADER_SIZE


def check_header(
    fields: HeaderFields, length: i64, id: i64, re: i64, timeout: i64, max_size: i64
) -> None:
    """Raise what ``add_header`` would; nearly always without writing anything."""
    if len(fields.prefix()) + _LONGEST_NUMBERS > max_size:
        add_header([], fields, length, id, re, timeout, max_size)


def _add_numbers(pieces: list[bytes], length: i64, id: i64, re: i64) -> i64:
    """Add the end of a header block, from the digits of ``content-length`` on; return its size."""
    if id == 0 and re == 0:
        return _add_last(pieces, length)
    if length >= _THOUSAND or (id and re):
        before = f'{length},"re":' if id == 0 else f'{length},"id":'
        if id and re:
            before = f'{before}{id},"re":'
        text = before.encode("ascii")
    elif id:
        text = _BEFORE_ID[length]
        if not text:
            text = _BEFORE_ID[length] = _DIGITS[length] + b',"id":'
    else:
        text = _BEFORE_RE[length]
        if not text:
            text = _BEFORE_RE[length] = _DIGITS[length] + b',"re":'
    pieces.append(text)
    return len(text) + _add_last(pieces, re or id)


def _add_with_timeout(pieces: list[bytes], length: i64, id: i64, re: i64, timeout: i64) -> i64:
    """Do what ``_add_numbers`` does, with a timeout behind the other numbers."""
    size = _add_numbers(pieces, length, id, re) - 1
    pieces[-1] = pieces[-1][:-1]  # all but what closes the block
    pieces.append(_BEFORE_TIMEOUT)
    return size + len(_BEFORE_TIMEOUT) + _add_last(pieces, timeout)


def _add_last(pieces: list[bytes], number: i64) -> i64:
    """Add the last number of a header block, and what closes it; return the size of both."""
    if number < _THOUSAND:
        last = _LAST[number]
        pieces.append(last)
        return len(last)
    if number < _MILLION:
        thousands, last = _DIGITS[number // _THOUSAND], _LAST_THREE[number % _THOUSAND]
        pieces.append(thousands)
        pieces.append(last)
        return len(thousands) + len(last)
    last = f"{number}}}".encode("ascii")
    pieces.append(last)
    return len(last)
