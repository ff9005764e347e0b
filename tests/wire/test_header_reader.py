"""Header blocks read fast: every shape is read as it should be, whatever is remembered."""

from __future__ import annotations

import functools
import json
import tracemalloc
from typing import Any

import pytest

from telex import Message, MessageProcessor
from telex.wire.header import read_any
from telex.wire.header_reader import HeaderReader
from tests.framing import check_arrives, check_refused, frame, reading_of, readings_in_a_row
from tests.reference import Parsed


def test_more_headers_than_are_remembered_arrive() -> None:
    """Headers that differ from message to message cost time, and are right."""
    processor = MessageProcessor()
    for number in range(3_000):
        sent = Message("", subject=f"s{number}", headers={"n": number})
        assert processor.receive_bytes(sent.to_bytes()) == sent
    first = Message("", subject="s0", headers={"n": 0})
    assert processor.receive_bytes(first.to_bytes()) == first


def test_what_is_remembered_is_bounded() -> None:
    """A peer that invents headers without end fills no memory, nor does an application."""
    received = 0
    tracemalloc.start()
    try:
        for number in range(8_000):
            data = Message("", subject=f"{number:0800}").to_bytes()
            MessageProcessor().receive_messages(data)
            received += len(data)
        held, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 0.75 * received


def test_headers_too_long_to_be_remembered_arrive() -> None:
    """A long header block is read and written as a short one is."""
    processor = MessageProcessor()
    for number in (1, 1, 2):
        sent = Message("", headers={"x": "x" * 5_000}, id=number)
        assert processor.receive_bytes(sent.to_bytes()) == sent


@pytest.mark.parametrize(
    "front",
    [
        '{"x":1',
        '{"x":1 ',
        ' {"x":1',
        '{"x":{"y":1}',
        '{"x":",\\"content-length\\":7"',
        '{"content-type":"text/plain"',
        '{"x":"}"',
    ],
)
@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (',"content-length":0}', {}),
        (',"content-length":0,"id":5}', {"id": 5}),
        (',"content-length":0,"re":6}', {"re": 6}),
        (',"content-length":0,"id":9007199254740991,"re":6}', {"id": 2**53 - 1, "re": 6}),
        (',"content-length":0,"re":6,"id":5}', {"id": 5, "re": 6}),
        (',"content-length":0,"timeout":7}', {"timeout": 7}),
        (',"content-length":0,"id":5,"timeout":7}', {"id": 5, "timeout": 7}),
        (',"content-length":0,"id":5,"re":6,"timeout":7}', {"id": 5, "re": 6, "timeout": 7}),
        (',"content-length":0,"timeout":7,"re":6,"id":5}', {"id": 5, "re": 6, "timeout": 7}),
        (',"timeout":7,"content-length":0,"id":5}', {"id": 5, "timeout": 7}),
        (',"content-length":0,"timeout":7,"y":1}', {"timeout": 7, "y": 1}),
        (',"content-length":0,"x-timeout":7}', {"x-timeout": 7}),
        (',"content-length":0,"x-length":7}', {"x-length": 7}),
        (',"id":5,"content-length":0}', {"id": 5}),
        (',"content-length":0 }', {}),
        (',"content-length": 0}', {}),
        (',"content-length":0,"id":5,"y":1}', {"id": 5, "y": 1}),
        (',"content-length":0,"x-id":5}', {"x-id": 5}),
        (',"content-length":0,"id":5,"are":6}', {"id": 5, "are": 6}),
    ],
)
def test_blocks_of_every_shape_arrive(front: str, numbers: str, said: dict[str, Any]) -> None:
    """With or without the shape of the fast path, a header block says what it says."""
    block = front + numbers
    members = json.loads(block)
    del members["content-length"]
    content_type = members.get("content-type", "application/octet-stream")
    encoding = "utf-8" if content_type == "text/plain" else "binary"
    fields = {"byteorder": None, "content-type": content_type, "content-encoding": encoding}
    assert members.items() >= said.items()
    check_arrives(frame(block), Parsed(fields | members, b""))


@pytest.mark.parametrize("front", ['{"x":1', '{"subject":"s"', '{"x":{"y":1}'])
@pytest.mark.parametrize(
    "numbers",
    [
        ',"content-length":}',
        ',"content-length":00}',
        ',"content-length":-1}',
        ',"content-length":+1}',
        ',"content-length":1.}',
        ',"content-length":9007199254740992}',
        ',"content-length":00000000000000000000}',
        ',"content-length":10000000000000000000000000000000}',
        ',"content-length":99900000000000000005}',
        ',"content-length":18446744073709551616}',
        ',"content-length":0,"id":0}',
        ',"content-length":0,"id":}',
        ',"content-length":0,"id":01}',
        ',"content-length":0,"id":9007199254740992}',
        ',"content-length":0,"re":0}',
        ',"content-length":0,"re":}',
        ',"content-length":0,"re":01}',
        ',"content-length":0,"timeout":0}',
        ',"content-length":0,"timeout":}',
        ',"content-length":0,"timeout":01}',
        ',"content-length":0,"timeout":-1}',
        ',"content-length":0,"timeout":9007199254740992}',
        ',"content-length":0,"timeout":1,"timeout":1}',
        ',"content-length":0,"id":0,"timeout":1}',
        ',"content-length":0,"timeout":0,"id":1}',
        ',"timeout":1,"content-length":0,"timeout":1}',
        ',"timeout":1}',
        ',"content-length":,"id":1}',
        ',"content-length":0,"id":1,"re":0}',
        ',"content-length":0,"id":0,"re":1}',
        ',"content-length":0,"id":1,"id":1}',
        ',"content-length":0,"re":1,"re":1}',
        ',"content-length":0,"content-length":0}',
        ',"content-length":0,"id":1,"content-length":0}',
        ',"id":1,"content-length":0,"id":1}',
        ',"x":1,"content-length":0}},',
        ',"content-length":0,"re":1}}',
        ',"id":1}',
        ',"re":1}',
        "5}",
        ":5}",
        "}",
    ],
)
def test_broken_numbers_are_refused(front: str, numbers: str) -> None:
    """No number that the fast path meets is taken for what it is not, though its front is known."""
    MessageProcessor().receive_messages(frame(front + ',"content-length":0}'))
    check_refused(frame(front + numbers))


@pytest.mark.parametrize(
    "block",
    ['{"id":5}', '{"re":5}', '{"timeout":5}', "{5}", '{t":5}', "{}", '{"content-length":0 5}'],
)
def test_short_broken_blocks_are_refused(block: str) -> None:
    """A block that is shorter than the fast path expects is no reason to read beyond it."""
    check_refused(frame(block))
    check_refused(frame(" " + block))


@pytest.mark.parametrize("name", ["d", "id", '"id', "e", "re", '"re', "t", "out", '"timeout'])
def test_a_short_block_that_is_no_object_is_refused(name: str) -> None:
    """The end of a number's name is looked for no further back than the block begins."""
    check_refused(frame(f'{name}":5}}'), after=3)
    check_refused(frame(f'  {name}":5}}'))


def test_content_length_alone_arrives() -> None:
    """The shortest header block that is valid."""
    check_arrives(
        frame('{"content-length":2}', b"ok"),
        Parsed(
            {
                "byteorder": None,
                "content-type": "application/octet-stream",
                "content-encoding": "binary",
            },
            b"ok",
        ),
    )


ROW = b'{"subject":"row","content-length":25}'
TALL = b'{"subject":"row","content-length":26}'
LONG = b'{"subject":"row","content-length":255}'
WIDE = b'{"subject":"raw","content-length":25}'
ASKED = b'{"subject":"row","content-length":25,"id":7}'
ANSWERED = b'{"subject":"row","content-length":25,"re":7}'
BOTH = b'{"subject":"row","content-length":25,"id":7,"re":8}'
TIMED = b'{"subject":"row","content-length":25,"id":7,"timeout":9}'
HURRIED = b'{"subject":"row","content-length":25,"timeout":9}'
SHORT = b'{"subject":"r","content-length":2,"id":7}'
LATE = b'{"content-length":25,"subject":"row"}'
SPACED = b'{"subject":"row","content-length":25 }'
BROKEN = b'{"subject":"row","content-length":2x}'
BLOCKS = (ROW, TALL, LONG, WIDE, ASKED, ANSWERED, BOTH, TIMED, HURRIED, SHORT, LATE, SPACED, BROKEN)


def check_row(*blocks: bytes) -> None:
    """Assert that each block of a row is read as the general parser reads it alone."""
    alone = [reading_of(functools.partial(read_any, block)) for block in blocks]
    assert readings_in_a_row(blocks) == alone


@pytest.mark.parametrize("times", [1, 2, 3, 4])
@pytest.mark.parametrize("first", BLOCKS)
def test_a_row_of_equal_blocks_may_be_broken_by_any_other(first: bytes, times: int) -> None:
    """What came before says nothing of the block that comes now, unless it is the same."""
    for second in BLOCKS:
        check_row(*[first] * times, second, first, first, second, second, second, first)
        for third in BLOCKS:
            check_row(*[first] * times, second, third, *[first] * times)


@pytest.mark.parametrize("row", [ROW, LONG, ASKED, TIMED, LATE])
def test_a_block_of_the_same_size_is_not_taken_for_the_one_before(row: bytes) -> None:
    """One byte of it may be another, anywhere, and it is read for itself; so is what follows."""
    for at in range(len(row)):
        for other in b'05}" ,:x':
            nearly = row[:at] + bytes([other]) + row[at + 1 :]
            check_row(row, row, row, nearly, nearly, row)


@pytest.mark.parametrize("row", [ROW, ASKED, TIMED, LATE])
def test_a_block_is_known_by_all_of_its_bytes_and_no_others(row: bytes) -> None:
    """A block that ends earlier or later than the one before is not that one."""
    reader = HeaderReader()
    data = b"{{" + row + b"}}" + row
    first, second = (2, 2 + len(row)), (4 + len(row), len(data))
    windows = [first, second, first, second]
    for off in (-2, -1, 1, 2):
        windows += [
            (2 + off, first[1] + off),
            (2, first[1] + off),
            (2 + off, first[1]),
            first,
            first,
        ]
    for start, end in windows:
        fast = reading_of(functools.partial(reader.read, data, start, end))
        assert fast == reading_of(functools.partial(read_any, data[start:end]))


def test_streams_do_not_share_what_came_last() -> None:
    """What one stream repeats is no other's."""
    one, other = HeaderReader(), HeaderReader()
    for _ in range(3):
        assert one.read(ROW, 0, len(ROW))[1:] == (25, 0, 0, 0)
        assert other.read(TALL, 0, len(TALL))[1:] == (26, 0, 0, 0)
