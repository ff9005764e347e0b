"""The socket as Telex uses it: what receiving can come to, and what ends are called."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from telex import ConnectionClosedError
from telex.network.sockets import prepare
from telex.sync.transport import end_sending, receive, receive_into
from tests.sync.stage import reset

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Return both ends of a TCP connection, the first one prepared."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
    with here, there:
        prepare(here)
        yield here, there


def test_prepared_socket_neither_waits_nor_gathers(pair: Pair) -> None:
    """It is non-blocking, and Nagle's algorithm is off."""
    assert not pair[0].getblocking()
    assert pair[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_receiving_says_what_there_is(pair: Pair) -> None:
    """Nothing yet is None, what has come is bytes, and the end of the stream has none."""
    here, there = pair
    assert receive(here) is None
    there.sendall(b"bytes")
    here.setblocking(True)
    assert receive(here) == b"bytes"
    there.close()
    assert receive(here) == b""


def test_receiving_into_a_buffer_says_how_much_there_is(pair: Pair) -> None:
    """Nothing yet is None, bytes are counted, and the end of the stream is 0."""
    here, there = pair
    buffer = memoryview(bytearray(10))
    assert receive_into(here, buffer) is None
    there.sendall(b"bytes")
    here.setblocking(True)
    assert receive_into(here, buffer) == 5
    assert bytes(buffer[:5]) == b"bytes"
    there.close()
    assert receive_into(here, buffer) == 0


def test_receiving_from_a_broken_connection_says_why(pair: Pair) -> None:
    """The system's error becomes ours, and is kept as its cause."""
    here, there = pair
    reset(there)
    here.setblocking(True)
    with pytest.raises(ConnectionClosedError, match="peer: it reset the connection") as caught:
        receive(here)
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_sending_can_be_ended_at_any_time(pair: Pair) -> None:
    """The peer sees the end; a connection that is over already is no matter."""
    here, there = pair
    end_sending(here)
    assert there.recv(1) == b""
    there.close()
    here.close()
    end_sending(here)
