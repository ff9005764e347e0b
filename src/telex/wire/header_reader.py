"""Reads header blocks fast, which repeat from message to message.

Everything before ``,"content-length":`` is read and checked once, then known by its bytes; only the
numbers behind it are read for each message, and not even they where the whole block is the one that
came before. A block of any other shape takes the general parser, with the same result for every
input. This module knows nothing of buffers and bodies.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Final

from telex.errors import ProtocolError
from telex.wire.header import (
    LENGTH_MEMBER,
    LONGEST_KNOWN,
    MOST_KNOWN,
    NUMBERS,
    HeaderFields,
    fields_from,
    read_any,
)
from telex.wire.header_json import read_object

if TYPE_CHECKING:
    from mypy_extensions import i64

_ID_MEMBER: Final = b',"id":'
_RE_MEMBER: Final = b',"re":'
_TIMEOUT_MEMBER: Final = b',"timeout":'
_SHORT_MEMBER: Final = 6
_LONG_MEMBER: Final = 11
_MOST_DIGITS: Final = 15  # so many are below 2^53 in any case
_LARGEST_SCALE: Final = 1_000_000_000_000_000

_MOST_LONG: Final = 64
"""How many front parts over ``LONGEST_KNOWN`` are remembered, of 16 KiB by default each."""

_LARGEST_REMEMBERED: Final = 2_048
"""Bytes of memory of fields up to which each stream remembers the last it has read."""

_CLOSING_BRACE: Final = 125  # }
_COLON: Final = 58  # :
_ZERO: Final = 48  # 0
_NINE: Final = 57  # 9
_D: Final = 100  # d
_E: Final = 101  # e
_H: Final = 104  # h
_T: Final = 116  # t


class HeaderReader:
    """Reads the header blocks of one stream; remembers what came last, unless that was large.

    That is the front part of a block, and all of it where the length was that of the block before
    and no other number stood in it, as in a row of messages of one size.
    """

    __slots__ = ("_last_block", "_last_block_size", "_last_fields", "_last_length")

    def __init__(self) -> None:
        self._last_fields: HeaderFields | None = None
        self._last_length: i64 = -1
        self._last_block = b""
        self._last_block_size: i64 = 0

    def read(self, data: bytes, start: i64, end: i64) -> tuple[HeaderFields, i64, i64, i64, i64]:
        """Read the block ``data[start:end]``; returns and raises as ``header.read_any``."""
        fields = self._last_fields
        if (
            end - start == self._last_block_size
            and fields is not None
            and data[start:end] == self._last_block
        ):
            return fields, self._last_length, 0, 0, 0
        if data[end - 1] != _CLOSING_BRACE:
            return read_any(data[start:end])
        id: i64 = 0
        re: i64 = 0
        timeout: i64 = 0
        last = end - 1
        while True:
            if LOOPS_ARE_FAST:
                value, first = number_by_loop(data, start, last)
            else:
                value, first = number_by_search(data, start, last)
            if value < 0 or first - start < _LONG_MEMBER:  # compiled, a slice may not begin below 0
                return read_any(data[start:end])
            name: i64 = data[first - 3]
            if name == _H:  # content-length, before which no other number stands
                break
            if name == _D and data[first - _SHORT_MEMBER : first] == _ID_MEMBER:
                if value == 0 or id:
                    return read_any(data[start:end])
                id = value
                last = first - _SHORT_MEMBER
            elif name == _E and data[first - _SHORT_MEMBER : first] == _RE_MEMBER:
                if value == 0 or re:
                    return read_any(data[start:end])
                re = value
                last = first - _SHORT_MEMBER
            elif name == _T and data[first - _LONG_MEMBER : first] == _TIMEOUT_MEMBER:
                if value == 0 or timeout:
                    return read_any(data[start:end])
                timeout = value
                last = first - _LONG_MEMBER
            else:
                break
        front = data[start:first]
        is_long = first - start > LONGEST_KNOWN
        if is_long or fields is None or front != fields.front:
            fields = (known_long_fronts if is_long else known_fronts).get(front)
            if fields is None:
                fields = _learn(front)
            if fields is None:
                return read_any(data[start:end])
            if is_long or fields.memory_size > _LARGEST_REMEMBERED:
                return fields, value, id, re, timeout
            self._last_fields = fields
            self._last_block_size = 0
        elif value == self._last_length and last == end - 1:
            self._last_block = data[start:end]
            self._last_block_size = end - start
        else:
            self._last_block_size = 0
        self._last_length = value
        return fields, value, id, re, timeout


def number_by_loop(data: bytes, start: i64, last: i64) -> tuple[i64, i64]:
    """Read the digits before ``last``: their number, and where they begin, behind ``start``.

    The number is -1 where the general parser must decide.
    """
    value: i64 = 0
    scale: i64 = 1
    first = last
    while first > start and scale < _LARGEST_SCALE:
        byte: i64 = data[first - 1]
        if byte < _ZERO or byte > _NINE:
            break
        value += (byte - _ZERO) * scale
        scale *= 10
        first -= 1
    digits = last - first
    if digits == 0 or first == start or data[first - 1] != _COLON:
        return -1, last
    if digits > 1 and data[first] == _ZERO:
        return -1, last
    return value, first


def number_by_search(data: bytes, start: i64, last: i64) -> tuple[i64, i64]:
    """Do what ``number_by_loop`` does."""
    first = data.rfind(b":", start, last) + 1
    digits = data[first:last]
    if first == 0 or not digits.isdigit() or len(digits) > _MOST_DIGITS:
        return -1, last
    if digits[0] == _ZERO and len(digits) > 1:
        return -1, last
    return int(digits), first


LOOPS_ARE_FAST: Final = not isinstance(number_by_loop, FunctionType)
"""Whether this module is compiled. A loop over digits then costs next to nothing and a method call
a lot; interpreted it is the other way round. The two ways to a number agree on every input."""


known_fronts: Final[dict[bytes, HeaderFields]] = {}
known_long_fronts: Final[dict[bytes, HeaderFields]] = {}
"""Front parts that were checked, by their exact bytes. Bounded: see ``_learn``."""


def _learn(front: bytes) -> HeaderFields | None:
    """Check a front part and remember it; None when the general parser must decide.

    If the front part closed by ``}`` is a JSON object that is not empty and names none of the
    numbers, then the numbers behind it are members of that same object, each there once.
    """
    if not front.endswith(LENGTH_MEMBER):
        return None
    try:
        block = front[: -len(LENGTH_MEMBER)] + b"}"
        members = read_object(block)
        if not members or not NUMBERS.isdisjoint(members):
            return None
        fields = fields_from(members, block)
    except ProtocolError:
        return None
    is_long = len(front) > LONGEST_KNOWN
    known = known_long_fronts if is_long else known_fronts
    if len(known) >= (_MOST_LONG if is_long else MOST_KNOWN):
        known.clear()
    if not is_long:
        fields.front = front
    known[front] = fields
    return fields
