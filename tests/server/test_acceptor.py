"""What both servers do with an accepted socket, and with an error of accepting."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Iterator

import pytest

from telex import Application, Limits
from telex.conversation.greeting import Greeting
from telex.network.listener import Listener
from telex.server import acceptor
from telex.server.acceptor import Acceptor
from telex.server.registry import Registry


class Recorder(Acceptor):
    """Keeps what is let in, or raises ``error`` instead, and counts rests."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(
            listener, Registry(Application(), Limits(), Greeting("test"), None, None, None)
        )
        self.error: OSError | None = None
        self.let_in_sockets: list[socket.socket] = []
        self.rests = 0

    def let_in(self, sock: socket.socket, name: str) -> None:
        """Keep the socket, or fail."""
        if self.error is not None:
            raise self.error
        self.let_in_sockets.append(sock)

    def rest(self) -> None:
        """Count."""
        self.rests += 1


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Yield an acceptor on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        recorder = Recorder(Listener(listening))
        yield recorder
        for sock in recorder.let_in_sockets:
            sock.close()


def connected(recorder: Recorder) -> socket.socket:
    """Connect to the acceptor's port."""
    return socket.create_connection(recorder.socket.getsockname(), 10)


def test_a_bounded_number_is_accepted_at_once(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait for the next turn."""
    monkeypatch.setattr(acceptor, "MAX_IN_A_TURN", 2)
    with connected(recorder), connected(recorder), connected(recorder):
        recorder.accept()
        assert len(recorder.let_in_sockets) == 2
        recorder.accept()
        assert len(recorder.let_in_sockets) == 3


def test_it_rests_when_the_system_has_no_more(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """That is logged once until a connection is accepted again, and the socket is closed."""
    recorder.error = OSError(errno.ENOSPC, "x")
    for _ in range(2):
        with connected(recorder) as sock:
            recorder.accept()
            assert sock.recv(1) == b""
    assert recorder.rests == 2
    assert caplog.text.count("new connections have to wait: no space left on device") == 1
    recorder.error = None
    with connected(recorder):
        recorder.accept()
    recorder.error = OSError(errno.ENOSPC, "x")
    with connected(recorder):
        recorder.accept()
    assert caplog.text.count("new connections have to wait") == 2


def test_a_connection_that_cannot_be_set_up_harms_no_other(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is closed, and the server does not rest."""
    caplog.set_level(logging.DEBUG, "telex.server")
    recorder.error = OSError(errno.EINVAL, "x")
    with connected(recorder) as sock:
        recorder.accept()
        assert sock.recv(1) == b""
    assert "ended before it was accepted: invalid argument" in caplog.text
    assert recorder.rests == 0


def test_connections_that_are_being_opened_count(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """Where there is no room even for a refusal, the socket is closed at once."""
    recorder.opening = range(10_000_000)
    with connected(recorder) as sock:
        recorder.accept()
        assert sock.recv(1) == b""
    assert recorder.let_in_sockets == []
    assert "with too many connections even to be told so" in caplog.text
