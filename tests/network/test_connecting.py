"""Sockets that connect without waiting, and when they count as connected."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from telex.network.connecting import begin_connecting, is_connected
from telex.network.resolver import Endpoint


def test_a_socket_is_connected_when_the_other_end_is_there() -> None:
    """Over TCP the small messages are not held back then."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        begin_connecting(Endpoint(socket.AF_INET, listener.getsockname())) as sock,
    ):
        deadline = time.monotonic() + 30
        while not is_connected(sock):
            assert time.monotonic() < deadline
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_socket_that_is_connected_to_itself_is_no_connection() -> None:
    """TCP allows it; a connection to another port, or of a Unix socket, is accepted."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        with pytest.raises(ConnectionRefusedError):
            is_connected(sock)
    near, far = socket.socketpair()
    with near, far:
        assert is_connected(near)


def test_a_path_without_a_server_fails_at_once(tmp_path: Path) -> None:
    """The error is that of the system, and the socket is closed."""
    with pytest.raises(FileNotFoundError):
        begin_connecting(Endpoint(socket.AF_UNIX, str(tmp_path / "nobody")))


def test_a_socket_that_never_began_is_not_connected() -> None:
    """So is one that still connects."""
    with socket.socket() as sock:
        assert not is_connected(sock)
