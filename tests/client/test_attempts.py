"""Connecting: how the time is shared, and what counts as no connection."""

from __future__ import annotations

import socket

import pytest

from telex.client.attempts import attempts, check_is_not_own
from telex.network.resolver import Endpoint

ENDPOINTS = [Endpoint(socket.AF_INET, ("127.0.0.1", port)) for port in (1, 2, 3)]


def test_endpoints_share_what_is_left_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that fails early leaves its time to the others; a late one takes theirs."""
    now = 100.0
    monkeypatch.setattr("telex.client.attempts.time.monotonic", lambda: now)
    trying = attempts(ENDPOINTS, 106.0)
    assert next(trying) == ("127.0.0.1:1", ENDPOINTS[0], 102.0)
    now = 100.5
    assert next(trying) == ("127.0.0.1:2", ENDPOINTS[1], 103.25)
    now = 107.0
    assert next(trying) == ("127.0.0.1:3", ENDPOINTS[2], 107.0)
    assert next(trying, None) is None


def test_without_a_deadline_each_attempt_may_last() -> None:
    """Nothing is limited then."""
    assert [until for _, _, until in attempts(ENDPOINTS, None)] == [None, None, None]


def test_a_socket_that_is_connected_to_itself_is_no_connection() -> None:
    """TCP allows it; a connection to another port, or of a Unix socket, is accepted."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        with pytest.raises(ConnectionRefusedError):
            check_is_not_own(sock)
    near, far = socket.socketpair()
    with near, far:
        check_is_not_own(near)
