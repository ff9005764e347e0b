"""The message processor: bytes in, messages out (wire format, version 1).

It takes what the network delivers, in pieces of any length, and keeps only what is not yet a whole
message. It knows where a message begins and ends, checks sizes before anything is set aside, and
stops for good at the first bad byte. It never touches a socket and never decodes content.
"""

from __future__ import annotations

import io
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Final

from telex.errors import IncompleteMessageError, ProtocolError, TooLargeError
from telex.limits import Limits
from telex.wire.first_bytes import SMALLEST_HEADER, bad_size, check_first_byte
from telex.wire.header import HeaderFields
from telex.wire.header_reader import HeaderReader
from telex.wire.message import Message
from telex.wire.received import ReceivedMessage

if TYPE_CHECKING:
    from mypy_extensions import i64


class State(Enum):
    """The part of a message that a processor waits for, or its end."""

    PROTO_HEADER = "proto-header"
    HEADER = "header block"
    CONTENT = "content"
    FAILED = "failed"
    CLOSED = "closed"


_PROTO_HEADER_SIZE: Final = 2

_WHOLE: Final = 1024 * 1024
"""Bytes of the longest content that is received in one piece, which becomes the body as it is."""

_BLOCK: Final = 256 * 1024
"""Bytes of longer content that are kept together while more of it comes. A single buffer would grow
step by step, next to those of other connections, and leave gaps that nothing fits into."""

_FIRST_BLOCK: Final = 64 * 1024
"""Bytes of the first block where next to nothing of the content has come with its header."""

_TRUST: Final = 16
"""How many times what has come of a message may be set aside for what is announced. With the first
64 KiB of a message, 1 MiB of content has its place."""

_DIRECT: Final = 128 * 1024
"""Bytes of a block from which it is set aside at once; a smaller one grows with what comes."""

WORTH_ITS_OWN: Final = 32 * 1024
"""Missing bytes for which one call to the system, and no copy, is better than fewer calls."""


class MessageProcessor:
    """Turns received bytes into messages. Each stream needs a processor of its own.

    Every message that was complete before a wrong byte is returned before the error is raised.
    After an error the processor accepts no more bytes, and raises the same error again.

    >>> processor = MessageProcessor()
    >>> data = Message("hello").to_bytes()
    >>> processor.receive_bytes(data[:20]) is None
    True
    >>> processor.receive_bytes(data[20:]).content
    'hello'
    """

    __slots__ = (
        "_begin",
        "_blocks",
        "_body",
        "_closed",
        "_error",
        "_id",
        "_later",
        "_max_content_size",
        "_max_header_size",
        "_missing",
        "_partial",
        "_re",
        "_reader",
        "_ready",
        "_received",
        "_room",
        "_timeout",
        "fields",
    )

    def __init__(self, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._max_header_size: Final[i64] = limits.max_header_size
        self._max_content_size: Final[i64] = limits.max_content_size
        self._reader: Final = HeaderReader()
        self._ready: deque[Message] | None = None
        self._error: ProtocolError | None = None
        self._closed: bool = False
        self._received: i64 = 0
        # The message that has begun: where in the stream, its proto-header and header block as far
        # as they came, and then its fields and its content as far as that came.
        self._begin: i64 = 0
        self._partial: bytearray | None = None
        self.fields: HeaderFields | None = None
        """The header fields of the message whose content is coming in; else None."""
        self._id: i64 = 0
        self._re: i64 = 0
        self._timeout: i64 = 0
        # Content comes into blocks: those that are full, the one that is being filled, for how much
        # it has room (0 where it grows), how much of it is missing, and how much comes after it.
        self._blocks: list[bytes] | None = None
        self._body: io.BytesIO | None = None
        self._room: i64 = 0
        self._later: i64 = 0
        self._missing: i64 = 0

    def receive_bytes(self, data: bytes | bytearray | memoryview) -> Message | None:
        """Read bytes; return the first complete message, or None when more bytes are needed.

        ``next_message`` returns the further complete messages. Raises ProtocolError.
        """
        if self._missing > len(data) and isinstance(data, bytes) and self._body is not None:
            self._body.write(data)
            self._missing -= len(data)
            self._received += len(data)
            return self.next_message() if self._ready is not None else None
        messages = self._take(data)
        ready = self._ready
        if ready is None:
            if len(messages) == 1:
                return messages[0]
            if not messages:
                return self.next_message()
            ready = self._ready = deque()
        ready.extend(messages)
        return self.next_message()

    def next_message(self) -> Message | None:
        """Return the next message that is already complete, or None. Raises ProtocolError."""
        ready = self._ready
        if ready is not None:
            message: Message = ready.popleft()
            if not ready:
                self._ready = None
            return message
        if self._error is not None:
            raise self._error.with_traceback(None)
        return None

    def receive_messages(self, data: bytes | bytearray | memoryview) -> list[Message]:
        """Read bytes; return all messages that are complete now. This is the fast way.

        Raises ProtocolError when the stream is broken and there is no complete message. When there
        are messages, they are returned; ``error`` is set, and the next call raises the error.
        """
        messages = self._behind_ready(self._take(data))
        if not messages and self._error is not None:
            raise self._error.with_traceback(None)
        return messages

    def content_buffer(self, least: i64 = WORTH_ITS_OWN) -> memoryview | None:
        """Return a buffer for the next bytes of long content, to receive them without a copy.

        None when fewer than ``least`` bytes are missing, or when there is no such buffer: then use
        ``receive_messages``. After receiving, release the view and call ``content_received``.
        """
        body = self._body
        if body is None or not self._room or self._missing < least:
            return None
        return body.getbuffer()[self._room - self._missing :]

    def content_received(self, size: int) -> list[Message]:
        """Read ``size`` bytes that were received into ``content_buffer()``.

        Otherwise the same as ``receive_messages``. Raises ValueError for more bytes than the buffer
        holds.
        """
        body = self._body
        if body is None or not self._room or not 0 <= size <= self._missing:
            raise ValueError(f"{size} bytes cannot have been received into the content's buffer")
        messages: list[Message] = []
        self._missing -= size
        self._received += size
        if self._missing:
            body.seek(self._room - self._missing)
        else:
            self._finish_block(messages)
        return self._behind_ready(messages)

    def receive_eof(self) -> None:
        """End the stream: no more bytes will come.

        Raises IncompleteMessageError if the stream stops inside a message, or the error that was
        raised before. ``next_message`` still returns messages that are complete.
        """
        if self._error is None and not self._closed and self._has_begun():
            received = self._received - self._begin
            self._fail(IncompleteMessageError(received, self.bytes_needed, self.state.value))
        self._closed = True
        if self._error is not None:
            raise self._error.with_traceback(None)

    @property
    def error(self) -> ProtocolError | None:
        """The error that broke the stream, as soon as it is known; None while there is no error."""
        return self._error

    @property
    def state(self) -> State:
        """The part of a message that the processor waits for."""
        if self._error is not None:
            return State.FAILED
        if self._closed:
            return State.CLOSED
        if self.fields is not None:
            return State.CONTENT
        if self._partial is not None and len(self._partial) >= _PROTO_HEADER_SIZE:
            return State.HEADER
        return State.PROTO_HEADER

    @property
    def bytes_needed(self) -> int:
        """Bytes that are missing in the part that ``state`` names; 0 after the end or an error."""
        if self._error is not None or self._closed:
            return 0
        if self.fields is not None:
            return self._missing + self._later
        return self._header_end() - (0 if self._partial is None else len(self._partial))

    @property
    def content_length(self) -> int:
        """Bytes of content of the message that is coming in, as its header says; 0 without one."""
        came: i64 = 0 if self._blocks is None else sum([len(block) for block in self._blocks])
        if self._body is not None:
            came += self._room - self._missing if self._room else self._body.tell()
        return came + self._missing + self._later

    @property
    def bytes_received(self) -> int:
        """Bytes received since the stream began."""
        return self._received

    @property
    def message_offset(self) -> int:
        """The position in the stream of the current message's first byte, in bytes."""
        return self._begin

    @property
    def bytes_set_aside(self) -> int:
        """Bytes of memory that are allocated for announced content that has not been received."""
        return self._missing if self._room else 0

    @property
    def bytes_buffered(self) -> int:
        """Bytes received of a message that is not complete; 0 between messages."""
        return self._received - self._begin if self._has_begun() else 0

    def _take(self, data: bytes | bytearray | memoryview) -> list[Message]:
        """Read all that is complete, and keep the rest; an error is kept, not raised."""
        messages: list[Message] = []
        if self._error is not None:
            return messages
        if self._closed:
            raise ProtocolError("bytes came after the end of the stream", offset=self._received)
        piece = data if isinstance(data, bytes) else bytes(memoryview(data))
        try:
            position: i64 = 0
            if self._has_begun():
                position = self._continue(piece, messages)
            self._read_whole(piece, position, messages)
        except ProtocolError as problem:
            self._fail(problem)
        self._received += len(piece)
        return messages

    def _read_whole(self, data: bytes, position: i64, messages: list[Message]) -> None:
        """Read the messages that are whole inside ``data``; keep what has begun behind them."""
        reader = self._reader
        max_header_size = self._max_header_size
        max_content_size = self._max_content_size
        end: i64 = len(data)
        try:
            while end - position >= _PROTO_HEADER_SIZE:
                size: i64 = data[position] << 8 | data[position + 1]
                if size < SMALLEST_HEADER or size > max_header_size:
                    raise bad_size(data[position], data[position + 1], max_header_size)
                start = position + _PROTO_HEADER_SIZE
                body = start + size
                if body > end:
                    break
                fields, length, id, re, timeout = reader.read(data, start, body)
                if length > max_content_size:
                    raise TooLargeError("content", length, max_content_size)
                content_end = body + length
                if content_end > end:
                    self._begin = self._received + position
                    self._begin_content(fields, length, id, re, timeout, end - position)
                    self._continue_content(data, body, messages)
                    return
                content = data[body:content_end]
                messages.append(ReceivedMessage(fields, content, id, re, timeout))
                position = content_end
        except ProtocolError:
            self._begin = self._received + position
            self._check_beginning(data, position)  # a plainer error, where there is one
            raise
        if position < end:
            self._begin = self._received + position
            self._check_beginning(data, position)
            self._partial = bytearray(data[position:])

    def _continue(self, data: bytes, messages: list[Message]) -> i64:
        """Go on with the message that has begun; return how much of ``data`` belongs to it."""
        if self.fields is not None:
            return self._continue_content(data, 0, messages)
        partial = self._partial
        assert partial is not None
        position: i64 = 0
        for _part in ("proto-header", "header block"):
            before: i64 = len(partial)
            missing: i64 = self._header_end() - before
            partial += data[position : position + missing]
            position += len(partial) - before
            self._check_beginning(partial, 0)
        if len(partial) < self._header_end():
            return position
        fields, length, id, re, timeout = self._reader.read(
            bytes(partial), _PROTO_HEADER_SIZE, len(partial)
        )
        if length > self._max_content_size:
            raise TooLargeError("content", length, self._max_content_size)
        self._partial = None
        came = len(partial) + len(data) - position
        self._begin_content(fields, length, id, re, timeout, came)
        return self._continue_content(data, position, messages)

    def _begin_content(
        self, fields: HeaderFields, length: i64, id: i64, re: i64, timeout: i64, came: i64
    ) -> None:
        """Begin the content of a message of which ``came`` bytes have come."""
        self.fields = fields
        self._id = id
        self._re = re
        self._timeout = timeout
        self._later = length
        self._begin_block(came)

    def _begin_block(self, came: i64) -> None:
        """Set aside what the ``came`` bytes of the message that have come are good for."""
        most = _BLOCK if self._blocks or self._later > _WHOLE else _WHOLE
        self._missing = min(self._later, most, max(_FIRST_BLOCK, came * _TRUST))
        self._later -= self._missing
        if self._missing < _DIRECT:
            self._body = io.BytesIO()
            self._room = 0
        else:
            self._body = io.BytesIO(bytes(self._missing))
            self._room = self._missing

    def _continue_content(self, data: bytes, position: i64, messages: list[Message]) -> i64:
        """Take content from ``data[position:]``; return where it ends there."""
        while True:
            body = self._body
            assert body is not None
            taken: i64 = min(len(data) - position, self._missing)
            whole = taken == len(data)
            body.write(data if whole else memoryview(data)[position : position + taken])
            self._missing -= taken
            position += taken
            if self._missing or self._finish_block(messages):
                return position

    def _behind_ready(self, messages: list[Message]) -> list[Message]:
        """Return messages behind those that wait for ``next_message``, which wait no more."""
        if self._ready is not None:
            messages = [*self._ready, *messages]
            self._ready = None
        return messages

    def _finish_block(self, messages: list[Message]) -> bool:
        """Put a full block to the others; return whether it was the last, and the message whole."""
        fields, body = self.fields, self._body
        assert fields is not None
        assert body is not None
        blocks = [] if self._blocks is None else self._blocks
        blocks.append(body.getvalue())
        if self._later:
            self._blocks = blocks
            self._begin_block(len(blocks) * _FIRST_BLOCK)  # all but the first are at least so long
            return False
        content = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        messages.append(ReceivedMessage(fields, content, self._id, self._re, self._timeout))
        self.fields = None
        self._body = None
        self._room = 0
        self._blocks = None
        return True

    def _has_begun(self) -> bool:
        return self._partial is not None or self.fields is not None

    def _header_end(self) -> int:
        """Return the size of proto-header and header block together, as far as it is known."""
        partial = self._partial
        if partial is None or len(partial) < _PROTO_HEADER_SIZE:
            return _PROTO_HEADER_SIZE
        return _PROTO_HEADER_SIZE + (partial[0] << 8 | partial[1])

    def _check_beginning(self, data: bytes | bytearray, position: i64) -> None:
        """Refuse the message at ``position`` as soon as its first bytes are wrong."""
        came = len(data) - position
        if came < _PROTO_HEADER_SIZE:
            return
        high, low = data[position], data[position + 1]
        size = high << 8 | low
        if size < SMALLEST_HEADER or size > self._max_header_size:
            raise bad_size(high, low, self._max_header_size)
        if came > _PROTO_HEADER_SIZE:
            check_first_byte(high, low, data[position + _PROTO_HEADER_SIZE])

    def _fail(self, error: ProtocolError) -> None:
        """Stop for good, and let go of what was kept, the error's memory of it included."""
        error.offset = self._begin
        error.__context__ = None
        self._error = error.with_traceback(None)
        self._partial = None
        self.fields = None
        self._body = None
        self._room = 0
        self._blocks = None
        self._missing = 0
        self._later = 0
