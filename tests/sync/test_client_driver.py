"""The driver of the blocking client: bytes between a socket and a connection, and how that ends."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from telex import ConnectionClosedError, Limits, Message
from telex.connection.connection import Connection
from telex.conversation.error_content import problem_message
from telex.conversation.greeting import Greeting
from telex.network.sockets import prepare
from telex.security.tls_layer import TlsLayer
from telex.sync.client_driver import ClientDriver
from telex.tls import client_context, server_context
from tests.certificates import Authority
from tests.sync.stage import (
    PATIENCE,
    ROOMY,
    has_been_reset,
    receive_exactly,
    reset,
    wait_until,
)

SMALL = Message("small").to_bytes()

FAREWELL = Message({"code": "closed", "detail": "done"}, kind="close").to_bytes()


class Stage:
    """A driver with its connection at one end, and a plain socket at the other."""

    def __init__(self, here: socket.socket, peer: socket.socket, layer: TlsLayer | None) -> None:
        self.here = here
        self.peer = peer
        self.connection = Connection(
            ROOMY, Greeting("driven"), serves=False, now=time.monotonic(), layer=layer
        )
        self.driver = ClientDriver(here, self.connection)

    def wait_for(self, count: int) -> list[Message]:
        """Wait until so many messages have come, and return them."""
        messages = self.connection.unread.inbox.messages
        assert self.driver.wait(lambda: len(messages) >= count, time.monotonic() + PATIENCE)
        return list(messages)

    def wait_for_the_end(self) -> None:
        """Wait until nothing more can come or go."""
        self.driver.wait(lambda: False, time.monotonic() + PATIENCE)
        assert self.driver.is_gone

    def error(self) -> ConnectionClosedError:
        """Return why the connection has ended."""
        return self.connection.ending.closed_error()


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    prepare(here)
    peer.settimeout(PATIENCE)
    with here, peer:
        yield here, peer


@pytest.fixture
def stage(sockets: tuple[socket.socket, socket.socket]) -> Iterator[Stage]:
    """Return a driver without TLS."""
    stage = Stage(*sockets, layer=None)
    yield stage
    stage.driver.release()


# What comes and goes


def test_no_more_is_sent_at_once_than_asked_for(stage: Stage) -> None:
    """The rest is kept, in its place before what is said later."""
    conversation = stage.connection.conversation
    stage.driver.gather(conversation.send, Message("small"))
    assert stage.driver.send_some(10) == len(SMALL) - 10
    assert stage.peer.recv(1_000) == SMALL[:10]
    stage.driver.say(conversation.send, Message("small"))
    rest = SMALL[10:] + SMALL
    assert receive_exactly(stage.peer, len(rest)) == rest


def test_long_content_comes_in_pieces(stage: Stage) -> None:
    """It is one message when all of it is there, and what follows it is not mixed up with it."""
    body = bytes(range(256)) * 4_000
    data = Message(body).to_bytes() + SMALL
    for begin in range(0, len(data), 100_000):
        stage.peer.sendall(data[begin : begin + 100_000])
        stage.driver.wait(lambda: False, time.monotonic() + 0.01)
    assert [message.body for message in stage.wait_for(2)] == [body, b"small"]


def test_what_was_released_sends_nothing(stage: Stage) -> None:
    """Nothing goes after the release, and whoever says something is told that it was closed."""
    stage.driver.gather(stage.connection.conversation.send, Message("small"))
    stage.driver.release()
    assert stage.peer.recv(1_000) == b""
    with pytest.raises(ConnectionClosedError, match=r"close\(\) was called"):
        stage.driver.say(stage.connection.conversation.send, Message("small"))


# How it ends


def test_output_ends_when_the_peer_has_ended(stage: Stage) -> None:
    """The end of the peer's stream is answered by the end of this one, and all is over."""
    stage.peer.shutdown(socket.SHUT_WR)
    stage.wait_for_the_end()
    assert stage.peer.recv(1) == b""
    assert stage.connection.ending.is_good


def test_reset_in_the_middle_of_a_message(stage: Stage) -> None:
    """A peer that vanishes is an error that says what was cut."""
    stage.peer.sendall(SMALL[:10])
    stage.driver.wait(
        lambda: stage.connection.conversation.bytes_buffered, time.monotonic() + PATIENCE
    )
    reset(stage.peer)
    stage.wait_for_the_end()
    assert stage.error().reason.startswith(
        "it reset the connection, message at byte 0: the stream ended after 10 bytes"
    )
    assert isinstance(stage.error().__cause__, ConnectionResetError)


def test_broken_send_looks_for_the_reason_that_was_told(stage: Stage) -> None:
    """An error that came just before a reset is how it ends, and what came before it is kept."""
    told = problem_message("bad-message", "the header block is bad", 1_000)
    told.kind = "error"
    stage.peer.sendall(SMALL + told.to_bytes())
    reset(stage.peer)
    wait_until(lambda: has_been_reset(stage.here), "the reset arrives")
    stage.driver.say(stage.connection.conversation.send, Message("unsent"))
    assert stage.driver.is_gone
    error = stage.error()
    assert str(error).startswith("connection closed by the peer: the header block is bad")
    assert error.code == "bad-message"
    assert error.unsent == len(Message("unsent").to_bytes())
    assert [message.to_bytes() for message in stage.wait_for(1)] == [SMALL]


def test_an_error_that_comes_after_closing_is_what_nobody_has_seen(stage: Stage) -> None:
    """This side has ended the connection first, and learns all the same what the peer refused."""
    told = problem_message("too-large", "at most 10 bytes are allowed", 1_000)
    told.kind = "error"
    assert not stage.driver.finish(time.monotonic())
    stage.peer.sendall(told.to_bytes())
    stage.peer.shutdown(socket.SHUT_WR)
    stage.wait_for_the_end()
    error = stage.driver.unseen_error()
    assert str(error) == "connection closed by the peer: at most 10 bytes are allowed"
    assert isinstance(error, ConnectionClosedError)
    assert error.code == "too-large"


def test_reset_that_only_sending_notices_is_told_as_such(stage: Stage) -> None:
    """The system tells of it once, to whoever comes first, and then of a mere end."""
    reset(stage.peer)
    wait_until(lambda: has_been_reset(stage.here), "the reset arrives")
    call = stage.driver.say(stage.connection.conversation.request, Message("x"))
    assert isinstance(call.error, ConnectionClosedError)
    assert call.error.reason == "it reset the connection"
    assert stage.error().unsent > 0
    assert isinstance(stage.error().__cause__, ConnectionResetError)


def test_a_peer_is_pinged_while_somebody_waits(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    """The connection's own times are kept by whoever waits, whatever that waits for."""
    here, peer = sockets
    limits = Limits(ping_interval=0.05, ping_timeout=0.05)
    connection = Connection(
        limits, Greeting("driven", keepalive=True), serves=False, now=time.monotonic()
    )
    connection.conversation.receive_data(Message({}, kind="welcome").to_bytes())
    driver = ClientDriver(here, connection)
    driver.wait(lambda: not connection.is_open, time.monotonic() + PATIENCE)
    assert "the answer to a ping" in connection.ending.closed_error().reason
    assert b'"kind":"ping"' in peer.recv(10_000)
    driver.release()


# Over TLS


class EncryptedStage(Stage):
    """A driver over TLS, and the peer's side of TLS."""

    def __init__(self, sockets: tuple[socket.socket, socket.socket], authority: Authority) -> None:
        super().__init__(*sockets, layer=TlsLayer(client_context(authority.file), "localhost"))
        self.other = TlsLayer(server_context(*authority.issue("localhost")))
        connection = self.connection
        while not (connection.is_established and self.other.is_established):
            self.driver.send_some()
            self.peer.setblocking(False)
            if heard := self._heard():
                self.other.receive(heard)
            self.peer.sendall(self.other.data_to_send())
            self.driver.wait(lambda: connection.is_established, time.monotonic())
        self.peer.settimeout(PATIENCE)

    def say(self, *pieces: bytes) -> None:
        """Send something encrypted from the peer."""
        self.peer.sendall(b"".join(self.other.encode(pieces)))

    def _heard(self) -> bytes:
        try:
            return self.peer.recv(10_000)
        except BlockingIOError:
            return b""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs the certificates."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def encrypted(
    sockets: tuple[socket.socket, socket.socket], authority: Authority
) -> Iterator[EncryptedStage]:
    """Return a driver over TLS that has been agreed on."""
    stage = EncryptedStage(sockets, authority)
    yield stage
    stage.driver.release()


def test_cut_in_the_middle_of_a_message_says_where(encrypted: EncryptedStage) -> None:
    """What was missing of it is part of the reason."""
    encrypted.say(SMALL[:-1])
    encrypted.peer.shutdown(socket.SHUT_WR)
    encrypted.wait_for_the_end()
    assert "without ending TLS, message at byte 0: " in encrypted.error().reason


def test_peer_that_has_said_close_need_not_end_tls(encrypted: EncryptedStage) -> None:
    """Nobody on the way can say that, so what follows it is of no matter."""
    encrypted.say(SMALL + FAREWELL)
    encrypted.peer.shutdown(socket.SHUT_WR)
    encrypted.wait_for_the_end()
    assert [message.to_bytes() for message in encrypted.wait_for(1)] == [SMALL]
    assert encrypted.connection.ending.is_good


def test_broken_tls_ends_the_connection(encrypted: EncryptedStage) -> None:
    """Bytes that nobody can have sent who knows the key end it, with TLS's error as the cause."""
    encrypted.peer.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    encrypted.driver.wait(lambda: not encrypted.connection.is_open, time.monotonic() + PATIENCE)
    assert "TLS" in encrypted.error().reason
    assert isinstance(encrypted.error().__cause__, ssl.SSLError)
