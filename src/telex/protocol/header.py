"""Header blocks: read, written, and remembered (wire format, "header block").

Most of a header block repeats from message to message: everything before ``,"content-length":``.
That front part is read and checked once, then known by its bytes; only the numbers behind it are
read for each message. A block of any other shape takes the general parser, which is the one
definition of what is valid. This module knows nothing of streams, buffers and bodies.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from telex.errors import ContentError, ProtocolError, TooLargeError
from telex.limits import MAX_SAFE_INTEGER
from telex.protocol.content import OCTET_STREAM, default_encoding, form_of

if TYPE_CHECKING:
    from mypy_extensions import i64

MAX_DEPTH: Final = 64
"""How deep a header block may nest; the block itself is the first level."""

MAX_INTEGER_DIGITS: Final = 1_000
"""Digits of the longest integer in a header block; far below where Python takes long to read it."""

_KNOWN_FIELDS: Final = frozenset(
    {
        "byteorder",
        "content-type",
        "content-encoding",
        "content-length",
        "kind",
        "subject",
        "id",
        "re",
        "more",
    }
)
_NUMBERS: Final = frozenset({"content-length", "id", "re"})

_LENGTH_MEMBER: Final = b',"content-length":'
_MOST_KNOWN: Final = 1_024
_LONGEST_KNOWN: Final = 1_024
_ID_MEMBER: Final = b',"id":'
_RE_MEMBER: Final = b',"re":'
_SHORT_MEMBER: Final = 6
_MOST_DIGITS: Final = 15  # so many are below 2^53 in any case
_LARGEST_SCALE: Final = 1_000_000_000_000_000
_LONGEST_SHOWN: Final = 60

_READ_SIZE: Final = 16
"""Bytes of memory that JSON takes for each of its bytes when it is read, where it is worst."""

_CLOSING_BRACE: Final = 125  # }
_COLON: Final = 58  # :
_ZERO: Final = 48  # 0
_D: Final = 100  # d
_E: Final = 101  # e


class HeaderFields:
    """What a header block says, but for its numbers. Never changed, so messages share it.

    The application's own headers are kept as a dict, as written JSON, or both: each is made from
    the other when it is first asked for. ``memory_size`` says about how many bytes fields take
    that were read from ``read_from`` bytes.
    """

    __slots__ = (
        "_extra",
        "_last_under",
        "_prefix",
        "_written",
        "byteorder",
        "content_type",
        "encoding",
        "form",
        "kind",
        "memory_size",
        "more",
        "subject",
    )

    def __init__(
        self,
        byteorder: str,
        content_type: str,
        encoding: str,
        kind: str | None,
        subject: str | None,
        more: bool,
        extra: dict[str, Any] | None = None,
        written: bytes = b"",
        read_from: int = 0,
    ) -> None:
        self.byteorder: Final = byteorder
        self.content_type: Final = content_type
        self.encoding: Final = encoding
        self.form: Final = form_of(content_type)
        self.kind: Final = kind
        self.subject: Final = subject
        self.more: Final = more
        self._extra: dict[str, Any] | None = extra
        self._written: bytes = written
        self._prefix: bytes = b""
        self._last_under: HeaderFields | None = None
        self.memory_size: Final[int] = read_from * _READ_SIZE if extra else read_from

    @property
    def extra(self) -> dict[str, Any]:
        """The application's own headers; whoever hands them out hands out a copy."""
        if self._extra is None:
            self._extra = _read_object(self._written) if self._written else {}
        return self._extra

    @property
    def written_extra(self) -> bytes:
        """The application's own headers as a JSON object; nothing when there are none."""
        if not self._written and self._extra:
            self._written = _write_object(self._extra)
        return self._written

    def prefix(self) -> bytes:
        """Return the header block up to the digits of ``content-length``."""
        if not self._prefix:
            self._prefix = self._front() + _LENGTH_MEMBER
        return self._prefix

    def is_same_as(self, other: HeaderFields) -> bool:
        """Say whether both describe the same; the order of application headers means nothing."""
        return self is other or (
            self._fields() == other._fields() and _canonical(self.extra) == _canonical(other.extra)
        )

    def replaced(self, **changes: Any) -> HeaderFields:
        """Return fields to send that differ from these in ``changes``; raises as ``fields_for``."""
        members: dict[str, Any] = {
            "byteorder": self.byteorder,
            "content_type": self.content_type,
            "encoding": self.encoding,
            "kind": self.kind,
            "subject": self.subject,
            "more": self.more,
        }
        if "extra" not in changes:
            members["checked_extra"] = self.written_extra
        members.update(changes)
        return fields_for(**members)

    def under(self, kind: str | None, more: bool) -> HeaderFields:
        """Return what ``replaced`` does for kind and ``more``, on the path of every answer."""
        last = self._last_under
        if last is not None and last.kind == kind and last.more == more:
            return last
        last = self._last_under = self._like(kind, self.subject, more)
        return last

    def about(self, subject: str) -> HeaderFields:
        """Return what ``replaced`` does for the subject, on the path of every message."""
        return self._like(self.kind, subject, self.more)

    def _like(self, kind: str | None, subject: str | None, more: bool) -> HeaderFields:
        return fields_for(
            self.byteorder,
            self.content_type,
            self.encoding,
            kind,
            subject,
            more,
            None,
            self.written_extra,
        )

    def _front(self) -> bytes:
        written = self.written_extra
        if not written:
            return _write_object(self._fields())[:-1]
        plain = fields_for(
            self.byteorder, self.content_type, self.encoding, self.kind, self.subject, self.more
        )
        return plain.prefix()[: -len(_LENGTH_MEMBER)] + b"," + written[1:-1]

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "byteorder": self.byteorder,
            "content-type": self.content_type,
            "content-encoding": self.encoding,
        }
        if self.kind is not None:
            fields["kind"] = self.kind
        if self.subject is not None:
            fields["subject"] = self.subject
        if self.more:
            fields["more"] = True
        return fields


class HeaderReader:
    """Reads the header blocks of one stream; remembers the front part that came last."""

    __slots__ = ("_last_fields", "_last_front")

    def __init__(self) -> None:
        self._last_front = b""
        self._last_fields: HeaderFields | None = None

    def read(self, data: bytes, start: i64, end: i64) -> tuple[HeaderFields, i64, i64, i64]:
        """Read the block ``data[start:end]``: its fields, ``content-length``, ``id`` and ``re``.

        ``id`` and ``re`` are 0 when absent. Raises ProtocolError, with no offset yet.
        """
        if data[end - 1] != _CLOSING_BRACE:
            return read_any(data[start:end])
        id: i64 = 0
        re: i64 = 0
        last = end - 1
        while True:
            if LOOPS_ARE_FAST:
                value, first = number_by_loop(data, start, last)
            else:
                value, first = number_by_search(data, start, last)
            if value < 0:
                return read_any(data[start:end])
            name = data[first - 3]
            if name == _D and data[first - _SHORT_MEMBER : first] == _ID_MEMBER:
                if value == 0 or id:
                    return read_any(data[start:end])
                id = value
            elif name == _E and data[first - _SHORT_MEMBER : first] == _RE_MEMBER:
                if value == 0 or re:
                    return read_any(data[start:end])
                re = value
            else:
                break
            last = first - _SHORT_MEMBER
        front = data[start:first]
        fields = self._last_fields
        if fields is None or front != self._last_front:
            fields = _known_fronts.get(front)
            if fields is None:
                fields = _learn(front)
            if fields is None:
                return read_any(data[start:end])
            self._last_front = front
            self._last_fields = fields
        return fields, value, id, re


def number_by_loop(data: bytes, start: i64, last: i64) -> tuple[i64, i64]:
    """Read the digits before ``last``: their number, and where they begin, behind ``start``.

    The number is -1 where the general parser must decide.
    """
    value: i64 = 0
    scale: i64 = 1
    first = last
    while first > start and scale < _LARGEST_SCALE:
        digit: i64 = data[first - 1] - _ZERO
        if digit < 0 or digit > 9:
            break
        value += digit * scale
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


_known_fronts: Final[dict[bytes, HeaderFields]] = {}
"""Front parts that were checked, by their exact bytes. Bounded: see ``_learn``."""


def _learn(front: bytes) -> HeaderFields | None:
    """Check a front part and remember it; None when the general parser must decide.

    If the front part closed by ``}`` is a JSON object that is not empty and names none of the
    numbers, then the numbers behind it are members of that same object, each there once.
    """
    if not front.endswith(_LENGTH_MEMBER):
        return None
    try:
        members = _read_object(front[: -len(_LENGTH_MEMBER)] + b"}")
        if not members or not _NUMBERS.isdisjoint(members):
            return None
        fields = _fields_from(members, len(front))
    except ProtocolError:
        return None
    if len(front) <= _LONGEST_KNOWN:
        if len(_known_fronts) >= _MOST_KNOWN:
            _known_fronts.clear()
        _known_fronts[front] = fields
    return fields


def read_any(block: bytes) -> tuple[HeaderFields, i64, i64, i64]:
    """Read a header block of any valid shape: the definition of what is valid.

    Returns and raises as ``HeaderReader.read`` does.
    """
    members = _read_object(block)
    if "content-length" not in members:
        raise ProtocolError("is missing; every header block says it", field="content-length")
    length = _integer(members, "content-length", 0)
    id = _integer(members, "id", 1) if "id" in members else 0
    re = _integer(members, "re", 1) if "re" in members else 0
    return _fields_from(members, len(block)), length, id, re


def _integer(members: dict[str, Any], field: str, least: int) -> int:
    value = members[field]
    if type(value) is not int or not least <= value <= MAX_SAFE_INTEGER:
        raise _wrong(field, value, f"be an integer from {least} to 2^53-1")
    return value


def _fields_from(members: dict[str, Any], size: int) -> HeaderFields:
    """Check the fields that Telex knows, put defaults for those absent, and keep the rest apart."""
    byteorder = members.get("byteorder", sys.byteorder)
    if byteorder != "little" and byteorder != "big":
        raise _wrong("byteorder", byteorder, 'be "little" or "big"')
    content_type = members.get("content-type", OCTET_STREAM)
    if not is_media_type(content_type):
        raise _wrong("content-type", content_type, 'be a media type such as "text/plain"')
    encoding = members.get("content-encoding") or None
    if "content-encoding" in members and not isinstance(encoding, str):
        raise _wrong("content-encoding", members["content-encoding"], 'name a charset or "binary"')
    for field in ("kind", "subject"):
        if field in members and not isinstance(members[field], str):
            raise _wrong(field, members[field], "be a string")
    if members.get("more", True) is not True:
        raise _wrong("more", members["more"], "be true, or absent")
    return HeaderFields(
        byteorder,
        content_type,
        encoding or default_encoding(form_of(content_type)),
        members.get("kind"),
        members.get("subject"),
        "more" in members,
        {name: value for name, value in members.items() if name not in _KNOWN_FIELDS},
        read_from=size,
    )


def is_media_type(value: object) -> bool:
    """Say whether ``value`` has the form ``type/subtype``, with or without parameters."""
    if not isinstance(value, str):
        return False
    main, slash, sub = value.partition(";")[0].partition("/")
    return bool(slash and main.strip() and sub.strip())


def _wrong(field: str, value: object, right: str) -> ProtocolError:
    shown = json.dumps(value)
    if len(shown) > _LONGEST_SHOWN:
        shown = f"{shown[:_LONGEST_SHOWN]}…"
    return ProtocolError(f"is {shown}, and must {right}", field=field)


def _read_object(block: bytes) -> dict[str, Any]:
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
    count = len(digits.lstrip("-"))
    if count > MAX_INTEGER_DIGITS:
        raise ProtocolError(
            f"the header block holds an integer of {count:,} digits; "
            f"at most {MAX_INTEGER_DIGITS:,} are allowed"
        )
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


def add_header(
    pieces: list[bytes], fields: HeaderFields, length: i64, id: i64, re: i64, max_size: i64
) -> i64:
    """Add proto-header and header block to ``pieces``; return how many bytes they are.

    ``id`` and ``re`` are left out when 0. Raises ContentError when an application header cannot be
    written, and TooLargeError when the block is larger than ``max_size`` bytes.
    """
    prefix = fields.prefix()
    numbers = _end_with(length, id, re)
    size: i64 = len(prefix) + len(numbers)
    if size > max_size:
        raise TooLargeError("header block", size, max_size)
    pieces.append(_PROTO_HEADERS[size] if size < _FEW else _proto_header(size))
    pieces.append(prefix)
    pieces.append(numbers)
    return size + 2


def _end_with(length: i64, id: i64, re: i64) -> bytes:
    """Return the end of a header block, from the digits of ``content-length`` on."""
    digits = _DIGITS[length] if length < _FEW else str(length)
    if re == 0:
        if id == 0:
            return _ENDS[length] if length < _FEW else (digits + "}").encode("ascii")
        return (digits + ',"id":' + str(id) + "}").encode("ascii")
    if id == 0:
        return (digits + ',"re":' + str(re) + "}").encode("ascii")
    return (digits + ',"id":' + str(id) + ',"re":' + str(re) + "}").encode("ascii")


def _proto_header(size: int) -> bytes:
    return bytes((size >> 8, size & 0xFF))


_FEW: Final = 1_024
_DIGITS: Final = [str(number) for number in range(_FEW)]
_ENDS: Final = [(digits + "}").encode("ascii") for digits in _DIGITS]
_PROTO_HEADERS: Final = [_proto_header(size) for size in range(_FEW)]
"""What is the same in many messages, written once."""


def fields_for(
    byteorder: str,
    content_type: str,
    encoding: str,
    kind: str | None,
    subject: str | None,
    more: bool,
    extra: dict[str, Any] | None = None,
    checked_extra: bytes = b"",
) -> HeaderFields:
    """Return checked fields to send, the same object for the same values.

    The application's headers come as a dict, or as the JSON of other fields, which was checked.
    Raises ContentError, naming the field, for what the wire format does not allow.
    """
    require_string("kind", kind)
    require_string("subject", subject)
    if extra:
        _require_names(extra)
    written = _write_object(extra) if extra else checked_extra
    key = (byteorder, content_type, encoding, kind, subject, more, written)
    fields = _fields_to_send.get(key)
    if fields is None:
        if extra:
            _check_extra(extra, written)
        fields = HeaderFields(
            byteorder, content_type, encoding, kind, subject, more, written=written
        )
        _check_to_send(fields)
        if len(fields.prefix()) <= _LONGEST_KNOWN:
            if len(_fields_to_send) >= _MOST_KNOWN:
                _fields_to_send.clear()
            _fields_to_send[key] = fields
    return fields


def _require_names(extra: dict[Any, Any]) -> None:
    """Raise TypeError for a name that JSON would turn into text, and so into another one's."""
    for name in extra:
        if not isinstance(name, str):
            raise TypeError(f"header name {name!r} is not a string")


def require_string(name: str, value: object) -> None:
    """Raise TypeError unless ``value`` is a string or None."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, and must be a string or None")


_fields_to_send: Final[
    dict[tuple[str, str, str, str | None, str | None, bool, bytes], HeaderFields]
] = {}
"""Fields that were checked and written once. Bounded: see ``fields_for``."""


def _check_to_send(fields: HeaderFields) -> None:
    if fields.byteorder not in ("little", "big"):
        raise ContentError(f"byteorder is {fields.byteorder!r}, and must be 'little' or 'big'")
    if not is_media_type(fields.content_type):
        raise ContentError(
            f"content type {fields.content_type!r} is not a media type such as 'text/plain'"
        )
    if not fields.encoding:
        raise ContentError("encoding is empty, and must name a charset or 'binary'")


def _check_extra(extra: dict[str, Any], written: bytes) -> None:
    """Check the application's headers as a receiver will."""
    for name in extra:
        if name in _KNOWN_FIELDS:
            raise ContentError(
                f"header {name!r} belongs to the wire format; set the message's attribute instead"
            )
    if len(written) <= MAX_INTEGER_DIGITS and b"[" not in written and written.count(b"{") == 1:
        return  # too short for too many digits, and nothing in it that could nest or repeat
    try:
        _read_object(written)
    except ProtocolError as problem:
        error = ContentError(f"headers cannot be written: {problem.problem}")
        error.__cause__ = problem
        raise error


def _write_object(members: dict[str, Any]) -> bytes:
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


def _canonical(members: dict[str, Any]) -> str:
    return json.dumps(members, sort_keys=True) if members else ""


_encoder: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
