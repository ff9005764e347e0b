"""Header blocks as they are written: their order, their numbers, and their size."""

from __future__ import annotations

import json
import sys
from itertools import cycle, product
from typing import Any

import pytest

from telex import Message, MessageProcessor, TooLargeError
from telex.wire.header import fields_for
from telex.wire.header_writer import add_header
from tests import reference
from tests.framing import frame, header_block_of, parsed, receive

NATIVE = f'"byteorder":"{sys.byteorder}"'
PLAIN = f'{{{NATIVE},"content-type":"text/plain","content-encoding":"utf-8"'
TEXT_FIELDS = fields_for(sys.byteorder, "text/plain", "utf-8", None, None, False)
TEXT_BLOCK = PLAIN + ',"content-length":5}'
JSON_BLOCK = PLAIN.replace("text/plain", "application/json") + ',"content-length":7}'
REQUEST_BLOCK = (
    '{"byteorder":"little","content-type":"text/plain","content-encoding":"utf-8",'
    '"subject":"greet","content-length":5,"id":7}'
)
WHOLE_BLOCK = (
    '{"byteorder":"big","content-type":"image/png","content-encoding":"x","kind":"reply",'
    '"subject":"s","more":true,"z":[1,{"y":null}],"a":"ü","content-length":0,"id":2,"re":3,"timeout":4}'
)
WHOLE_FIELDS: dict[str, Any] = {
    "more": True,
    "timeout_ms": 4,
    "re": 3,
    "id": 2,
    "headers": {"z": [1, {"y": None}], "a": "ü"},
    "subject": "s",
    "kind": "reply",
    "encoding": "x",
    "content_type": "image/png",
    "byteorder": "big",
}


LENGTHS = (0, 1, 9, 10, 99, 100, 999, 1_000, 1_001, 1_010, 9_999, 10_000, 99_999, 100_000)
LARGE_LENGTHS = (999_999, 1_000_000, 1_000_001, 2**31, 2**32, 10**15 - 1, 10**15, 2**53 - 1)
EDGES = (*LENGTHS, *LARGE_LENGTHS)
"""Numbers at which their way to the wire changes, or might."""


def written(length: int, id: int, re: int, timeout: int = 0) -> bytes:
    """Return proto-header and header block of plain text with these numbers."""
    pieces: list[bytes] = []
    size = add_header(pieces, TEXT_FIELDS, length, id, re, timeout, 65_535)
    header = b"".join(pieces)
    assert size == len(header)
    return header


def check_is_written_as_json(length: int, id: int, re: int, timeout: int = 0) -> None:
    """Assert that a header with these numbers, 0 for none, is what ``json`` would write."""
    numbers = {"id": id, "re": re, "timeout": timeout}
    members = json.loads(PLAIN + "}") | {"content-length": length}
    members |= {name: number for name, number in numbers.items() if number}
    block = json.dumps(members, separators=(",", ":")).encode("ascii")
    assert written(length, id, re, timeout) == frame(block)
    said, read_length = reference.parse_header_block(block)
    assert (read_length, *[said.get(name, 0) for name in numbers]) == (length, id, re, timeout)


@pytest.mark.parametrize(
    ("message", "header_block"),
    [
        (Message("hello"), TEXT_BLOCK),
        (Message({"n": 1}), JSON_BLOCK),
        (Message("hello", subject="greet", id=7, byteorder="little"), REQUEST_BLOCK),
        (Message(b"", **WHOLE_FIELDS), WHOLE_BLOCK),
    ],
)
def test_a_header_block_is_written_in_the_order_of_the_format(
    message: Message, header_block: str
) -> None:
    """Compact, in UTF-8, what repeats first, the application's own next, the numbers last."""
    assert header_block_of(message) == header_block


def test_application_headers_keep_their_order() -> None:
    """What the application wrote first is written first, and received first."""
    headers = {name: index for index, name in enumerate("zyxabc")}
    message = receive(Message("", headers=headers).to_bytes())
    assert list(message.headers.items()) == list(headers.items())
    assert list(json.loads(header_block_of(message)))[3:-1] == list("zyxabc")


def test_numbers_of_all_sizes_are_written_together() -> None:
    """Whatever stands beside it, a number is its digits, and the same the second time."""
    for length, id, re in product(EDGES, repeat=3):
        check_is_written_as_json(length, id, re)
        assert written(length, id, re) == written(length, id, re)


def test_a_timeout_of_any_size_is_written_behind_the_other_numbers() -> None:
    """Whichever of them there are, and whatever is remembered of messages without a timeout."""
    for length, id, re, timeout in product(EDGES[::3], EDGES[::3], EDGES[::3], EDGES[1:]):
        check_is_written_as_json(length, id, re, timeout)


def test_every_number_of_up_to_four_digits_is_written() -> None:
    """Where numbers come from a table, each of them is in its place."""
    for number in range(10_000):
        end = f'"content-length":{number}'
        assert written(number, 0, 0).endswith(f"{end}}}".encode())
        assert written(number, 7, 0).endswith(f'{end},"id":7}}'.encode())
        assert written(number, 0, 7).endswith(f'{end},"re":7}}'.encode())
        assert written(number, 8, 9).endswith(f'{end},"id":8,"re":9}}'.encode())
        assert written(number, 8, 0, 9).endswith(f'{end},"id":8,"timeout":9}}'.encode())


@pytest.mark.parametrize("message", [Message("x"), Message("x", headers={"h": [1]})])
def test_sizes_that_alternate_are_announced_right(message: Message) -> None:
    """The size that stands before a header block is its own, and not the one before."""
    ids = [1, 1, 10, 1, 1_000, 10, 10, 2**53 - 1, 1]
    stream = b""
    for id, subject in zip(ids * 2, cycle(["s", "t" * 300, "s"])):
        message.id, message.subject = id, subject
        stream += message.to_bytes()
        block = header_block_of(message).encode()
        assert message.to_bytes() == frame(block, b"x")
    arrived = MessageProcessor().receive_messages(stream)
    assert [message.id for message in arrived] == ids * 2


def test_a_header_over_the_limit_leaves_nothing_behind() -> None:
    """What was to be sent before it is still that, and nothing of it was added."""
    before = [b"before", b"", b"it"]
    for length, id, re, timeout in product(EDGES[::3], repeat=4):
        pieces = list(before)
        header = written(length, id, re, timeout)
        size = len(header) - 2
        for most in (2, size - 1):
            with pytest.raises(TooLargeError) as caught:
                add_header(pieces, TEXT_FIELDS, length, id, re, timeout, most)
            assert (caught.value.size, caught.value.max_size) == (size, most)
            assert pieces == before
        assert add_header(pieces, TEXT_FIELDS, length, id, re, timeout, size) == size + 2
        assert b"".join(pieces) == b"".join(before) + header


def test_the_largest_header_block_that_can_be_announced_is_sent() -> None:
    """65,535 bytes leave the sender, one more is refused there, by name and with both sizes."""
    room = 65_535 - len(header_block_of(Message("", headers={"x": ""})))
    largest = Message("", headers={"x": "x" * room})
    assert len(header_block_of(largest)) == 65_535

    with pytest.raises(TooLargeError) as caught:
        Message("", headers={"x": "x" * (room + 1)}).to_bytes()
    error = caught.value
    assert (error.part, error.size, error.max_size) == ("header block", 65_536, 65_535)


def test_a_received_message_can_be_sent_on() -> None:
    """What came in goes out saying the same, whatever its header block looked like."""
    block = (
        '{ "timeout": 3, "re": 2, "x": "\\u00fc", "content-length": 2, "id": 1, "subject": "s" }'
    )
    received = receive(frame(block, b"ok"))
    assert header_block_of(received) == (
        f'{{{NATIVE},"content-type":"application/octet-stream","content-encoding":"binary",'
        '"subject":"s","x":"ü","content-length":2,"id":1,"re":2,"timeout":3}'
    )
    assert parsed(receive(received.to_bytes())) == parsed(received)
