"""Plain messages: sent one way, answered or not, and sent by handlers to whom they like."""

from __future__ import annotations

import re
import threading

import pytest

from telex import (
    Application,
    ConnectionClosedError,
    Limits,
    Message,
    Refusal,
    WaitTimeoutError,
)
from telex.application.peer import Peer
from tests.behaviour.stage import PATIENCE, Background, Connect, Serve, receive_some, wait_until
from tests.behaviour.transports import over_every_transport


@pytest.fixture
def app() -> Application:
    """Return an application that answers messages, but not those with subject ``log``."""
    app = Application()

    @app.on("log")
    def log(message: Message) -> None:
        return None

    @app.on("refuse")
    def refuse(message: Message) -> None:
        raise Refusal("unwanted", "not here")

    @app.on("fail")
    def fail(message: Message) -> None:
        raise RuntimeError("a bug")

    @app.on("echo")
    def echo(message: Message) -> object:
        return message.content

    return app


@over_every_transport
def test_messages_arrive_in_order(serve: Serve, connect: Connect, app: Application) -> None:
    """What is sent one by one and what is sent together comes in the order of the calls."""
    server = serve(app)
    connection = connect(server)
    connection.send("first", subject="log")
    connection.send_many(Message(number, subject="log") for number in range(1000))
    connection.send("last", subject="log")
    connection.close()
    assert server.ending() is None
    contents = [message.content for message in server.events.messages]
    assert contents == ["first", *range(1000), "last"]


def test_servers_and_peers_say_who_they_are(serve: Serve, connect: Connect) -> None:
    """Whoever prints one sees where it is and how it stands."""
    app = Application()
    app.on()(lambda message, peer: repr(peer))
    server = serve(app)
    answer = connect(server).request("x", timeout=PATIENCE)
    assert re.fullmatch(r"<Peer 127\.0\.0\.1:\d+, open>", answer.content)


def test_errors_of_a_peer_are_no_messages_for_handlers(
    serve: Serve, app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    """What goes wrong at the other side stands in the log, and nobody takes it for an order."""
    with serve(app).plug_in() as sock:
        told = Message({"code": "odd", "detail": "no such order"}, kind="error", subject="echo")
        sock.sendall(told.to_bytes() + Message("x", subject="echo").to_bytes())
        assert [message.content for message in receive_some(sock, 1)] == ["x"]
    assert "the peer tells of an error: odd: no such order" in caplog.text


def test_handlers_stop_when_the_connection_ends(serve: Serve) -> None:
    """What a peer has sent is not handled for it any more once it was ended for reading nothing."""
    app = Application()
    runs: list[Message] = []
    is_ended = threading.Event()

    @app.on()
    def flood(message: Message, peer: Peer) -> None:
        runs.append(message)
        try:
            for _ in range(100):
                peer.send(bytes(1_000_000))
        except ConnectionClosedError:
            is_ended.set()

    server = serve(app, limits=Limits(high_water=1024))
    with server.plug_in() as sock:
        sock.sendall(Message("x").to_bytes() * 1_000)
        assert is_ended.wait(PATIENCE)
        sock.close()
        ending = server.ending()
    assert isinstance(ending, ConnectionClosedError)
    assert ending.code == "overloaded"
    assert len(runs) == 1


def test_an_answer_to_a_plain_message_is_plain(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """It is received as any message; a handler that returns nothing sends nothing."""
    connection = connect(serve(app))
    connection.send("x", subject="log")
    connection.send("y", subject="echo")
    answer = connection.receive(PATIENCE)
    assert (answer.content, answer.kind, answer.re) == ("y", None, None)
    with pytest.raises(WaitTimeoutError, match=r"0\.05 s"):
        connection.receive(timeout=0.05)


def test_a_refused_message_is_answered_by_an_error(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """It is received as a message of kind error, and the connection goes on."""
    connection = connect(serve(app))
    connection.send("x", subject="refuse")
    error = connection.receive(PATIENCE)
    assert error.kind == "error"
    assert error.content["code"] == "unwanted"
    connection.send("y", subject="echo")
    assert connection.receive(PATIENCE).content == "y"


def test_a_message_whose_handler_fails_changes_nothing(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Nobody is told, and the next message is handled."""
    connection = connect(serve(app))
    connection.send("x", subject="fail")
    connection.send("x", subject="nobody's")
    connection.send("y", subject="echo")
    assert connection.receive(PATIENCE).content == "y"


def test_answers_are_not_among_messages(serve: Serve, connect: Connect, app: Application) -> None:
    """Plain messages and answers to requests come on one connection, and are told apart."""
    connection = connect(serve(app))
    for turn in range(10):
        connection.send(["plain", turn], subject="echo")
        answer = connection.request(["asked", turn], subject="echo", timeout=PATIENCE)
        assert answer.content == ["asked", turn]
    received = [connection.receive(PATIENCE).content for _ in range(10)]
    assert received == [["plain", turn] for turn in range(10)]


@over_every_transport
def test_a_handler_sends_to_its_peer(serve: Serve, connect: Connect, app: Application) -> None:
    """What it sends comes before what it returns, with the keywords of a message."""

    @app.on("work")
    def work(message: Message, peer: Peer) -> str:
        peer.send("begun", subject="progress", headers={"percent": 0})
        peer.send(Message({"percent": 50}, subject="progress"))
        return "done"

    connection = connect(serve(app))
    assert connection.request("x", subject="work", timeout=PATIENCE).content == "done"
    first, second = connection.receive(PATIENCE), connection.receive(PATIENCE)
    assert (first.content, first.subject, first.headers) == ("begun", "progress", {"percent": 0})
    assert (second.content, second.subject) == ({"percent": 50}, "progress")


def test_any_thread_sends_to_a_peer(serve: Serve, connect: Connect, app: Application) -> None:
    """Threads of the application send long after the handler has returned, each in its order."""
    peers: list[Peer] = []

    @app.on("subscribe")
    def subscribe(message: Message, peer: Peer) -> None:
        peers.append(peer)

    connection = connect(serve(app))
    connection.request("x", subject="subscribe", timeout=PATIENCE)
    [peer] = peers

    def tell(name: int) -> None:
        for turn in range(100):
            peer.send([name, turn])

    threads = Background(*(lambda name=name: tell(name) for name in range(4)))
    received = [connection.receive(PATIENCE).content for _ in range(400)]
    assert threads.wait() == [None] * 4
    for name in range(4):
        assert [turn for who, turn in received if who == name] == list(range(100))


def test_a_handler_sends_to_other_peers(serve: Serve, connect: Connect, app: Application) -> None:
    """One connection's handler may write to all connections."""
    peers: list[Peer] = []

    @app.on("join")
    def join(message: Message, peer: Peer) -> None:
        peers.append(peer)

    @app.on("say")
    def say(message: Message) -> None:
        for peer in peers:
            peer.send(message.content, subject="said")

    server = serve(app)
    connections = [connect(server) for _ in range(5)]
    for connection in connections:
        connection.request("x", subject="join", timeout=PATIENCE)
    connections[2].send("hello", subject="say")
    assert [connection.receive(PATIENCE).content for connection in connections] == ["hello"] * 5


def test_sending_to_a_peer_that_is_gone_raises(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """The application learns that nobody is there any more."""
    peers: list[Peer] = []

    @app.on("join")
    def join(message: Message, peer: Peer) -> None:
        peers.append(peer)

    server = serve(app)
    connection = connect(server)
    connection.request("x", subject="join", timeout=PATIENCE)
    connection.close()
    server.ending()
    with pytest.raises(ConnectionClosedError):
        peers[0].send("too late")


def test_messages_are_iterated_until_the_server_ends(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Everything that was sent is seen, and then the iteration is over."""

    @app.on("count")
    def count(message: Message, peer: Peer) -> None:
        for number in range(message.content):
            peer.send(number)

    server = serve(app)
    connection = connect(server)
    connection.send(100, subject="count")
    first = connection.receive(PATIENCE)
    server.shutdown()
    assert [first.content, *(message.content for message in connection)] == list(range(100))


@over_every_transport
def test_both_sides_may_send_much_at_once(serve: Serve, connect: Connect, app: Application) -> None:
    """Neither waits for the other one to read, though both have more than the network holds."""
    content = bytes(64 * 1024)
    connection = connect(serve(app))
    received: list[Message] = []
    reading = threading.Event()

    def receive() -> None:
        reading.set()
        while len(received) < 200:
            received.append(connection.receive(PATIENCE))

    receiver = Background(receive)
    assert reading.wait(PATIENCE)
    connection.send_many(Message(content, subject="echo") for _ in range(200))
    assert receiver.wait() == [None]
    assert all(message.content == content for message in received)


def test_a_server_sees_who_is_there(serve: Serve, connect: Connect, app: Application) -> None:
    """A handler knows its peer's address; without token or certificate it has no identity."""

    @app.on("who")
    def who(message: Message, peer: Peer) -> object:
        return [peer.address, peer.identity]

    server = serve(app)
    connection = connect(server)
    answer = connection.request("x", subject="who", timeout=PATIENCE)
    wait_until(lambda: server.events.peers, "the server sees the peer")
    assert answer.content == [server.events.peers[0].address, None]
    assert answer.content[0].startswith("127.0.0.1:")


def test_an_address_that_is_none_is_told_what_is_right(connect: Connect) -> None:
    """A pair of host and port, as sockets have it, is no address here."""
    with pytest.raises(TypeError, match="tcp://"):
        connect(("127.0.0.1", 1))  # type: ignore[arg-type]
