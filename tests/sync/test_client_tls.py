"""TLS of the blocking client: how agreeing on it fails, and that nothing is lost over it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from telex import AddressError, ConnectError, ConnectionClosedError, Limits, Message
from telex.sync import Connection, connect
from telex.tls import client_context, server_context
from tests.certificates import Authority
from tests.sync.stage import PATIENCE, ROOMY, running

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
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept one connection, and do with it what the test wants; give the address."""

    def accept() -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(PATIENCE)
                serve(sock)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield f"tls://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(PATIENCE)
        assert not thread.is_alive()


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
        connection._driver.release()


# Agreeing on TLS


def test_certificate_of_a_stranger_is_refused_in_plain_words(
    server_side: ssl.SSLContext, tmp_path: Path
) -> None:
    """Who signed it is not trusted: that is what the error says, and TLS's own is its cause."""
    stranger = Authority(tmp_path, "stranger")
    with running(address="tls://127.0.0.1:0", tls=server_side) as stage:
        with pytest.raises(ConnectError, match="certificate is not to be trusted") as caught:
            stage.connect(tls=client_context(stranger.file))
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


def test_certificate_for_another_name_is_refused(
    authority: Authority, server_side: ssl.SSLContext
) -> None:
    """The name that the certificate should have had is in the error; another may be demanded."""
    context = client_context(authority.file)
    with running(address="tls://127.0.0.1:0", tls=server_side) as stage:
        with pytest.raises(ConnectError, match=r"pump-7\.example"):
            stage.connect(tls=context, server_hostname="pump-7.example")
        with stage.connect(tls=context, server_hostname="localhost") as connection:
            assert connection.ping() > 0


def test_system_authorities_are_the_default(server_side: ssl.SSLContext) -> None:
    """Without a context the system decides whom to trust: not the authority of a test."""
    with (
        running(address="tls://127.0.0.1:0", tls=server_side) as stage,
        pytest.raises(ConnectError, match="not to be trusted"),
    ):
        stage.connect()


@pytest.mark.parametrize("options", [{"tls": None, "server_hostname": "x"}, {"tls": "context"}])
def test_tls_is_for_addresses_that_say_so(options: dict[str, Any]) -> None:
    """A context that would not be used is an error, before anything is tried."""
    if options["tls"]:
        options = {"tls": client_context()}
    with pytest.raises(AddressError, match="right would be tls://HOST:PORT"):
        connect("tcp://127.0.0.1:1", **options)


def test_server_without_tls_is_told_apart(authority: Authority) -> None:
    """Whatever answers in the clear does not speak TLS, and the error says so."""

    def answer_in_the_clear(sock: socket.socket) -> None:
        sock.recv(1_000)
        sock.sendall(Message("hello").to_bytes())

    with (
        listening(answer_in_the_clear) as address,
        pytest.raises(ConnectError, match="it does not speak TLS"),
    ):
        connect(address, tls=client_context(authority.file))


def test_server_that_hangs_up_is_told_apart(authority: Authority) -> None:
    """An end instead of a handshake is an error that says what was missing."""
    with (
        listening(lambda sock: sock.close()) as address,
        pytest.raises(ConnectError, match=r"instead of agreeing on TLS|reset by peer"),
    ):
        connect(address, tls=client_context(authority.file))


@pytest.mark.parametrize(
    "options", [{"timeout": 0.1}, {"limits": Limits(handshake_timeout=0.1), "timeout": None}]
)
def test_silent_server_is_given_up(authority: Authority, options: dict[str, Any]) -> None:
    """Who accepts and says nothing is not waited for longer than connecting or TLS may take."""

    def be_silent(sock: socket.socket) -> None:
        while sock.recv(1_000):
            pass

    start = time.monotonic()
    with listening(be_silent) as address, pytest.raises(ConnectError, match="timed out"):
        connect(address, tls=client_context(authority.file), **options)
    assert time.monotonic() - start >= 0.1


# Over TLS


def test_what_is_said_with_the_handshake_is_not_lost(
    authority: Authority, server_side: ssl.SSLContext
) -> None:
    """A server may send before the client has finished: it is received like everything else."""

    def greet(sock: socket.socket) -> None:
        with server_side.wrap_socket(sock, server_side=True) as tls:
            tls.sendall(Message("early").to_bytes() * 2)
            tls.unwrap()

    with listening(greet) as address:
        connection = connect(address, tls=client_context(authority.file))
        assert [message.content for message in connection] == ["early", "early"]
        connection.close()


def test_large_content_crosses_at_once(authority: Authority, server_side: ssl.SSLContext) -> None:
    """Both sides have more to send than the network holds, and every byte arrives."""
    body = bytes(range(256)) * 20_000
    with (
        running(address="tls://127.0.0.1:0", tls=server_side) as stage,
        stage.connect(tls=client_context(authority.file)) as connection,
    ):
        answers = connection.request_many([body] * 8, timeout=PATIENCE)
        assert all(isinstance(answer, Message) and answer.body == body for answer in answers)
        for _ in range(4):
            connection.send(body, chunk_size=1_000_000)
        assert all(connection.receive(PATIENCE).body == body for _ in range(4))


class SlowSocket:
    """A socket whose network takes a few bytes, then nothing, then a few bytes again."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def send(self, data: bytes) -> int:
        """Send some of it, every other time."""
        self._calls += 1
        if self._calls % 2:
            raise BlockingIOError
        return self._socket.send(data[:100])

    def sendmsg(self, pieces: list[bytes]) -> int:
        """Send some of the first piece, every other time."""
        return self.send(pieces[0])


def test_sending_returns_when_the_last_encrypted_byte_has_gone(
    authority: Authority, server_side: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What TLS adds to the messages is waited for as well."""
    with encrypted_pair(authority, server_side) as (connection, _):
        driver = connection._driver
        monkeypatch.setattr(driver, "socket", SlowSocket(driver.socket))
        connection.send_many([bytes(50_000)])
        assert driver.connection.unsent == 0
        connection.send(bytes(50_000))
        assert driver.connection.unsent == 0


def test_end_is_said_and_what_comes_before_it_is_heard(
    authority: Authority, server_side: ssl.SSLContext
) -> None:
    """Closing says so within TLS, and reads on until the peer has said the same."""
    with encrypted_pair(authority, server_side) as (connection, peer):
        connection.send("last words")
        heard: list[bytes] = []

        def end() -> None:
            while data := peer.recv(1_000):  # 0 bytes without an error: the end was said
                heard.append(data)
            peer.sendall(Message("too late").to_bytes())
            peer.unwrap().close()

        thread = threading.Thread(target=end)
        thread.start()
        connection.close()
        thread.join(PATIENCE)
        assert b"".join(heard) == Message("last words").to_bytes()


def cut(peer: ssl.SSLSocket) -> None:
    """End the stream below TLS, as anybody on the way could."""
    with socket.socket(fileno=socket.dup(peer.fileno())) as bare:
        bare.shutdown(socket.SHUT_WR)


def test_end_that_is_not_of_tls_is_none(authority: Authority, server_side: ssl.SSLContext) -> None:
    """What came is received; then whoever wants more is told that it was cut, and not ended."""
    with encrypted_pair(authority, server_side) as (connection, peer):
        peer.sendall(SMALL)
        cut(peer)
        messages = iter(connection)
        assert next(messages).to_bytes() == SMALL
        with pytest.raises(ConnectionClosedError, match="peer: it cut the connection without"):
            next(messages)
        with pytest.raises(ConnectionClosedError, match="without ending TLS"):
            connection.send("more")
        connection.close()


def test_close_is_not_sure_of_a_peer_that_is_cut_off(
    authority: Authority, server_side: ssl.SSLContext
) -> None:
    """Whether it has read everything, and had nothing to say against it, nobody knows."""
    with encrypted_pair(authority, server_side) as (connection, peer):
        connection.send("read by nobody")
        cut(peer)
        with pytest.raises(ConnectionClosedError, match="without ending TLS"):
            connection.close()
