"""The one way in which tests feed bytes to a message processor: the same bytes, cut every way.

A test says what must come of a stream, and ``check`` holds the processor to it: in one piece, byte
by byte, in as many bytes as the processor asks for, split in two at every place, with more bytes
behind it, and with more messages before it. A long stream is cut at a bounded number of places.
"""

from __future__ import annotations

import functools
import json
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from telex import IncompleteMessageError, Limits, Message, MessageProcessor, ProtocolError, State
from telex.wire.header import HeaderFields
from telex.wire.header_reader import HeaderReader
from telex.wire.received import ReceivedMessage
from tests.reference import Failure, Outcome, Parsed

CUT_EVERYWHERE = 300
"""Bytes of a stream up to which it is split at every place; a longer one is at some 160 places."""

FEED_EVERY_BYTE = 70_000
"""Bytes of a stream up to which it is fed byte by byte; a longer one is not."""

GOOD = b'\x00\x14{"content-length":4}good'
"""A message that every processor takes whose limits are at least its sizes."""

GOOD_PARSED = Parsed(
    {
        "byteorder": None,
        "content-type": "application/octet-stream",
        "content-encoding": "binary",
    },
    b"good",
)
"""What comes of it."""


class Cut(NamedTuple):
    """One way to cut a stream: its name, for the report of a failing test, and the pieces."""

    name: str
    pieces: list[bytes]


def frame(header_block: str | bytes, content: bytes = b"") -> bytes:
    """Return a message of exactly this header block, right or wrong, and this content."""
    block = header_block.encode() if isinstance(header_block, str) else header_block
    return struct.pack(">H", len(block)) + block + content


def header_block_of(message: Message) -> str:
    """Return the header block that a message is sent with."""
    data = message.to_bytes()
    (size,) = struct.unpack_from(">H", data)
    return data[2 : 2 + size].decode("utf-8")


def receive(data: bytes) -> Message:
    """Return the one message of a stream."""
    (message,) = MessageProcessor().receive_messages(data)
    return message


def check(data: bytes, expected: Outcome, limits: Limits | None = None) -> None:
    """Assert that the stream ``data`` comes to ``expected``, however it is cut."""
    limits = limits or Limits()
    for cut in cuts(data):
        _check_pieces(cut, expected, limits)
    _check_more_behind(data, expected, limits)
    _check_more_before(data, expected, limits)
    _check_bytes_needed(data, expected, limits)
    if len(data) <= FEED_EVERY_BYTE:
        _check_moments(data, expected, limits)


def check_arrives(data: bytes, *messages: Parsed, limits: Limits | None = None) -> None:
    """Assert that the stream ``data`` is exactly these messages, however it is cut."""
    check(data, Outcome(list(messages), None), limits)


def check_refused(
    data: bytes,
    *,
    after: int | None = None,
    code: str = "bad-message",
    limits: Limits | None = None,
) -> ProtocolError:
    """Assert that the message that begins the stream ``data`` is refused, however it is cut.

    ``after`` counts the bytes that are enough to refuse it; by default all are needed. Returns the
    error, so that the test can look at what it says.
    """
    known_after = len(data) if after is None else after
    check(data, Outcome([], Failure(code, 0, known_after)), limits)
    processor = MessageProcessor(limits or Limits())
    outcome_in_batches([data], processor)
    assert processor.error is not None
    return processor.error


def parsed(message: Message) -> Parsed:
    """Return what a message says, in the words of the reference parser."""
    fields: dict[str, object] = {
        "byteorder": message.byteorder,
        "content-type": message.content_type,
        "content-encoding": message.encoding,
    }
    optional = {
        "kind": message.kind,
        "subject": message.subject,
        "id": message.id,
        "re": message.re,
        "timeout": message.timeout_ms,
        "more": message.more or None,
    }
    fields.update((name, value) for name, value in optional.items() if value is not None)
    return Parsed(fields | message.headers, message.body)


def reading_of(read: Callable[[], tuple[HeaderFields, int, int, int, int]]) -> tuple[str, ...]:
    """Return what comes of reading a header block, in a form that can be compared."""
    try:
        fields, length, id, re, timeout = read()
    except ProtocolError as error:
        return type(error).__name__, str(error)
    message = ReceivedMessage(fields, b"", id, re, timeout)
    return json.dumps(parsed(message).fields), str(length)


def readings_in_a_row(blocks: Iterable[bytes]) -> list[tuple[str, ...]]:
    """Return what one reader says of each of these blocks, which come in a row, one by one."""
    reader = HeaderReader()
    return [
        reading_of(
            functools.partial(reader.read, GOOD + block + GOOD, len(GOOD), len(GOOD + block))
        )
        for block in blocks
    ]


def exact(messages: Iterable[Parsed]) -> list[tuple[str, bytes]]:
    """Return messages in a form in which 1, 1.0 and true differ, and the order of fields does not.

    A byte order that the sender did not say is the receiver's own.
    """
    return [
        (json.dumps(message.fields | _own_byteorder(message), sort_keys=True), message.body)
        for message in messages
    ]


def cuts(data: bytes) -> Iterator[Cut]:
    """Yield the ways to cut a stream: not at all, at every byte, and in two at each place."""
    yield Cut("whole", [data])
    if len(data) <= FEED_EVERY_BYTE:
        yield Cut("byte by byte", [data[at : at + 1] for at in range(len(data))])
    for place in split_places(len(data)):
        yield Cut(f"split at {place}", [data[:place], data[place:]])


def split_places(size: int) -> list[int]:
    """Return where a stream of ``size`` bytes is split: everywhere, or at a sample of places."""
    if size <= CUT_EVERYWHERE:
        return list(range(1, size))
    between = range(64, size - 64, (size - 128) // 32 + 1)
    return [*range(1, 64), *between, *range(size - 64, size)]


def outcome_in_batches(pieces: list[bytes], processor: MessageProcessor) -> Outcome:
    """Feed pieces to ``receive_messages``, then the end of the stream; return what comes of it."""
    messages: list[Message] = []
    try:
        for piece in pieces:
            batch = processor.receive_messages(piece)
            messages += batch
            if processor.error is not None:
                assert batch, "an error with no message before it is raised at once"
                processor.receive_messages(b"")
        processor.receive_eof()
    except ProtocolError as error:
        return _failed(processor, messages, error)
    return _closed(processor, messages)


def outcome_one_by_one(pieces: list[bytes], processor: MessageProcessor) -> Outcome:
    """Feed pieces to ``receive_bytes``, and take further messages from ``next_message``.

    The pieces come in a buffer that is overwritten at once, as the receive buffer of a server is.
    """
    messages: list[Message] = []
    try:
        for piece in pieces:
            buffer = bytearray(piece)
            with memoryview(buffer) as view:
                message = processor.receive_bytes(view)
            buffer[:] = bytes(len(buffer))
            while message is not None:
                messages.append(message)
                message = processor.next_message()
        processor.receive_eof()
    except ProtocolError as error:
        return _failed(processor, messages, error)
    return _closed(processor, messages)


def _check_pieces(cut: Cut, expected: Outcome, limits: Limits) -> None:
    """Assert that pieces come to ``expected``, taken in batches and one by one."""
    for feed in (outcome_in_batches, outcome_one_by_one):
        outcome = feed(cut.pieces, MessageProcessor(limits))
        how = f"{cut.name}, {feed.__name__}"
        assert exact(outcome.messages) == exact(expected.messages), how
        assert what_and_where(outcome) == what_and_where(expected), how


def _check_more_behind(data: bytes, expected: Outcome, limits: Limits) -> None:
    """Assert that bytes behind the stream neither change what came before nor get lost."""
    if expected.failure is None:
        with_good = Outcome([*expected.messages, GOOD_PARSED], None)
        _check_pieces(Cut("a good message behind", [data + GOOD]), with_good, limits)
        size = len(data) + 1
        with_begun = Outcome(expected.messages, Failure("incomplete", len(data), size))
        _check_pieces(Cut("one byte behind", [data + GOOD[:1]]), with_begun, limits)
    elif expected.failure.code != "incomplete":
        _check_pieces(Cut("a good message behind", [data + GOOD]), expected, limits)
        _check_pieces(Cut("a good message afterwards", [data, GOOD]), expected, limits)


def _check_more_before(data: bytes, expected: Outcome, limits: Limits) -> None:
    """Assert that messages before the stream, in one piece with it, are handed out first."""
    failure = expected.failure
    if failure is not None:
        code, offset, after = failure
        failure = Failure(code, offset + 2 * len(GOOD), after + 2 * len(GOOD))
    before = Outcome([GOOD_PARSED, GOOD_PARSED, *expected.messages], failure)
    _check_pieces(Cut("two good messages before", [GOOD + GOOD + data]), before, limits)
    if failure is None:
        three_times = Outcome(expected.messages * 3, None)
        _check_pieces(Cut("three times in one piece", [data * 3]), three_times, limits)


def _check_bytes_needed(data: bytes, expected: Outcome, limits: Limits) -> None:
    """Assert that feeding what ``bytes_needed`` asks for takes three pieces a message at most."""
    processor = MessageProcessor(limits)
    pieces: list[bytes] = []
    position = 0
    try:
        while position < len(data):
            assert processor.bytes_needed > 0
            pieces.append(data[position : position + processor.bytes_needed])
            position += len(pieces[-1])
            processor.receive_bytes(pieces[-1])
    except ProtocolError:
        assert expected.failure is not None
    assert len(pieces) <= 3 * (len(expected.messages) + 1)
    _check_pieces(Cut("as asked for", pieces), expected, limits)


def _check_moments(data: bytes, expected: Outcome, limits: Limits) -> None:
    """Assert that each message comes with its last byte, and a failure no later than it must."""
    processor = MessageProcessor(limits)
    arrivals: list[int] = []
    failure = None
    for count in range(1, len(data) + 1):
        try:
            message = processor.receive_bytes(data[count - 1 : count])
        except ProtocolError as error:
            failure = Failure(error.code, _place_of(error), count)
            break
        if message is not None:
            arrivals.append(count)
    assert arrivals == _ends(data, len(expected.messages))
    ends_too_early = expected.failure is not None and expected.failure.code == "incomplete"
    assert failure == (None if ends_too_early else expected.failure)


def _ends(data: bytes, count: int) -> list[int]:
    """Return where each of the first ``count`` messages of a stream, which are good, ends."""
    ends: list[int] = []
    position = 0
    for _ in range(count):
        (header_size,) = struct.unpack_from(">H", data, position)
        position += 2 + header_size
        header = json.loads(data[position - header_size : position])
        position += header["content-length"]
        ends.append(position)
    return ends


def _failed(processor: MessageProcessor, messages: list[Message], error: ProtocolError) -> Outcome:
    """Return the outcome of a stream that broke, once the processor is seen to stay failed."""
    assert processor.state is State.FAILED
    assert processor.bytes_needed == 0
    assert processor.error is not None
    for again in (
        functools.partial(processor.receive_bytes, GOOD),
        functools.partial(processor.receive_messages, GOOD),
        processor.next_message,
        processor.receive_eof,
    ):
        raised = _error_of(again)
        assert type(raised) is type(processor.error) is type(error)
        assert str(raised) == str(processor.error) == str(error)
    code = "incomplete" if isinstance(error, IncompleteMessageError) else error.code
    return Outcome([parsed(message) for message in messages], Failure(code, _place_of(error), 0))


def _place_of(error: ProtocolError) -> int:
    """Return where the broken message begins, which a receiver always says."""
    assert error.offset is not None
    return error.offset


def _error_of(call: Callable[[], object]) -> ProtocolError | None:
    """Return the error that a call raises, if it raises one."""
    try:
        call()
    except ProtocolError as error:
        return error
    return None


def _closed(processor: MessageProcessor, messages: list[Message]) -> Outcome:
    """Return the outcome of a stream that ended between two messages."""
    assert processor.state is State.CLOSED
    assert processor.bytes_needed == 0
    assert processor.error is None
    return Outcome([parsed(message) for message in messages], None)


def what_and_where(outcome: Outcome) -> tuple[str, int] | None:
    """Return the failure without the moment at which it was known, which depends on the cut."""
    return outcome.failure and (outcome.failure.code, outcome.failure.offset)


def _own_byteorder(message: Parsed) -> dict[str, object]:
    """Return the byte order that the receiver sees: the sender's, else the machine's own."""
    return {"byteorder": message.fields["byteorder"] or sys.byteorder}
