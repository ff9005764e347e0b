"""Header blocks as JSON objects in UTF-8: read strictly, written compactly (RFC 8259).

What two readers could understand differently is refused, and so is what would take a reader too
long or too deep. What the members of a header block mean is not known here.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, Final

from telex.errors import ContentError, ProtocolError

MAX_DEPTH: Final = 64
"""How deep a header block may nest; the block itself is the first level."""

MOST_SAFE_DIGITS: Final = 308
"""Digits of an integer that is below the largest 64-bit float in any case."""


def read_object(block: bytes) -> dict[str, Any]:
    """Read one JSON object in UTF-8, strictly; raises ProtocolError for anything else."""
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise ProtocolError(
            f"the header block is not UTF-8: byte 0x{block[problem.start]:02x} "
            f"at {problem.start} in it, {problem.reason}"
        )
    if text.startswith("\ufeff"):
        raise ProtocolError("the header block begins with a byte order mark; it must begin with {")
    try:
        members = _decoder.decode(text)
    except json.JSONDecodeError as problem:
        raise ProtocolError(
            f"the header block is not JSON: {problem.msg} at character {problem.pos} in it"
        )
    except RecursionError:
        raise _too_deep()
    if not isinstance(members, dict):
        raise ProtocolError("the header block is JSON, but not an object such as {…}")
    if block.count(b"{") + block.count(b"[") > MAX_DEPTH:
        _check_depth(members)
    if "\\u" in text:
        _check_surrogates(members)
    return members


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = Counter(name for name, _value in pairs).most_common(1)[0][0]
        raise ProtocolError("is there more than once; a field may stand once", field=twice)
    return members


def _read_integer(digits: str) -> int:
    if len(digits) > MOST_SAFE_DIGITS:
        _read_float(digits)  # before it becomes an integer, which may take long
    return int(digits)


def _read_float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ProtocolError("the header block holds a number too large for a 64-bit float")
    return value


def _refuse_constant(name: str) -> None:
    raise ProtocolError(f"the header block holds {name}, which is not JSON")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_unique_members,
    parse_int=_read_integer,
    parse_float=_read_float,
    parse_constant=_refuse_constant,
)


_encoder: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _check_depth(members: dict[str, Any]) -> None:
    level: list[Any] = [members]
    for _depth in range(MAX_DEPTH + 1):
        if not level:
            return
        level = [child for value in level for child in _containers_in(value)]
    raise _too_deep()


def _containers_in(value: Any) -> list[Any]:
    children = value.values() if isinstance(value, dict) else value
    return [child for child in children if isinstance(child, (dict, list, tuple))]


def _too_deep() -> ProtocolError:
    return ProtocolError(f"the header block nests deeper than {MAX_DEPTH} levels")


def _check_surrogates(members: dict[str, Any]) -> None:
    try:
        json.dumps(members, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ProtocolError("the header block holds half of a surrogate pair (\\ud800 to \\udfff)")


def write_object(members: dict[str, Any]) -> bytes:
    """Write an object without spaces; raises ContentError that names the header at fault."""
    try:
        return _encoder.encode(members).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as problem:
        error = ContentError(
            f"header {_name_at_fault(members)!r} cannot be written as JSON: {problem}"
        )
        error.__cause__ = problem
        raise error


def _name_at_fault(members: dict[str, Any]) -> str:
    return next(name for name, value in members.items() if not _is_writable({name: value}))


def _is_writable(members: dict[str, Any]) -> bool:
    try:
        _encoder.encode(members).encode("utf-8")
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def canonical(members: dict[str, Any]) -> str:
    """Return a text that is the same for all objects that say the same, in whatever order."""
    return json.dumps(members, sort_keys=True) if members else ""
