"""Output: what has been handed over leaves in its order, however little the socket takes."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from telex import ConnectionClosedError
from telex.sync import output as module
from telex.sync.output import Output
from tests.sync.stage import reset


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return a socket that does not wait, and its peer."""
    here, there = socket.socketpair()
    here.setblocking(False)
    with here, there:
        yield here, there


Pair = tuple[socket.socket, socket.socket]


def test_small_pieces_leave_in_one_send(pair: Pair) -> None:
    """Many small messages are one send, which arrives in one piece."""
    output = Output()
    for number in range(100):
        output.extend([b"header %d," % number, b"body %d;" % number])
    expected = b"".join(b"header %d,body %d;" % (number, number) for number in range(100))
    assert output.size == len(expected)
    output.send_to(pair[0])
    assert output.size == 0
    assert pair[1].recv(10_000) == expected


def test_everything_leaves_in_its_order(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small, large and empty bodies leave as they were added, whatever the socket takes at once."""
    monkeypatch.setattr(module, "_MOST_PIECES", 3)
    monkeypatch.setattr(module, "_MOST_BYTES", 200_000)
    choose = random.Random(7766)
    output, expected, received = Output(), bytearray(), bytearray()
    while len(expected) < 20_000_000:
        header = choose.randbytes(choose.randrange(1, 100))
        body = choose.randbytes(choose.choice([0, 1, 1_000, 65_535, 65_536, 65_537, 300_000]))
        output.extend([header, body])
        expected += header + body
        if choose.random() < 0.5:
            output.send_to(pair[0])
            received += receive_some(pair[1], choose.randrange(1, 1_000_000))
        assert output.size >= 0
    while output.size:
        output.send_to(pair[0])
        received += receive_some(pair[1], 1_000_000)
    assert received == expected


def receive_some(sock: socket.socket, most: int) -> bytes:
    """Receive what is there, ``most`` bytes at most."""
    try:
        return sock.recv(most, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""


def test_at_most_so_many_bytes_leave(pair: Pair) -> None:
    """A bound makes pieces of exactly that size, the last one of what is left."""
    output = Output()
    output.extend([b"header", b"a body of some length"])
    pieces = []
    while output.size:
        output.send_to(pair[0], 10)
        pieces.append(pair[1].recv(100))
    assert pieces == [b"headera bo", b"dy of some", b" length"]


def test_broken_connection_says_how_much_was_unsent(pair: Pair) -> None:
    """A peer that has gone is an error that counts what it will never get."""
    output = Output()
    output.extend([b"header", b"body"])
    reset(pair[1])
    with pytest.raises(ConnectionClosedError) as caught:
        output.send_to(pair[0])
    assert caught.value.by == "peer"
    assert caught.value.unsent == output.size == 10
    assert isinstance(caught.value.__cause__, OSError)


def test_discarded_output_counts_what_is_lost(pair: Pair) -> None:
    """After discard nothing leaves, what is added is dropped, and all of it is counted."""
    output = Output()
    output.extend([b"1234", bytes(100_000)])
    output.discard()
    output.extend([b"1234", b"56"])
    output.send_to(pair[0])
    assert output.size == 0
    assert output.lost == 100_010
    assert receive_some(pair[1], 1) == b""


def test_what_has_gone_of_a_piece_is_held_until_all_of_it_has(pair: Pair) -> None:
    """A piece that is being sent is in memory as a whole, and counted so."""
    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
    output = Output()
    output.extend([bytes(1_000_000), bytes(1_000_000)])
    assert output.held == output.size == 2_000_000
    while output.size:
        output.send_to(pair[0])
        receive_some(pair[1], 100_000)
        assert output.held == -(-output.size // 1_000_000) * 1_000_000
    assert output.held == 0
