"""What header blocks say: the fields that Telex knows, checked, and the application's own.

Here is the one definition of what a header block may say (wire format, "header block"). Reading
them fast is ``header_reader``'s, writing them with their numbers ``header_writer``'s. This module
knows nothing of streams, buffers and bodies.
"""

from __future__ import annotations

import json
import re as patterns
import sys
from typing import TYPE_CHECKING, Any, Final

from telex.errors import ContentError, ProtocolError
from telex.limits import MAX_SAFE_INTEGER
from telex.wire.content import OCTET_STREAM, default_encoding, form_of
from telex.wire.header_json import MOST_SAFE_DIGITS, canonical, read_object, write_object

if TYPE_CHECKING:
    from mypy_extensions import i64

NUMBERS: Final = frozenset({"content-length", "id", "re", "timeout"})
"""The fields that differ from message to message, and stand last in what Telex writes."""

LENGTH_MEMBER: Final = b',"content-length":'
"""What stands between the part of a header block that repeats and its numbers."""

MOST_KNOWN: Final = 1_024
"""How many header blocks, but for their numbers, each memory of them holds."""

LONGEST_KNOWN: Final = 1_024
"""Bytes of the longest part of a header block that is remembered."""

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
        "timeout",
        "more",
    }
)

_TOKEN: Final = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE: Final = patterns.compile(f"{_TOKEN}/{_TOKEN}(?:[ \\t]*;.*)?", patterns.DOTALL)
"""Two tokens of RFC 9110; what follows a semicolon is not looked at."""

_LONGEST_SHOWN: Final = 60

_FIELDS_SIZE: Final = 512
"""Bytes of memory that header fields take beside texts and headers of the application."""

LARGEST_PARSED: Final = 2_048
"""Bytes of memory of an application's headers up to which they are kept as objects.

Objects may take fifty times the bytes of their JSON. Larger ones are kept as JSON, and read when
they are asked for.
"""


class HeaderFields:
    """What a header block says, but for its numbers. Never changed, so messages share it.

    The application's own headers are kept as a dict, as written JSON, or both: each is made from
    the other when it is first asked for. Where they are large and were received, ``source`` is the
    JSON object that they are read from each time. ``memory_size`` says about how many bytes of
    memory received fields take. ``front`` is set by ``header_reader``, which knows fields by it.
    """

    __slots__ = (
        "_extra",
        "_last_under",
        "_prefix",
        "_source",
        "_written",
        "byteorder",
        "content_type",
        "encoding",
        "form",
        "front",
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
        source: bytes = b"",
        memory_size: int = 0,
    ) -> None:
        self.byteorder: Final = byteorder
        self.content_type: Final = content_type
        self.encoding: Final = encoding
        self.form: Final = form_of(content_type)
        self.kind: Final = kind
        self.subject: Final = subject
        self.more: Final = more
        self.front: bytes = b""
        self._extra: dict[str, Any] | None = extra
        self._written: bytes = written
        self._prefix: bytes = b""
        self._last_under: HeaderFields | None = None
        self._source: Final = source
        self.memory_size: Final = memory_size

    @property
    def extra(self) -> dict[str, Any]:
        """The application's own headers; whoever hands them out hands out a copy."""
        if self._source:
            return _own_headers(read_object(self._source))
        if self._extra is None:
            self._extra = read_object(self._written) if self._written else {}
        return self._extra

    @property
    def written_extra(self) -> bytes:
        """The application's own headers as a JSON object; nothing when there are none."""
        if not self._written and (self._extra or self._source):
            self._written = write_object(self.extra)
        return self._written

    def prefix(self) -> bytes:
        """Return the header block up to the digits of ``content-length``."""
        if not self._prefix:
            self._prefix = self._front() + LENGTH_MEMBER
        return self._prefix

    def is_same_as(self, other: HeaderFields) -> bool:
        """Say whether both describe the same; the order of application headers means nothing."""
        return self is other or (
            self._fields() == other._fields() and canonical(self.extra) == canonical(other.extra)
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
            return write_object(self._fields())[:-1]
        plain = fields_for(
            self.byteorder, self.content_type, self.encoding, self.kind, self.subject, self.more
        )
        return plain.prefix()[: -len(LENGTH_MEMBER)] + b"," + written[1:-1]

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


def read_any(block: bytes) -> tuple[HeaderFields, i64, i64, i64, i64]:
    """Read a header block of any valid shape: its fields and its four numbers, in their order.

    They are ``content-length``, ``id``, ``re`` and ``timeout``, the last three 0 when absent.
    Raises ProtocolError, with no offset yet.
    """
    members = read_object(block)
    if "content-length" not in members:
        raise ProtocolError("is missing; every header block says it", field="content-length")
    length = _integer(members, "content-length", 0)
    id = _integer(members, "id", 1) if "id" in members else 0
    re = _integer(members, "re", 1) if "re" in members else 0
    timeout = _integer(members, "timeout", 1) if "timeout" in members else 0
    return fields_from(members, block), length, id, re, timeout


def _integer(members: dict[str, Any], field: str, least: int) -> int:
    value = members[field]
    if type(value) is not int or not least <= value <= MAX_SAFE_INTEGER:
        raise _wrong(field, value, f"be an integer from {least} to 2^53-1")
    return value


def fields_from(members: dict[str, Any], source: bytes) -> HeaderFields:
    """Check the fields that Telex knows, put defaults for those absent, and keep the rest apart.

    ``members`` were read from the JSON object ``source``.
    """
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
    size: i64 = _FIELDS_SIZE + len(source)
    for field in ("content-type", "content-encoding", "kind", "subject"):
        if field in members:
            size += sys.getsizeof(members[field])
    extra = _own_headers(members)
    left = _room_beside(extra, LARGEST_PARSED) if extra else LARGEST_PARSED
    is_parsed = left >= 0
    return HeaderFields(
        byteorder,
        content_type,
        encoding or default_encoding(form_of(content_type)),
        members.get("kind"),
        members.get("subject"),
        "more" in members,
        extra if is_parsed else None,
        source=b"" if is_parsed else source,
        memory_size=size
        + (LARGEST_PARSED - left if is_parsed else min(len(source), LONGEST_KNOWN)),
    )


def _own_headers(members: dict[str, Any]) -> dict[str, Any]:
    """Return the application's own headers among the members of a header block."""
    return {name: value for name, value in members.items() if name not in _KNOWN_FIELDS}


def _room_beside(value: Any, room: i64) -> i64:
    """Return how many of ``room`` bytes are left beside a JSON value; below 0 for too few."""
    room -= sys.getsizeof(value)
    if isinstance(value, dict):
        for name, inner in value.items():
            room = _room_beside(inner, room - sys.getsizeof(name))
            if room < 0:
                break
    elif isinstance(value, list):
        for inner in value:
            room = _room_beside(inner, room)
            if room < 0:
                break
    return room


def is_media_type(value: object) -> bool:
    """Say whether ``value`` has the form ``type/subtype``, with or without parameters."""
    return isinstance(value, str) and _MEDIA_TYPE.fullmatch(value) is not None


def _wrong(field: str, value: object, right: str) -> ProtocolError:
    shown = json.dumps(value)
    if len(shown) > _LONGEST_SHOWN:
        shown = f"{shown[:_LONGEST_SHOWN]}…"
    return ProtocolError(f"is {shown}, and must {right}", field=field)


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
    written = write_object(extra) if extra else checked_extra
    key = (byteorder, content_type, encoding, kind, subject, more, written)
    fields = _fields_to_send.get(key)
    if fields is None:
        if extra:
            _check_extra(extra, written)
        fields = HeaderFields(
            byteorder, content_type, encoding, kind, subject, more, written=written
        )
        _check_to_send(fields)
        if len(fields.prefix()) <= LONGEST_KNOWN:
            if len(_fields_to_send) >= MOST_KNOWN:
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
    if len(written) <= MOST_SAFE_DIGITS and b"[" not in written and written.count(b"{") == 1:
        return  # too short for a number too large, and nothing in it that could nest or repeat
    try:
        read_object(written)
    except ProtocolError as problem:
        error = ContentError(f"headers cannot be written: {problem.problem}")
        error.__cause__ = problem
        raise error
