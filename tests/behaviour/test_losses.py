"""What may be lost with a connection: the error claims no less."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from telex import Application, ConnectionClosedError, Message, Peer, RequestTimeoutError
from tests.answering import Answerer, echo
from tests.behaviour.stage import (
    PATIENCE,
    Answering,
    Client,
    Connect,
    Pair,
    Serve,
    name_of,
    receive_some,
    reset,
)

MANY = 1_000


def error_of(client: Client) -> ConnectionClosedError:
    """Receive until the connection has ended; return the error that says so."""
    try:
        while True:
            client.receive(PATIENCE)
    except ConnectionClosedError as error:
        return error


def test_messages_that_were_sent_and_never_read_are_counted_after_a_reset(pair: Pair) -> None:
    """The network has taken all of them, and the peer has read one."""
    with pair() as (client, peer):
        for number in range(MANY):
            client.send(number)
        peer.recv(100)
        reset(peer)
        error = error_of(client)
        assert (error.by, error.unsent, error.unconfirmed) == ("peer", 0, MANY)
        assert "1,000 messages may not have been read" in str(error)


def test_messages_are_counted_when_the_peer_ends_its_stream(pair: Pair) -> None:
    """A cut on the way may look like an end that is as it should be."""
    with pair() as (client, peer):
        client.send_many(range(MANY))
        peer.shutdown(1)
        assert error_of(client).unconfirmed == MANY


@pytest.mark.parametrize("waits_first", [False, True], ids=["at once", "after the end was seen"])
def test_leaving_tells_of_messages_that_a_peer_without_a_goodbye_may_not_have_read(
    pair: Pair, waits_first: bool
) -> None:
    """A killed process has taken the messages from the network, and may have handled none."""
    with pair() as (client, peer):
        client.send_many(range(3))
        receive_some(peer, 3)
        peer.close()
        if waits_first:
            assert list(client) == []
        with pytest.raises(ConnectionClosedError) as caught:
            client.close()
        assert (caught.value.by, caught.value.unconfirmed) == ("peer", 3)
        assert "it ended its stream; 3 messages may not have been read" in str(caught.value)


def test_leaving_says_nothing_where_a_peer_that_ended_first_had_read_all(
    answering: Answering,
) -> None:
    """A pong has confirmed the messages, so the end of the stream loses none."""
    with answering(lambda answerer, messages: None) as (client, answerer), client:
        client.send("x")
        client.ping(PATIENCE)
        answerer.socket.shutdown(socket.SHUT_WR)


def test_leaving_believes_a_peer_that_says_why_it_ends(pair: Pair) -> None:
    """Its goodbye is an end of its own choice, also where it confirms nothing."""
    with pair() as (client, peer), client:
        client.send("x")
        peer.recv(1000)
        peer.sendall(Message({"code": "closed"}, kind="close").to_bytes())
        peer.shutdown(socket.SHUT_WR)


def test_what_was_sent_before_an_answer_is_known_to_be_read(answering: Answering) -> None:
    """An answer confirms what came before its request, a pong what came before its ping."""

    def take(answerer: Answerer, messages: list[Message]) -> None:
        requests = [message for message in messages if message.kind == "request"]
        echo(answerer, requests)
        if any(message.kind is None and message.content == "the last" for message in messages):
            reset(answerer.socket)

    with answering(take) as (client, _answerer):
        client.send_many(range(3))
        client.request("x", timeout=PATIENCE)
        client.send_many(range(5))
        client.ping(PATIENCE)
        client.send("the last")
        error = error_of(client)
        assert error.unconfirmed == 1
        assert "1 message may not have been read" in str(error)


def test_unanswered_requests_are_not_counted_twice(pair: Pair) -> None:
    """Whoever asks is told of a missing answer, so the number is of plain messages alone."""
    with pair() as (client, peer):

        def read_and_reset() -> None:
            receive_some(peer, 2)
            reset(peer)

        thread = threading.Thread(target=read_and_reset)
        client.send("in passing")
        thread.start()
        with pytest.raises(ConnectionClosedError) as caught:
            client.request("x")
        thread.join(PATIENCE)
        assert (caught.value.unanswered, caught.value.unconfirmed) == (1, 1)


def test_nothing_may_be_lost_after_a_good_end(serve: Serve, connect: Connect) -> None:
    """The peer ends when it has read everything, so the error of a later use counts nothing."""
    app = Application()
    app.on()(lambda message: None)
    client = connect(serve(app))
    client.send_many(range(MANY))
    client.close()
    with pytest.raises(ConnectionClosedError) as caught:
        client.send("too late")
    assert (caught.value.unsent, caught.value.unconfirmed) == (0, 0)


def test_observers_of_a_server_are_told_what_a_peer_may_not_have_read(serve: Serve) -> None:
    """Messages of ``peer.send`` count; answers do not, for the peer misses those itself."""
    app = Application()

    @app.on()
    def push(message: Message, peer: Peer) -> str:
        for number in range(message.content):
            peer.send(number)
        return "done"

    server = serve(app)
    sock = server.plug_in()
    sock.sendall(Message(7, kind="request", id=1).to_bytes())
    receive_some(sock, 8)
    name = name_of(sock)
    reset(sock)
    error = server.ending_of(name)
    assert isinstance(error, ConnectionClosedError)
    assert error.unconfirmed == 7


@pytest.mark.parametrize("is_plain_sent", [False, True], ids=["requests", "plain messages too"])
def test_closing_after_a_request_was_given_up_does_not_wait_for_its_handler(
    serve: Serve, connect: Connect, is_plain_sent: bool
) -> None:
    """Nobody wants what the handler does; plain messages are waited for until they are read."""
    may_end = threading.Event()
    app = Application()
    read: list[object] = []

    @app.on("wait", blocking=True, concurrent=True)
    def wait(message: Message) -> None:
        may_end.wait(PATIENCE)

    app.on("plain")(lambda message: read.append(message.content))
    client = connect(serve(app))
    with pytest.raises(RequestTimeoutError):
        client.request("x", subject="wait", timeout=0.05)
    if is_plain_sent:
        client.send("in passing", subject="plain")
    begin = time.monotonic()
    client.close()
    assert time.monotonic() - begin < 0.8
    assert read == ["in passing"] * is_plain_sent
    may_end.set()
