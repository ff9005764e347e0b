"""What a connection counts is near what it takes, whatever headers its peer thinks of."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable

import pytest

from telex import Limits, Message
from telex.connection.connection import Connection
from telex.conversation.greeting import Greeting
from telex.wire import header_reader

KIBIBYTE = 1024


def nested(number: int, size: int, depth: int) -> dict[str, object]:
    """Return headers of about ``size`` bytes: lists in lists, as deep as that, and a number."""
    unit = json.loads("[" * depth + "]" * depth)
    return {"number": number, "lists": [unit] * (size // (2 * depth + 1))}


def flat(number: int, size: int) -> dict[str, object]:
    """Return headers of about ``size`` bytes: short names and texts, which are large as objects."""
    return {"number": number} | {chr(0x100 + n): chr(0x2000 + n) for n in range(size // 10)}


SHAPES: dict[str, Callable[[int], Message]] = {
    "nothing": lambda number: Message(b""),
    "short": lambda number: Message(b"x" * 10),
    "long": lambda number: Message(b"x" * 10_000),
    "a subject of its own": lambda number: Message(b"", subject=f"subject {number}"),
    "a wide subject": lambda number: Message(b"", subject=f"{number}\U0001f600" + "x" * 900),
    "a short header": lambda number: Message(b"", headers={"trace": f"{number:032}"}),
    "a long header": lambda number: Message(b"", headers={"long": f"{number:0800}"}),
    "nested headers": lambda number: Message(b"", headers=nested(number, 800, 50)),
    "large nested headers": lambda number: Message(b"", headers=nested(number, 4_000, 50)),
    "many empty lists": lambda number: Message(b"", headers=nested(number, 4_000, 1)),
    "flat headers": lambda number: Message(b"", headers=flat(number, 800)),
    "large flat headers": lambda number: Message(b"", headers=flat(number, 4_000)),
}

every_shape = pytest.mark.parametrize("shape", SHAPES)


def new_connection() -> Connection:
    """Make a server's end of a connection."""
    return Connection(Limits(), Greeting("server"), serves=True, now=0.0)


class Measured:
    """Memory that was allocated within a context and is not free at its end: ``taken``."""

    def __enter__(self) -> Measured:
        gc.collect()
        tracemalloc.start()
        return self

    def __exit__(self, *_: object) -> None:
        gc.collect()
        self.taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()


@every_shape
def test_messages_that_wait_take_no_more_than_is_counted(shape: str) -> None:
    """Each with headers of its own, which no other message shares, not even one of another test."""
    pieces = [SHAPES[shape](number).to_bytes() for number in range(1_000, 1_100)]
    connection = new_connection()
    with Measured() as memory:
        for piece in pieces:
            connection.unread.add(connection.receive_data(piece, 0.0))
    assert connection.unread.count == 100
    assert memory.taken <= connection.memory_held
    assert connection.memory_held <= 7 * memory.taken


@every_shape
def test_messages_that_came_together_are_not_counted_far_too_high(shape: str) -> None:
    """Those that share their headers count the headers once."""
    data = b"".join(SHAPES[shape](7).to_bytes() for _ in range(100))
    connection = new_connection()
    with Measured() as memory:
        connection.unread.add(connection.receive_data(data, 0.0))
    assert connection.unread.count == 100
    assert memory.taken <= connection.memory_held + 64 * KIBIBYTE  # a cache knows the headers now
    assert connection.memory_held <= 3 * memory.taken


@every_shape
def test_a_message_that_is_coming_in_takes_no_more_than_is_counted(shape: str) -> None:
    """Its headers are there before its content has come."""
    pieces = []
    for number in range(100):
        message = SHAPES[shape](number)
        message.content = bytes(1_000)
        pieces.append(message.to_bytes()[:-1])
    connections = [new_connection() for _ in pieces]
    with Measured() as memory:
        for connection, piece in zip(connections, pieces, strict=True):
            connection.receive_data(piece, 0.0)
    held = sum(connection.memory_held for connection in connections)
    assert memory.taken <= held + 100 * KIBIBYTE
    assert held <= 8 * memory.taken


@every_shape
def test_an_idle_connection_keeps_little_of_what_it_has_read(shape: str) -> None:
    """Less than 4 KiB with the headers of its last message, whatever they were."""
    pieces = [SHAPES[shape](number).to_bytes() for number in range(100)]
    connections = [new_connection() for _ in pieces]
    with Measured() as memory:
        for connection, piece in zip(connections, pieces, strict=True):
            connection.receive_data(piece, 0.0)
        header_reader.known_fronts.clear()
        header_reader.known_long_fronts.clear()
    assert sum(connection.memory_held for connection in connections) == 0
    assert memory.taken / len(connections) < 4 * KIBIBYTE


def test_headers_that_are_remembered_for_all_streams_are_bounded() -> None:
    """However many there were, and whatever objects would become of them."""
    connection = new_connection()
    pieces = [
        Message(b"", headers=nested(number, size, 50)).to_bytes()
        for size in (700, 4_000)
        for number in range(100)
    ]
    with Measured() as memory:
        for piece in pieces:
            connection.receive_data(piece, 0.0)
    known = [*header_reader.known_fronts.values(), *header_reader.known_long_fronts.values()]
    assert len(known) >= 100
    assert memory.taken <= 1.25 * sum(fields.memory_size for fields in known) + 100 * KIBIBYTE
    assert max(fields.memory_size for fields in known) < 16 * KIBIBYTE
