"""The message: header fields and content, as a program reads and changes them.

A message holds header fields, which it shares with messages of equal fields, and its body, its
content or both: the one that was set or received, and the other one after its first use. This
module knows nothing of streams; ``processor`` turns received bytes into messages.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from telex.errors import ContentError, TooLargeError
from telex.limits import MAX_HEADER_BLOCK, MAX_SAFE_INTEGER, Limits
from telex.printable import printable
from telex.wire import content as contents
from telex.wire.content import BYTES, JSON
from telex.wire.description import describe
from telex.wire.generics import Content
from telex.wire.header import HeaderFields, fields_for, require_string
from telex.wire.header_writer import add_header, check_header

if TYPE_CHECKING:
    from mypy_extensions import i64

T = TypeVar("T")

NOT_DECODED: Final = object()
"""Stands for content, or for a view of it, that nobody has asked for yet."""

_NATIVE_ORDER: Final = sys.byteorder

_OBJECT_SIZE: Final = 160
"""Bytes of memory that a message takes beside its body and its fields, which are often shared."""


class Message(Generic[Content]):
    """Content with the headers that describe it.

    ``content`` is text (``str``), bytes, or any object that msgspec can write as JSON. All other
    arguments are optional: the defaults of ``content_type`` and ``encoding`` follow from the
    content, the default of ``byteorder`` is that of this machine, and ``headers`` are the
    application's own. Every attribute but ``body`` can be assigned; ``to_bytes()`` writes the
    current values. Messages with the same headers and the same body are equal. ``str()``
    describes a message in one line that is safe to print. Raises ContentError for values that
    the wire format does not allow (wire format, "fields").

    >>> message = Message("Hello, wire", subject="greeting")
    >>> message.content_type, message.encoding, message.body
    ('text/plain', 'utf-8', b'Hello, wire')
    """

    __slots__ = ("_body", "_content", "_fields", "_headers", "_id", "_re", "_timeout", "_view")

    def __init__(
        self,
        content: object,
        *,
        content_type: str | None = None,
        encoding: str | None = None,
        subject: str | None = None,
        headers: dict[str, Any] | None = None,
        byteorder: str | None = None,
        kind: str | None = None,
        id: int | None = None,
        re: int | None = None,
        timeout_ms: int | None = None,
        more: bool = False,
    ) -> None:
        _require_types(content_type, encoding, more)
        if content_type is None:
            content_type = contents.natural_type(content)
        if encoding is None:
            encoding = contents.default_encoding(contents.form_of(content_type))
        if byteorder is None:
            byteorder = _NATIVE_ORDER
        fields = fields_for(byteorder, content_type, encoding, kind, subject, more, headers)
        self._fields: HeaderFields = fields
        self._headers: dict[str, Any] | None = None
        self._id: i64 = _checked_number("id", id)
        self._re: i64 = _checked_number("re", re)
        self._timeout: i64 = _checked_number("timeout_ms", timeout_ms)
        body, kept = _written(content, fields)
        self._body: bytes | None = body
        self._content: object = kept
        self._view: object = NOT_DECODED

    def __class_getitem__(cls, content_type: Any) -> Any:
        """Let ``Message[Reading]`` say, in an annotation, what the content is."""
        return GenericAlias(cls, content_type)

    @property
    def content(self) -> Content:
        """The content of the message as a Python object.

        Raises ContentError when the body does not match its header; ``body`` has the bytes.
        """
        if self._view is not NOT_DECODED:
            return cast(Content, self._view)
        return cast(Content, self._plain_content())

    @content.setter
    def content(self, content: Content) -> None:
        """Replace the content. A content type that does not fit it becomes the default one."""
        fields = self._fields
        if not contents.fits(content, fields.form):
            content_type = contents.natural_type(content)
            encoding = contents.default_encoding(contents.form_of(content_type))
            fields = fields.replaced(content_type=content_type, encoding=encoding)
        self._put(content, fields)

    @property
    def body(self) -> bytes:
        """The content as bytes. Raises ContentError when the content cannot be written."""
        fields = self._fields
        body = self._body
        if body is None:
            return contents.encode(self._content, fields.content_type, fields.encoding)
        if fields.form != JSON or self._content is NOT_DECODED:
            return body
        return self._body_after_changes(body)

    @property
    def memory_size(self) -> int:
        """About how many bytes of memory the message takes, with fields that it may share."""
        body = self._body
        return _OBJECT_SIZE + self._fields.memory_size + (0 if body is None else len(body))

    @property
    def content_type(self) -> str:
        """The media type of the content. Assigning keeps the content and encodes it again."""
        return self._fields.content_type

    @content_type.setter
    def content_type(self, content_type: str) -> None:
        _require_types(content_type, None, False)
        self._rewrite(content_type, contents.default_encoding(contents.form_of(content_type)))

    @property
    def encoding(self) -> str:
        """The charset of the content, or ``"binary"``. Assigning keeps the content.

        The content is encoded again. A body that could not be decoded with the old charset is kept,
        and decoded with the new one.
        """
        return self._fields.encoding

    @encoding.setter
    def encoding(self, encoding: str) -> None:
        _require_types(None, encoding, False)
        self._rewrite(self._fields.content_type, encoding)

    @property
    def byteorder(self) -> str:
        """``"little"`` or ``"big"``: the order of multi-byte numbers inside the content."""
        return self._fields.byteorder

    @byteorder.setter
    def byteorder(self, byteorder: str) -> None:
        self._fields = self._fields.replaced(byteorder=byteorder)

    @property
    def kind(self) -> str | None:
        """None for a plain message; otherwise the role of the message, such as ``"request"``."""
        return self._fields.kind

    @kind.setter
    def kind(self, kind: str | None) -> None:
        self._fields = self._fields.replaced(kind=kind)

    @property
    def subject(self) -> str | None:
        """The topic of the message, in parts separated by dots; it chooses the handler."""
        return self._fields.subject

    @subject.setter
    def subject(self, subject: str | None) -> None:
        self._fields = self._fields.replaced(subject=subject)

    @property
    def more(self) -> bool:
        """Whether further parts of the same answer follow."""
        return self._fields.more

    @more.setter
    def more(self, more: bool) -> None:
        _require_types(None, None, more)
        self._fields = self._fields.replaced(more=more)

    @property
    def headers(self) -> dict[str, Any]:
        """The application's own headers: JSON values by name. May be changed in place."""
        if self._headers is None:
            self._headers = copy.deepcopy(self._fields.extra)
        return self._headers

    @headers.setter
    def headers(self, headers: dict[str, Any]) -> None:
        self._fields = self._fields.replaced(extra=headers)
        self._headers = None

    @property
    def id(self) -> int | None:
        """The number of a request, which its answer repeats as ``re``; 1 to 2^53-1."""
        return self._id or None

    @id.setter
    def id(self, id: int | None) -> None:
        self._id = _checked_number("id", id)

    @property
    def re(self) -> int | None:
        """The ``id`` of the request that this message answers; 1 to 2^53-1."""
        return self._re or None

    @re.setter
    def re(self, re: int | None) -> None:
        self._re = _checked_number("re", re)

    @property
    def timeout_ms(self) -> int | None:
        """The ``timeout`` of a request: how long its answer is still waited for.

        In milliseconds from the moment when the header arrives; 1 to 2^53-1.
        """
        return self._timeout or None

    @timeout_ms.setter
    def timeout_ms(self, timeout_ms: int | None) -> None:
        self._timeout = _checked_number("timeout_ms", timeout_ms)

    def decode(self, type: type[T]) -> T:
        """Return the content as ``type``, for example a msgspec.Struct, dataclass or TypedDict.

        Raises ContentError that names the first part of the content that does not fit.
        """
        fields = self._fields
        if fields.form == JSON:
            decoded: T = contents.decode_json(self.body, fields.encoding, type)
        else:
            decoded = contents.convert(self._plain_content(), type)
        return decoded

    def view_as(self, type: Any) -> None:
        """Let ``content`` return the content as ``type``, as ``decode`` does.

        Changes inside that object are not sent until the object is assigned to ``content``.
        """
        self._view = self.decode(type)

    def to_bytes(self, limits: Limits | None = None) -> bytes:
        """Return the message as bytes: proto-header, header block, content.

        Raises ContentError when content or headers cannot be written, and TooLargeError when the
        header block or the content is over ``limits`` (without ``limits``: when the header block
        is over 65,535 bytes).
        """
        header, body = self.to_buffers(limits)
        return header + body

    def to_buffers(self, limits: Limits | None = None) -> tuple[bytes, bytes]:
        """Return what ``to_bytes`` does, in two parts, so that large content is not copied."""
        body = self.body
        most = MAX_HEADER_BLOCK
        if limits is not None:
            most = limits.max_header_size
            if len(body) > limits.max_content_size:
                raise TooLargeError("content", len(body), limits.max_content_size)
        pieces: list[bytes] = []
        fields = self._present_fields()
        add_header(pieces, fields, len(body), self._id, self._re, self._timeout, most)
        return b"".join(pieces), body

    def add_header_as(
        self,
        pieces: list[bytes],
        length: i64,
        kind: str | None,
        id: i64,
        re: i64,
        more: bool,
        most: i64,
        timeout: i64 = 0,
    ) -> i64:
        """Add what comes before a body of ``length`` bytes, as ``header_writer.add_header`` does.

        Kind and numbers are given by a conversation, and not the message's own.
        """
        return add_header(pieces, self._fields_under(kind, more), length, id, re, timeout, most)

    def check_header_as(
        self,
        length: i64,
        kind: str | None,
        id: i64,
        re: i64,
        more: bool,
        most: i64,
        timeout: i64 = 0,
    ) -> None:
        """Raise what ``add_header_as`` would, and write nothing."""
        check_header(self._fields_under(kind, more), length, id, re, timeout, most)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return (
            self._id == other._id
            and self._re == other._re
            and self._timeout == other._timeout
            and self.body == other.body
            and self._present_fields().is_same_as(other._present_fields())
        )

    def __str__(self) -> str:
        try:
            body = self.body
            fields = self._present_fields()
        except ContentError as problem:
            return f"{printable(self.content_type)}, not writable: {printable(str(problem))}"
        return describe(fields, body, self._id, self._re, self._timeout)

    def __repr__(self) -> str:
        return f"<Message {self}>"

    def __reduce__(self) -> tuple[Callable[..., Message], tuple[Any, ...]]:
        """Let ``copy`` and ``pickle`` work on the compiled class too."""
        fields = self._present_fields()
        arguments = (
            self.body,
            fields.content_type,
            fields.encoding,
            fields.subject,
            fields.written_extra,
            fields.byteorder,
            fields.kind,
            self.id,
            self.re,
            self.timeout_ms,
            fields.more,
        )
        return _restore, arguments

    def _plain_content(self) -> object:
        if self._content is NOT_DECODED:
            fields = self._fields
            self._content = contents.decode(self.body, fields.form, fields.encoding)
        return self._content

    def _put(self, content: object, fields: HeaderFields) -> None:
        """Take content under these fields, or change nothing and raise ContentError."""
        body, kept = _written(content, fields)
        self._fields = fields
        self._body = body
        self._content = kept
        self._view = NOT_DECODED

    def _rewrite(self, content_type: str, encoding: str) -> None:
        """Encode the content anew for these headers; keep a body that cannot be decoded."""
        try:
            content = self._plain_content()
        except ContentError:
            content = self.body
        fields = self._fields.replaced(content_type=content_type, encoding=encoding)
        self._put(content, fields)

    def _present_fields(self) -> HeaderFields:
        """Return the fields with the headers as they are now: they may be changed in place."""
        f = self._fields
        headers = self._headers
        return f if headers is None else f.replaced(extra=headers)

    def _fields_under(self, kind: str | None, more: bool) -> HeaderFields:
        """Return the present fields, with kind and ``more`` as a conversation gives them."""
        f = self._present_fields()
        return f if f.kind == kind and f.more == more else f.under(kind, more)

    def _body_after_changes(self, body: bytes) -> bytes:
        """Return ``body`` unless the content read from it was changed in place since."""
        fields = self._fields
        now = contents.encode(self._content, fields.content_type, fields.encoding)
        content = contents.decode(body, JSON, fields.encoding)
        if now == contents.encode(content, fields.content_type, fields.encoding):
            return body
        return now


def _written(content: object, fields: HeaderFields) -> tuple[bytes | None, object]:
    """Return the body and the decoded content of a message; one of them may be made later.

    JSON is encoded when the body is asked for, since the content may be changed in place.
    """
    if isinstance(content, (bytes, bytearray, memoryview)):
        body = bytes(content)
        return body, body if fields.form == BYTES else NOT_DECODED
    if fields.form == JSON:
        return None, content
    return contents.encode(content, fields.content_type, fields.encoding), content


def _require_types(content_type: object, encoding: object, more: object) -> None:
    """Raise TypeError for a wrong type, as the compiled build does by itself."""
    require_string("content_type", content_type)
    require_string("encoding", encoding)
    if more is not True and more is not False:
        raise TypeError(f"more is {more!r}, and must be True or False")


def _checked_number(field: str, value: int | None) -> int:
    if value is None:
        return 0
    if not isinstance(value, int):
        raise TypeError(f"{field} is {value!r}, and must be an integer")
    if isinstance(value, bool) or not 1 <= value <= MAX_SAFE_INTEGER:
        raise ContentError(f"{field} is {value!r}, and must be an integer from 1 to 2^53-1")
    return value


def _restore(
    body: bytes,
    content_type: str,
    encoding: str,
    subject: str | None,
    headers: bytes,
    byteorder: str,
    kind: str | None,
    id: int | None,
    re: int | None,
    timeout_ms: int | None,
    more: bool,
) -> Message:
    message = Message(
        body,
        content_type=content_type,
        encoding=encoding,
        subject=subject,
        byteorder=byteorder,
        kind=kind,
        id=id,
        re=re,
        timeout_ms=timeout_ms,
        more=more,
    )
    if headers:
        message._fields = message._fields.replaced(checked_extra=headers)
    return message
