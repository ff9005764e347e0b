"""The message processor: bytes in, messages out, and a clear error where they are none.

The conformance vectors hold what must come of which bytes; here is what they cannot say: how errors
read, what the processor tells of itself, and that its memory and time follow what has arrived.
"""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest

from telex import (
    IncompleteMessageError,
    Limits,
    Message,
    MessageProcessor,
    ProtocolError,
    State,
    TooLargeError,
)
from tests.framing import GOOD, GOOD_PARSED, check, check_arrives, check_refused, frame
from tests.reference import Failure, Outcome, Parsed

HEADER_BLOCK = '{"content-type":"text/plain","subject":"s","content-length":5}'
HELLO = frame(HEADER_BLOCK, b"hello")
HELLO_PARSED = Parsed(
    {"byteorder": None, "content-type": "text/plain", "content-encoding": "utf-8", "subject": "s"},
    b"hello",
)
BROKEN = frame('{"content-length":-1}')


def test_a_message_arrives_however_it_is_cut() -> None:
    """Where the network cuts makes no difference."""
    check_arrives(HELLO, HELLO_PARSED)


def test_messages_arrive_in_their_order() -> None:
    """What was sent first is handed out first."""
    check_arrives(HELLO + GOOD + HELLO, HELLO_PARSED, GOOD_PARSED, HELLO_PARSED)


def test_long_content_arrives_however_it_is_cut() -> None:
    """Content far longer than a piece of the network's is put together again."""
    body = bytes(range(256)) * 1_000
    said = Parsed(
        {
            "byteorder": None,
            "content-type": "application/octet-stream",
            "content-encoding": "binary",
        },
        body,
    )
    check_arrives(frame('{"content-length":256000}', body), said)


def test_what_was_complete_before_a_bad_byte_is_handed_out() -> None:
    """A broken message takes none of those before it along."""
    failure = Failure("bad-message", 2 * len(HELLO), len(HELLO + HELLO + BROKEN))
    check(HELLO + HELLO + BROKEN, Outcome([HELLO_PARSED, HELLO_PARSED], failure))


def test_receive_bytes_hands_out_one_message_at_a_time() -> None:
    """Further messages wait for next_message, which gives None when there are no more."""
    processor = MessageProcessor()
    first = processor.receive_bytes(HELLO + GOOD + HELLO)
    second = processor.next_message()
    third = processor.next_message()
    assert [message and message.body for message in (first, second, third)] == [
        b"hello",
        b"good",
        b"hello",
    ]
    assert processor.next_message() is None


def test_a_waiting_message_comes_before_one_just_received() -> None:
    """receive_bytes and receive_messages hand out first what has waited longest."""
    processor = MessageProcessor()
    processor.receive_bytes(HELLO + GOOD)
    waiting = processor.receive_bytes(HELLO)
    assert waiting is not None
    assert waiting.body == b"good"

    processor.receive_bytes(GOOD)
    assert [message.body for message in processor.receive_messages(HELLO)] == [b"good", b"hello"]


def test_a_waiting_message_comes_while_content_is_arriving() -> None:
    """A call that completes nothing hands out a message that is waiting."""
    processor = MessageProcessor()
    processor.receive_bytes(HELLO + GOOD + HELLO[:-3])
    waiting = processor.receive_bytes(b"l")
    assert waiting is not None
    assert waiting.body == b"good"
    assert processor.receive_bytes(b"l") is None
    assert [message.body for message in processor.receive_messages(b"o")] == [b"hello"]


def test_waiting_messages_can_be_had_before_the_error() -> None:
    """The error is raised when the last good message is out, and is known at once."""
    processor = MessageProcessor()
    first = processor.receive_bytes(HELLO + GOOD + BROKEN)
    assert first is not None
    assert isinstance(processor.error, ProtocolError)
    second = processor.next_message()
    assert second is not None
    with pytest.raises(ProtocolError):
        processor.next_message()


def test_waiting_messages_can_be_had_after_the_end() -> None:
    """The end of the stream takes no message away."""
    processor = MessageProcessor()
    processor.receive_bytes(HELLO + GOOD)
    processor.receive_eof()
    waiting = processor.next_message()
    assert waiting is not None
    assert waiting.body == b"good"
    assert processor.next_message() is None


def test_an_empty_piece_changes_nothing() -> None:
    """Nothing received is nothing done, wherever a message is cut."""
    processor = MessageProcessor()
    messages = []
    for at in range(len(HELLO)):
        assert processor.receive_messages(b"") == []
        messages += processor.receive_messages(HELLO[at : at + 1])
    assert [message.body for message in messages] == [b"hello"]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_like_object_is_taken(kind: type[bytes | bytearray | memoryview]) -> None:
    """Bytes may come as bytes, bytearray or memoryview."""
    for data in (kind(HELLO), kind(HELLO[:30])):
        message = MessageProcessor().receive_bytes(data)
        assert message is None or message.body == b"hello"
    assert [message.body for message in MessageProcessor().receive_messages(kind(HELLO))] == [
        b"hello"
    ]


def test_received_bytes_may_be_overwritten_afterwards() -> None:
    """A server has one receive buffer for all: messages and the rest of a piece are copies."""
    buffer = bytearray(HELLO + GOOD + HELLO[:-1])
    processor = MessageProcessor()
    messages = processor.receive_messages(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    messages += processor.receive_messages(HELLO[-1:])
    assert [message.body for message in messages] == [b"hello", b"good", b"hello"]


def test_state_and_bytes_needed_say_what_is_missing() -> None:
    """From the proto-header to the content, the processor says what it waits for."""
    processor = MessageProcessor()
    size = len(HEADER_BLOCK)
    said = []
    for piece in (b"", HELLO[:1], HELLO[1:2], HELLO[2:10], HELLO[10 : size + 2], b"hel", b"lo"):
        processor.receive_bytes(piece)
        said.append((processor.state, processor.bytes_needed))
    assert said == [
        (State.PROTO_HEADER, 2),
        (State.PROTO_HEADER, 1),
        (State.HEADER, size),
        (State.HEADER, size - 8),
        (State.CONTENT, 5),
        (State.CONTENT, 2),
        (State.PROTO_HEADER, 2),
    ]


def test_a_new_processor_has_no_error() -> None:
    """All is well until a bad byte has been seen."""
    processor = MessageProcessor()
    assert processor.error is None
    assert processor.next_message() is None


def test_the_end_between_messages_is_clean() -> None:
    """A stream may end where no message has begun."""
    processor = MessageProcessor()
    processor.receive_messages(HELLO)
    processor.receive_eof()
    processor.receive_eof()
    assert processor.state is State.CLOSED
    assert processor.bytes_needed == 0
    assert processor.error is None


@pytest.mark.parametrize("end", [0, len(HELLO)])
def test_bytes_after_the_end_are_refused(end: int) -> None:
    """Who says that the stream has ended cannot go on with it."""
    processor = MessageProcessor()
    processor.receive_messages(HELLO[:end])
    processor.receive_eof()
    for receive in (processor.receive_bytes, processor.receive_messages):
        with pytest.raises(ProtocolError, match="after the end of the stream") as caught:
            receive(HELLO)
        assert caught.value.offset == end


@pytest.mark.parametrize(
    ("received", "needed", "part"),
    [
        (1, 1, "proto-header"),
        (2, len(HEADER_BLOCK), "header block"),
        (3, len(HEADER_BLOCK) - 1, "header block"),
        (len(HELLO) - 6, 1, "header block"),
        (len(HELLO) - 5, 5, "content"),
        (len(HELLO) - 1, 1, "content"),
    ],
)
def test_the_end_inside_a_message_says_what_is_missing(
    received: int, needed: int, part: str
) -> None:
    """The error tells which part was cut short, and how many bytes of the message had come."""
    error = check_refused(HELLO[:received], code="incomplete")
    assert isinstance(error, IncompleteMessageError)
    assert (error.received, error.bytes_needed, error.part) == (received, needed, part)
    assert str(error) == (
        f"message at byte 0: the stream ended after {received} bytes of it, "
        f"{needed} short of its {part}"
    )


def test_an_error_says_where_its_message_begins() -> None:
    """The offset counts from the beginning of the stream, over all pieces before."""
    processor = MessageProcessor()
    for _ in range(3):
        processor.receive_messages(HELLO)
    processor.receive_messages(GOOD[:5])
    processor.receive_messages(GOOD[5:])
    with pytest.raises(ProtocolError) as caught:
        processor.receive_messages(BROKEN)
    assert caught.value.offset == 3 * len(HELLO) + len(GOOD)
    assert str(caught.value).startswith(f"message at byte {caught.value.offset}, field ")


@pytest.mark.parametrize("size", [0, 1])
def test_a_header_block_of_no_size_is_refused(size: int) -> None:
    """The error says the size that was announced and the smallest that would be right."""
    error = check_refused(size.to_bytes(2, "big"))
    assert f"a header block of {size} bytes; the smallest is {{}}" in str(error)


def test_a_header_block_over_the_limit_is_refused_unread() -> None:
    """Two bytes are enough; the error says both sizes."""
    error = check_refused(b"\x40\x01" + b"{" * 10, after=2)
    assert isinstance(error, TooLargeError)
    assert (error.part, error.size, error.max_size) == ("header block", 16_385, 16_384)
    assert error.code == "bad-message"
    assert "16,385 bytes, and at most 16,384" in str(error)


def test_content_over_the_limit_is_refused_unread() -> None:
    """The header block is enough; the error says both sizes."""
    error = check_refused(frame('{"content-length":17825792}'), code="too-large")
    assert isinstance(error, TooLargeError)
    assert (error.part, error.size, error.max_size) == ("content", 17_825_792, 16_777_216)


@pytest.mark.parametrize("front", ['"subject":"s",', ""])
def test_the_limit_of_content_is_exact(front: str) -> None:
    """Ten bytes pass a limit of ten, eleven do not, on the fast path and off it."""
    limits = Limits(max_content_size=10)
    said = dict(HELLO_PARSED.fields, **{"content-type": "application/octet-stream"})
    said["content-encoding"] = "binary"
    if not front:
        del said["subject"]
    ten = frame(f'{{{front}"content-length":10}}', b"0123456789")
    check_arrives(ten, Parsed(said, b"0123456789"), limits=limits)
    header = f'{{{front}"content-length":11}}'
    check_refused(
        frame(header, b"0123456789a"), after=2 + len(header), code="too-large", limits=limits
    )


def test_tls_is_recognised() -> None:
    """A TLS client at this port learns so from the log, after three bytes."""
    error = check_refused(bytes.fromhex("1603010200010001fc0303"), after=3)
    assert "TLS" in str(error)


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\n"])
def test_http_is_recognised(request_line: bytes) -> None:
    """An HTTP client at this port learns so from the log, whatever the limit of header blocks."""
    error = check_refused(request_line, after=2)
    assert "HTTP" in str(error)


@pytest.mark.parametrize("first", [b"\x00", b"[", b'"', b"\xef", b"\x0b", b"H"])
def test_a_header_block_that_cannot_be_an_object_is_refused_at_once(first: bytes) -> None:
    """The first byte of a header block tells most garbage."""
    error = check_refused(frame(first + b"x" * 100), after=3)
    assert f"byte 0x{first.hex()}; it must begin with {{" in str(error)


@pytest.mark.parametrize("white_space", [" ", "\t", "\n", "\r", " \n\r\t"])
def test_a_header_block_may_begin_with_white_space(white_space: str) -> None:
    """JSON allows it, so does the format."""
    check_arrives(frame(white_space + HEADER_BLOCK, b"hello"), HELLO_PARSED)


def test_the_same_error_is_raised_again() -> None:
    """After an error nothing is read any more, and nothing but the error is said."""
    processor = MessageProcessor()
    with pytest.raises(ProtocolError) as first:
        processor.receive_bytes(BROKEN)
    with pytest.raises(ProtocolError) as second:
        processor.receive_messages(HELLO)
    assert second.value is first.value is processor.error


def test_memory_follows_what_arrived_not_what_was_announced() -> None:
    """A peer that announces 16 MiB and sends ten bytes gets no more held than those."""
    data = frame('{"content-length":16777216}', b"0123456789")
    tracemalloc.start()
    try:
        processor = MessageProcessor()
        processor.receive_messages(data)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert processor.state is State.CONTENT
    assert held < 20_000
    assert peak < 200_000


@pytest.mark.parametrize("piece_size", [20, 1_460])
def test_memory_of_content_in_small_pieces_is_its_own_size(piece_size: int) -> None:
    """Content that trickles in costs its bytes and half as much again, not an object a piece."""
    size = 1_000_000
    piece = bytes(piece_size)
    processor = MessageProcessor()
    processor.receive_messages(frame(f'{{"content-length":{size}}}'))
    tracemalloc.start()
    try:
        for _ in range(size // piece_size - 1):
            processor.receive_messages(piece)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1.5 * size
    assert peak < 2.5 * size


def test_time_is_linear_in_the_size_of_a_message() -> None:
    """Byte by byte, a message sixteen times as long takes some sixteen times as long.

    Time that a busy machine spends on others is not counted.
    """

    def seconds_for(size: int) -> float:
        data = Message(bytes(size)).to_bytes()
        pieces = [data[at : at + 1] for at in range(len(data))]
        processor = MessageProcessor()
        begin = time.thread_time()
        for piece in pieces:
            message = processor.receive_bytes(piece)
        assert message is not None
        return time.thread_time() - begin

    short = min(seconds_for(20_000) for _ in range(3))
    assert min(seconds_for(320_000) for _ in range(2)) < 5 * 16 * short


def test_what_an_application_changes_stays_in_its_message() -> None:
    """Messages with the same headers share nothing that can be changed."""
    data = frame('{"x":{"list":[1]},"content-length":0}')
    processor = MessageProcessor()
    (first,) = processor.receive_messages(data)
    first.headers["x"]["list"].append(2)
    first.headers["y"] = 1
    first.subject = "changed"
    (second,) = processor.receive_messages(data)
    assert second.headers == {"x": {"list": [1]}}
    assert second.subject is None


@pytest.mark.parametrize("data", [5, [1], "text", None])
def test_what_is_no_bytes_is_refused(data: Any) -> None:
    """A number is not so many zero bytes, and a list no bytes either."""
    with pytest.raises(TypeError):
        MessageProcessor().receive_messages(data)


def test_a_failed_processor_holds_nothing_of_what_broke_it() -> None:
    """The error that is kept keeps neither the block nor the pieces it came in."""
    processor = MessageProcessor()
    with pytest.raises(ProtocolError):
        processor.receive_messages(frame('{"broken'))
    assert processor.error is not None
    assert processor.error.__context__ is None


@pytest.mark.parametrize("size", [262_143, 262_144, 262_145, 524_288, 800_000])
@pytest.mark.parametrize("piece", [1_460, 100_000, 262_144, 262_300, 1_000_000])
def test_long_content_is_put_together_whatever_its_pieces(size: int, piece: int) -> None:
    """Content that is kept in blocks comes out whole, and what is missing of it is known."""
    message = Message(bytes(range(256)) * (size // 256) + bytes(size % 256), subject="long")
    data = message.to_bytes()
    following = Message("next").to_bytes()
    for first in (1, 200, piece):
        processor = MessageProcessor()
        got = processor.receive_messages(data[:first])
        for at in range(first, len(data), piece):
            assert not got
            header = len(data) - size
            if at >= header:
                assert processor.bytes_needed == len(data) - at
            got = processor.receive_messages(data[at : at + piece])
        assert got == [message]
        assert processor.receive_messages(following) == [Message("next")]


@pytest.mark.parametrize("size", [200_000, 1_048_576, 1_048_577, 3_000_000])
@pytest.mark.parametrize("first", [0, 1, 10_000, 65_000])
def test_long_content_can_be_received_where_it_belongs(size: int, first: int) -> None:
    """What is put into the content's own buffer is as good as what is handed over."""
    message = Message(bytes(range(256)) * (size // 256) + bytes(size % 256), subject="long")
    data = memoryview(message.to_bytes())
    position = len(data) - size + first
    processor = MessageProcessor()
    assert processor.content_buffer() is None
    messages = processor.receive_messages(data[:position])
    while not messages:
        buffer = processor.content_buffer()
        if buffer is None:
            piece = data[position : position + 10_000]
            messages = processor.receive_messages(piece)
            position += len(piece)
            continue
        with buffer:
            taken = min(len(buffer), 100_000)
            buffer[:taken] = data[position : position + taken]
        position += taken
        messages = processor.content_received(taken)
        assert processor.bytes_needed == len(data) - position or messages
    assert messages == [message]
    assert position == len(data)
    assert processor.content_buffer() is None
    assert processor.bytes_received == len(data)


def test_a_single_block_of_content_is_never_copied() -> None:
    """Up to 1 MiB that is received where it belongs is the message's body as it stands there."""
    size = 900_000
    processor = MessageProcessor()
    processor.receive_messages(frame(f'{{"content-length":{size}}}', bytes(60_000)))
    missing = processor.bytes_needed
    tracemalloc.start()
    try:
        buffer = processor.content_buffer()
        assert buffer is not None
        with buffer:
            assert len(buffer) == missing
        (message,) = processor.content_received(missing)
        _held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(message.body) == size
    assert peak < 10_000


def test_messages_received_in_place_come_behind_those_that_wait() -> None:
    """However the ways to receive are mixed, the order is that of the stream."""
    long = Message(bytes(300_000), subject="long")
    processor = MessageProcessor()
    short = Message("short")
    data = short.to_bytes() * 2 + long.to_bytes()
    assert processor.receive_bytes(data[:60_000]) == short
    buffer = processor.content_buffer()
    assert buffer is not None
    with buffer:
        buffer[:] = data[60_000:]
    assert processor.content_received(len(data) - 60_000) == [short, long]


@pytest.mark.parametrize("size", [-1, 300_000])
def test_what_cannot_have_been_received_in_place_is_refused(size: int) -> None:
    """Neither more than there is room for, nor anything where no content is being received."""
    processor = MessageProcessor()
    with pytest.raises(ValueError, match="cannot have been received"):
        processor.content_received(1)
    processor.receive_messages(Message(bytes(300_000)).to_bytes()[:60_000])
    needed = processor.bytes_needed
    with pytest.raises(ValueError, match="cannot have been received"):
        processor.content_received(size)
    assert processor.bytes_needed == needed


def test_a_view_that_is_kept_does_no_harm() -> None:
    """Nothing is taken while somebody still has the buffer, and nothing of it is lost."""
    message = Message(bytes(range(250)) * 1_200, subject="long")
    data = message.to_bytes()
    processor = MessageProcessor()
    processor.receive_messages(data[:60_000])
    buffer = processor.content_buffer()
    assert buffer is not None
    with buffer:
        for receive in (processor.receive_messages, processor.receive_bytes):
            with pytest.raises(BufferError):
                receive(data[60_000:70_000])
    assert processor.receive_messages(data[60_000:]) == [message]


def test_what_is_set_aside_is_known_and_bounded() -> None:
    """It is at most sixteen times what has come, and counted by whoever counts memory."""
    processor = MessageProcessor()
    data = Message(bytes(1_000_000)).to_bytes()
    for came in (10, 1_000, 30_000, 66_000):
        processor = MessageProcessor()
        processor.receive_messages(data[:came])
        assert processor.bytes_set_aside <= 16 * came
    assert processor.bytes_set_aside > 900_000


@pytest.mark.parametrize("size", [0, 10, 100_000, 1_000_000, 3_000_000])
def test_the_length_of_content_is_known_from_the_header_on(size: int) -> None:
    """However it is kept while it comes; between messages, and inside a header, there is none."""
    processor = MessageProcessor()
    data = Message(bytes(size), subject="long").to_bytes()
    start = len(data) - size
    processor.receive_messages(data[: start - 1])
    assert (processor.fields, processor.content_length) == (None, 0)
    for begin in range(start - 1, len(data) - 1, 70_000):
        processor.receive_messages(data[begin : min(begin + 70_000, len(data) - 1)])
        assert processor.fields is not None
        assert processor.fields.subject == "long"
        assert processor.content_length == size
    processor.receive_messages(data[-1:])
    assert (processor.fields, processor.content_length) == (None, 0)
