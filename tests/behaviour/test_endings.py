"""Endings: who ends a connection, what the other side sees of it, and what must not be lost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from telex import (
    Application,
    ConnectError,
    ConnectionClosedError,
    Limits,
    Message,
    RequestTimeoutError,
    WaitTimeoutError,
)
from tests.behaviour.stage import (
    PATIENCE,
    Background,
    Client,
    Connect,
    Serve,
    receive_all,
    receive_some,
    reset,
    wait_until,
)
from tests.behaviour.transports import over_every_transport
from tests.reader import free_port


class Stage:
    """An application whose handlers the test holds up, and what came to them."""

    def __init__(self) -> None:
        self.app = Application()
        self.begun: list[object] = []
        self._may_go = threading.Event()

        @self.app.on("hold", blocking=True, concurrent=True)
        def hold(message: Message) -> object:
            self.begun.append(message.content)
            self._may_go.wait(2 * PATIENCE)
            return message.content

        @self.app.on("hold-in-order", blocking=True)
        def hold_in_order(message: Message) -> object:
            return hold(message)

        @self.app.on("echo")
        def echo(message: Message) -> object:
            return message.content

    def hold(self, connection: Client, *contents: object) -> Background:
        """Send requests which are held up; wait until their handlers run."""
        asking = Background(
            *(
                lambda content=content: connection.request(
                    content, subject="hold", timeout=PATIENCE
                )
                for content in contents
            )
        )
        wait_until(lambda: set(contents) <= set(self.begun), "the handlers run")
        return asking

    def release(self) -> None:
        """Let the handlers go on."""
        self._may_go.set()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Return the application; its handlers are let go with the test."""
    stage = Stage()
    yield stage
    stage.release()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen without a server of Telex: the test is the server."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE)
        yield sock


def address_of(listener: socket.socket) -> str:
    """Return where a plain socket listens, as a Telex address."""
    host, port = listener.getsockname()
    return f"tcp://{host}:{port}"


def accept(listener: socket.socket) -> socket.socket:
    """Accept a connection."""
    sock, _address = listener.accept()
    sock.settimeout(PATIENCE)
    return sock


# The client ends


@over_every_transport
def test_a_client_that_closes_has_been_heard(serve: Serve, connect: Connect, stage: Stage) -> None:
    """When ``close()`` returns, the server has read everything; both sides see a good end."""
    server = serve(stage.app)
    connection = connect(server)
    connection.send_many(range(1000))
    connection.close()
    assert server.ending() is None
    assert [message.content for message in server.events.messages] == list(range(1000))


def test_a_closed_connection_says_so(serve: Serve, connect: Connect, stage: Stage) -> None:
    """Whatever is tried then raises ConnectionClosedError; closing again is harmless."""
    connection = connect(serve(stage.app))
    connection.close()
    for attempt in (
        lambda: connection.send("x"),
        lambda: connection.request("x", timeout=PATIENCE),
        lambda: connection.receive(PATIENCE),
        connection.ping,
        lambda: next(connection.request_parts("x", timeout=PATIENCE)),
    ):
        with pytest.raises(ConnectionClosedError) as caught:
            attempt()
        assert caught.value.by == "us"
    connection.close()


def test_closing_ends_what_waits(serve: Serve, connect: Connect, stage: Stage) -> None:
    """A request that another thread waits for fails at once, and says who closed."""
    connection = connect(serve(stage.app))
    asking = stage.hold(connection, "x")
    closing = Background(connection.close)
    error = asking.wait_for(ConnectionClosedError)
    assert (error.by, error.unanswered) == ("us", 1)
    stage.release()
    assert closing.wait() == [None]


def test_a_context_closes(serve: Serve, connect: Connect, stage: Stage) -> None:
    """At the end of ``with`` the connection has ended well."""
    server = serve(stage.app)
    with connect(server) as connection:
        connection.send("x", subject="echo")
    assert server.ending() is None


def test_a_client_that_vanishes_is_noticed(serve: Serve, stage: Stage) -> None:
    """A reset is the end of the connection, and the server goes on."""
    server = serve(stage.app)
    with server.plug_in() as sock:
        sock.sendall(Message("x", subject="hold", kind="request", id=1).to_bytes())
        wait_until(lambda: stage.begun, "the handler runs")
        reset(sock)
        stage.release()
    ending = server.ending()
    assert isinstance(ending, ConnectionClosedError)
    assert ending.by == "peer"
    with server.plug_in() as sock:
        sock.sendall(Message("y", subject="echo", kind="request", id=1).to_bytes())
        [answer] = receive_some(sock, 1)
    assert answer.content == "y"


def test_a_client_that_ends_its_stream_is_answered(serve: Serve, stage: Stage) -> None:
    """What it asked before is answered, then the server ends too."""
    server = serve(stage.app)
    with server.plug_in() as sock:
        for number in (1, 2, 3):
            subject = "hold" if number == 2 else "echo"
            request = Message(number, subject=subject, kind="request", id=number)
            sock.sendall(request.to_bytes())
        sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: stage.begun, "the handler runs")
        stage.release()
        answers = [message for message in receive_all(sock) if message.kind == "reply"]
    assert sorted(answer.content for answer in answers) == [1, 2, 3]
    assert server.ending() is None


def test_a_stream_that_ends_in_a_message_is_an_error(serve: Serve, stage: Stage) -> None:
    """The half message is not handled, and the server says so to its log."""
    server = serve(stage.app)
    with server.plug_in() as sock:
        sock.sendall(Message("x", subject="echo").to_bytes()[:-1])
        sock.shutdown(socket.SHUT_WR)
        [error] = receive_all(sock)
    assert error.content["code"] == "bad-message"
    assert "the stream ended" in str(server.ending())
    assert server.events.messages == []


# The server ends


@over_every_transport
def test_a_server_that_shuts_down_says_so(serve: Serve, connect: Connect, stage: Stage) -> None:
    """Its clients see ``close`` with a reason, and the server sees good ends."""
    server = serve(stage.app)
    connection = connect(server)
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"
    server.shutdown()
    assert list(connection) == []
    with pytest.raises(ConnectionClosedError, match="shutting down") as caught:
        connection.request("x", subject="echo", timeout=PATIENCE)
    assert (caught.value.code, caught.value.by) == ("shutting-down", "peer")
    connection.close()
    server.wait_for_its_end()
    assert server.ending() is None


@over_every_transport
def test_requests_in_flight_are_answered_at_shutdown(
    serve: Serve, connect: Connect, stage: Stage
) -> None:
    """What the server had received is finished and answered before it says goodbye."""
    server = serve(stage.app)
    connections = [connect(server) for _ in range(2)]
    asking = [
        stage.hold(connection, *range(number * 10, number * 10 + 2))
        for number, connection in enumerate(connections)
    ]
    server.shutdown()
    stage.release()
    for number, background in enumerate(asking):
        answers = [answer.content for answer in background.wait()]
        assert answers == list(range(number * 10, number * 10 + 2))
    for connection in connections:
        connection.close()
    server.wait_for_its_end()
    assert server.events.endings == [None] * 2


def test_messages_that_wait_for_their_turn_are_handled_at_shutdown(
    serve: Serve, connect: Connect, stage: Stage
) -> None:
    """Behind a handler that keeps order others have come already: they are answered too."""
    server = serve(stage.app)
    connection = connect(server)
    connection.send("first", subject="hold-in-order")
    connection.send_many(Message(number, subject="echo") for number in range(50))
    wait_until(lambda: len(server.events.messages) == 51, "everything has come")
    server.shutdown()
    stage.release()
    assert [message.content for message in connection] == ["first", *range(50)]


def test_a_server_does_not_wait_for_ever(
    serve: Serve, connect: Connect, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """After ``drain_timeout`` what is left is cut; client, log and observer say what that was."""
    server = serve(stage.app, limits=Limits(drain_timeout=0.3))
    connection = connect(server)
    asking = stage.hold(connection, 1, 2)
    server.shutdown()
    server.wait_for_its_end(PATIENCE)  # which is half as long as the handlers are held up
    for error in asking.wait():
        assert isinstance(error, ConnectionClosedError)
        assert (error.by, error.code, error.unanswered) == ("peer", "shutting-down", 2)
    ending = server.ending()
    assert isinstance(ending, ConnectionClosedError)
    assert (ending.by, ending.code, ending.unanswered) == ("us", "shutting-down", 2)
    [line] = [text for text in caplog.messages if "cut off" in text]
    assert "2 unanswered requests" in line


def test_nobody_is_let_in_after_the_end(serve: Serve, connect: Connect, stage: Stage) -> None:
    """Who connects to a server that has ended learns that nobody listens."""
    server = serve(stage.app, address=f"tcp://127.0.0.1:{free_port()}")
    server.shutdown()
    server.wait_for_its_end()
    with pytest.raises(ConnectError, match="refused"):
        connect(server)


def test_hooks_are_called_at_both_ends(serve: Serve, connect: Connect, stage: Stage) -> None:
    """Start-up hooks run before the first connection, shutdown hooks after the last."""
    calls: list[str] = []
    stage.app.on_startup(lambda: calls.append("start-up"))
    stage.app.on_shutdown(lambda: calls.append("shutdown"))

    @stage.app.on("note")
    def note(message: Message) -> None:
        calls.append("handler")

    server = serve(stage.app)
    connect(server).request("x", subject="note", timeout=PATIENCE)
    server.shutdown()
    server.wait_for_its_end()
    assert calls == ["start-up", "handler", "shutdown"]


# A server that is not what it should be


def test_a_server_that_vanishes_fails_what_waits(connect: Connect, listener: socket.socket) -> None:
    """Each request fails with the reason, and says how many were not answered."""
    connection = connect(address_of(listener))
    sock = accept(listener)
    asking = Background(*[lambda: connection.request("x", subject="ask", timeout=PATIENCE)] * 3)
    receive_some(sock, 3)
    reset(sock)
    for error in asking.wait():
        assert isinstance(error, ConnectionClosedError)
        assert (error.by, error.unanswered) == ("peer", 3)
        assert "reset" in error.reason
    with pytest.raises(ConnectionClosedError, match="reset"):
        connection.request("x", timeout=PATIENCE)


def test_a_server_that_ends_without_answering_fails_what_waits(
    connect: Connect, listener: socket.socket
) -> None:
    """An end of the stream is no answer."""
    connection = connect(address_of(listener))
    sock = accept(listener)
    asking = Background(lambda: connection.request("x", timeout=PATIENCE))
    receive_some(sock, 1)
    sock.shutdown(socket.SHUT_WR)
    error = asking.wait_for(ConnectionClosedError)
    assert (error.by, error.unanswered) == ("peer", 1)
    sock.close()


def test_an_answer_that_is_cut_off_is_no_answer(connect: Connect, listener: socket.socket) -> None:
    """The request fails, and whoever looks on learns that a message was cut."""
    connection = connect(address_of(listener))
    sock = accept(listener)
    asking = Background(lambda: connection.request("x", timeout=PATIENCE))
    [request] = receive_some(sock, 1)
    sock.sendall(Message("an answer", kind="reply", re=request.id).to_bytes()[:-1])
    sock.close()
    error = asking.wait_for(ConnectionClosedError)
    assert error.unanswered == 1


def test_an_answer_to_nothing_ends_the_connection(
    connect: Connect, listener: socket.socket
) -> None:
    """A server that answers what was not asked is told so, and not believed any more."""
    connection = connect(address_of(listener))
    sock = accept(listener)
    asking = Background(lambda: connection.request("x", timeout=PATIENCE))
    receive_some(sock, 1)
    sock.sendall(Message("an answer", kind="reply", re=4711).to_bytes())
    error = asking.wait_for(ConnectionClosedError)
    assert (error.by, error.code) == ("us", "bad-message")
    [complaint] = receive_some(sock, 1)
    assert complaint.content["code"] == "bad-message"
    sock.close()


def test_garbage_ends_the_connection(connect: Connect, listener: socket.socket) -> None:
    """What is not Telex fails what waits, and the error says what it looks like."""
    connection = connect(address_of(listener))
    sock = accept(listener)
    asking = Background(lambda: connection.request("x", timeout=PATIENCE))
    receive_some(sock, 1)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    error = asking.wait_for(ConnectionClosedError)
    assert (error.by, error.code) == ("us", "bad-message")
    assert "HTTP" in error.reason
    sock.close()


def test_connecting_to_nobody_fails(connect: Connect) -> None:
    """The error names the address and the reason."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = address_of(unused)
        with pytest.raises(ConnectError, match=f"{address}.*refused"):
            connect(address)


# Waiting has an end


def test_a_request_that_is_not_answered_in_time_fails(
    serve: Serve, connect: Connect, stage: Stage
) -> None:
    """The error says what was waited for and how long; it is a TimeoutError too."""
    connection = connect(serve(stage.app))
    with pytest.raises(RequestTimeoutError, match=r"0\.2 s.*'hold'") as caught:
        connection.request("x", subject="hold", timeout=0.2)
    assert caught.value.timeout == 0.2
    assert isinstance(caught.value, TimeoutError)


def test_a_late_answer_is_nobodys(serve: Serve, connect: Connect, stage: Stage) -> None:
    """It is dropped: later requests get their own, and no message appears from nowhere."""
    connection = connect(serve(stage.app))
    with pytest.raises(RequestTimeoutError):
        connection.request("late", subject="hold", timeout=0.1)
    asking = stage.hold(connection, "next")
    stage.release()
    assert asking.wait_for(Message).content == "next"
    assert connection.request("last", subject="echo", timeout=PATIENCE).content == "last"
    with pytest.raises(WaitTimeoutError):
        connection.receive(timeout=0.05)


def test_one_timeout_is_not_anothers(serve: Serve, connect: Connect, stage: Stage) -> None:
    """Of two that wait, the impatient one gives up and the other one is answered."""
    connection = connect(serve(stage.app))
    patient = stage.hold(connection, "patient")
    with pytest.raises(RequestTimeoutError):
        connection.request("impatient", subject="hold", timeout=0.1)
    stage.release()
    assert patient.wait_for(Message).content == "patient"


@over_every_transport
def test_a_ping_measures_the_way(serve: Serve, connect: Connect, stage: Stage) -> None:
    """It returns seconds, also while handlers are at work."""
    connection = connect(serve(stage.app))
    asking = stage.hold(connection, "x")
    assert 0 < connection.ping() < PATIENCE
    stage.release()
    assert asking.wait_for(Message).content == "x"


def test_a_ping_that_nobody_answers_fails(connect: Connect, listener: socket.socket) -> None:
    """The error says that it was a ping, and for how long it was waited."""
    connection = connect(address_of(listener))
    with accept(listener), pytest.raises(RequestTimeoutError, match=r"0\.2 s.*ping"):
        connection.ping(timeout=0.2)


def test_an_error_about_a_request_ends_only_that(connect: Connect, listener: socket.socket) -> None:
    """Even with a code that would end the connection, if it were about no request."""
    connection = connect(address_of(listener))
    sock = accept(listener)
    asking = Background(lambda: connection.request("x", timeout=PATIENCE))
    [request] = receive_some(sock, 1)
    problem = Message(
        {"code": "overloaded", "title": "Overloaded", "detail": "try later"},
        content_type="application/problem+json",
        kind="error",
        re=request.id,
    )
    sock.sendall(problem.to_bytes())
    [error] = asking.wait()
    assert (error.code, error.detail) == ("overloaded", "try later")
    again = Background(lambda: connection.request("y", timeout=PATIENCE))
    [request] = receive_some(sock, 1)
    sock.sendall(Message("an answer", kind="reply", re=request.id).to_bytes())
    assert again.wait_for(Message).content == "an answer"
    sock.close()
