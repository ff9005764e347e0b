"""TLS of the blocking client: how agreeing on it fails, and that nothing is lost over it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from telex import Message
from telex.sync import Connection, connect
from telex.tls import client_context, server_context
from tests.certificates import Authority
from tests.sync.stage import PATIENCE, ROOMY, driver_of

SMALL = Message("small").to_bytes()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs the certificates."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server_side(authority: Authority) -> ssl.SSLContext:
    """Return the context of a server on this machine."""
    return server_context(*authority.issue("127.0.0.1", "localhost"))


@contextlib.contextmanager
def encrypted_pair(
    authority: Authority, server_side: ssl.SSLContext
) -> Iterator[tuple[Connection, ssl.SSLSocket]]:
    """Connect a client to a plain TLS socket, which does what the test wants."""
    accepted: list[ssl.SSLSocket] = []

    def accept() -> None:
        sock, _ = listener.accept()
        accepted.append(server_side.wrap_socket(sock, server_side=True))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        address = f"tls://127.0.0.1:{listener.getsockname()[1]}"
        connection = connect(address, tls=client_context(authority.file), limits=ROOMY)
        thread.join(PATIENCE)
    [peer] = accepted
    peer.settimeout(PATIENCE)
    with peer:
        yield connection, peer
        driver_of(connection).release()


# Agreeing on TLS


# Over TLS


class SlowSocket:
    """A socket whose network takes a few bytes, then nothing, then a few bytes again."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def send(self, data: bytes, flags: int = 0) -> int:
        """Send some of it, every other time."""
        self._calls += 1
        if self._calls % 2:
            raise BlockingIOError
        return self._socket.send(data[:100], flags)

    def sendmsg(self, pieces: list[bytes], rest: object = (), flags: int = 0) -> int:
        """Send some of the first piece, every other time."""
        return self.send(pieces[0], flags)


def test_sending_returns_when_the_last_encrypted_byte_has_gone(
    authority: Authority, server_side: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What TLS adds to the messages is waited for as well."""
    with encrypted_pair(authority, server_side) as (connection, _):
        driver = driver_of(connection)
        monkeypatch.setattr(driver, "socket", SlowSocket(driver.socket))
        connection.send_many([bytes(50_000)])
        assert driver.connection.unsent == 0
        connection.send(bytes(50_000))
        assert driver.connection.unsent == 0
