"""The bytes of a client's connection: what comes of them, and what its user is told of an end."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from telex import ConnectionClosedError, Message
from telex.conversation.conversation import Conversation, Greeting, Phase
from telex.conversation.error_content import problem_message
from telex.network.sockets import prepare
from telex.security.encryption import Encryption
from telex.sync.channel import Channel
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


class Hearer:
    """The user of a channel, which remembers what it was told."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.has_ended = False
        self.unsent = 0
        self.cause: BaseException | None = None

    def received(self, messages: list[Message]) -> None:
        """Keep the messages."""
        self.messages += messages

    def ended(self, unsent: int, cause: BaseException | None) -> None:
        """Remember the end, and the first cause of it."""
        self.has_ended = True
        self.unsent = unsent
        self.cause = self.cause or cause


class Stage:
    """A channel, the conversation and the user at its one end, and a plain socket at the other."""

    def __init__(self, here: socket.socket, there: socket.socket) -> None:
        self.here = here
        self.peer = there
        self.user = Hearer()
        self.conversation = Conversation(
            ROOMY, Greeting("hearer"), serves=False, now=time.monotonic()
        )
        self.channel = Channel(here, self.conversation, self.user)

    def encrypt(self, encryption: Encryption, early: bytes = b"") -> None:
        """Have a channel that speaks TLS."""
        self.channel = Channel(self.here, self.conversation, self.user, encryption, early)

    def receive(self) -> bool:
        """Receive once, as soon as there is something to receive."""
        assert select.select([self.here], [], [], PATIENCE)[0], "nothing came"
        return self.channel.receive()

    def error(self) -> ConnectionClosedError:
        """Return what ended the conversation."""
        error = self.conversation.error
        assert isinstance(error, ConnectionClosedError)
        return error


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Return a channel on a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
    prepare(here)
    there.settimeout(PATIENCE)
    with here, there:
        yield Stage(here, there)


# What comes and goes


def test_messages_are_told_as_they_come(stage: Stage) -> None:
    """Nothing, half a message and the rest of it are told apart."""
    assert not stage.channel.receive()
    stage.peer.sendall(SMALL + SMALL[:5])
    assert stage.receive()
    assert [message.to_bytes() for message in stage.user.messages] == [SMALL]
    stage.peer.sendall(SMALL[5:])
    assert stage.receive()
    assert [message.to_bytes() for message in stage.user.messages] == [SMALL] * 2
    assert not stage.user.has_ended


def test_long_content_comes_in_pieces(stage: Stage) -> None:
    """It is one message when all of it is there, and what follows it is not mixed up with it."""
    body = bytes(range(256)) * 4_000
    data = Message(body).to_bytes() + SMALL
    for begin in range(0, len(data), 100_000):
        stage.peer.sendall(data[begin : begin + 100_000])
        assert stage.receive()
    while len(stage.user.messages) < 2:
        stage.receive()
    assert [message.body for message in stage.user.messages] == [body, b"small"]


def test_end_of_the_output_waits_until_all_has_gone(stage: Stage) -> None:
    """The peer gets every byte, then the end, and is still heard."""
    body = bytes(8_000_000)
    data = Message(body).to_bytes()
    stage.conversation.send(Message(body))
    stage.channel.end_output()
    stage.channel.transmit()
    received = bytearray()
    while left := stage.channel.output.size:
        assert stage.channel.is_end_due
        received += receive_exactly(stage.peer, len(data) - left - len(received))
        select.select([], [stage.here], [], PATIENCE)
        stage.channel.transmit()
    received += receive_exactly(stage.peer, len(data) - len(received))
    assert received == data
    assert stage.peer.recv(1) == b""
    stage.channel.end_output()
    assert not stage.channel.is_end_due, "it is ended once"
    stage.peer.sendall(SMALL)
    assert stage.receive()
    assert stage.user.messages[0].to_bytes() == SMALL


def test_no_more_is_sent_at_once_than_asked_for(stage: Stage) -> None:
    """The rest is kept, in its place before what is said later."""
    stage.conversation.send(Message("small"))
    stage.channel.transmit(10)
    assert stage.peer.recv(1_000) == SMALL[:10]
    assert stage.channel.output.size == len(SMALL) - 10
    stage.conversation.send(Message("small"))
    stage.channel.transmit()
    rest = SMALL[10:] + SMALL
    assert receive_exactly(stage.peer, len(rest)) == rest


def test_what_was_given_up_is_not_sent(stage: Stage) -> None:
    """After abort nothing more goes."""
    stage.conversation.send(Message("small"))
    stage.channel.abort()
    stage.channel.transmit()
    stage.channel.close()
    assert stage.channel.is_gone
    assert stage.peer.recv(1_000) == b""


# How it ends


def test_end_of_the_stream_is_told(stage: Stage) -> None:
    """The peer sends no more, but can be sent to until the user has said its last word."""
    stage.peer.shutdown(socket.SHUT_WR)
    assert not stage.receive()
    assert stage.channel.is_gone
    assert stage.channel.is_end_due
    assert stage.user.has_ended
    assert stage.user.cause is None
    assert stage.conversation.phase is Phase.FINISHING


def test_reset_in_the_middle_of_a_message(stage: Stage) -> None:
    """A peer that vanishes is an error that says what was cut."""
    stage.peer.sendall(SMALL[:10])
    assert stage.receive()
    reset(stage.peer)
    assert not stage.receive()
    assert stage.error().reason.startswith(
        "it reset the connection, message at byte 0: the stream ended after 10 bytes"
    )
    assert isinstance(stage.user.cause, ConnectionResetError)


def test_broken_send_looks_for_the_reason_that_was_told(stage: Stage) -> None:
    """An error that came just before a reset is how it ends, and what came before it is told."""
    told = problem_message("bad-message", "the header block is bad", 1_000)
    told.kind = "error"
    stage.peer.sendall(SMALL + told.to_bytes())
    reset(stage.peer)
    stage.channel.output.extend([b"x", bytes(100)])
    wait_until(lambda: has_been_reset(stage.here), "the reset arrives")
    stage.channel.transmit()
    assert stage.channel.is_gone
    ending = stage.conversation.closed_error()
    assert str(ending) == "connection closed by the peer: the header block is bad"
    assert ending.code == "bad-message"
    assert stage.user.unsent == 101
    assert [message.to_bytes() for message in stage.user.messages] == [SMALL]


def test_reset_that_only_sending_notices_is_told_as_such(stage: Stage) -> None:
    """The system tells of it once, to whoever comes first, and then of a mere end."""
    reset(stage.peer)
    wait_until(lambda: has_been_reset(stage.here), "the reset arrives")
    stage.conversation.request(Message("x"))
    stage.channel.transmit()
    assert stage.error().reason == "it reset the connection"
    assert stage.user.unsent > 0
    assert isinstance(stage.user.cause, ConnectionResetError)


# Over TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs the certificates."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def other_side(stage: Stage, authority: Authority) -> Encryption:
    """Have the channel speak TLS, and return the peer's side of it."""
    now = time.monotonic()
    ours = Encryption(client_context(authority.file), now, "localhost")
    others = Encryption(server_context(*authority.issue("localhost")), now)
    ours.begin()
    while not (ours.is_established and others.is_established):
        others.receive(ours.data_to_send())
        ours.receive(others.data_to_send())
    others.receive(ours.data_to_send())
    stage.encrypt(ours, early=SMALL)
    return others


def test_bytes_that_came_with_the_handshake_come_first(
    stage: Stage, other_side: Encryption
) -> None:
    """They are told like everything that follows."""
    stage.peer.sendall(b"".join(other_side.encrypt([Message("next").to_bytes()])))
    stage.receive()
    assert [message.content for message in stage.user.messages] == ["small", "next"]


def test_end_is_said_within_tls(stage: Stage, other_side: Encryption) -> None:
    """The peer knows that nobody has cut it off what follows."""
    stage.conversation.send(Message("small"))
    stage.channel.end_output()
    stage.channel.transmit()
    heard = b""
    while data := stage.peer.recv(1_000):
        heard += other_side.receive(data)
    assert heard == SMALL
    assert other_side.has_ended
    assert other_side.end()
    stage.peer.sendall(other_side.data_to_send())
    assert not stage.receive()
    assert stage.conversation.error is None


def test_cut_in_the_middle_of_a_message_says_where(stage: Stage, other_side: Encryption) -> None:
    """What was missing of it is part of the reason."""
    stage.peer.sendall(b"".join(other_side.encrypt([SMALL[:-1]])))
    stage.peer.shutdown(socket.SHUT_WR)
    while stage.receive():
        pass
    where = f"without ending TLS, message at byte {len(SMALL)}: "
    assert where in stage.error().reason


def test_peer_that_has_said_close_need_not_end_tls(stage: Stage, other_side: Encryption) -> None:
    """Nobody on the way can say that, so what follows it is of no matter."""
    stage.peer.sendall(b"".join(other_side.encrypt([SMALL + FAREWELL])))
    stage.peer.shutdown(socket.SHUT_WR)
    while stage.receive():
        pass
    assert [message.to_bytes() for message in stage.user.messages] == [SMALL] * 2
    assert stage.conversation.error is None
    assert stage.user.cause is None


def test_broken_tls_ends_the_connection(stage: Stage, other_side: Encryption) -> None:
    """Bytes that nobody can have sent who knows the key end it, with TLS's error as the cause."""
    stage.peer.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert not stage.receive()
    assert "TLS" in stage.error().reason
    assert isinstance(stage.user.cause, ssl.SSLError)
