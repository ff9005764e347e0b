"""Header blocks read fast: every shape is read as it should be, whatever is remembered."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from telex import Message, MessageProcessor
from tests.reference import Parsed
from tests.wire import check_arrives, check_refused, frame


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


@pytest.mark.parametrize("block", ['{"id":5}', '{"re":5}', "{5}", "{}", '{"content-length":0 5}'])
def test_short_broken_blocks_are_refused(block: str) -> None:
    """A block that is shorter than the fast path expects is no reason to read beyond it."""
    check_refused(frame(block))
    check_refused(frame(" " + block))


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
