"""Peers that are gone, or have ended their input: what is still done for them, and how long."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from telex import Application, ConnectionClosedError, Limits, Message, Peer
from telex.testing.serving import FrontEnd
from tests.behaviour.stage import (
    PATIENCE,
    RunningServer,
    Serve,
    receive_all,
    receive_one,
    reset,
    wait_until,
)
from tests.talking import Talker


@pytest.mark.parametrize("said_goodbye", [False, True], ids=["killed", "closed"])
def test_a_client_with_keepalive_that_is_gone_is_noticed_though_its_answer_waits(
    serve: Serve, server_kind: FrontEnd, said_goodbye: bool
) -> None:
    """It cannot answer a ping any more; but the network tells, and the generator is closed."""
    app = Application()
    is_closed, may_go = threading.Event(), threading.Event()

    def watch(message: Message) -> Iterator[object]:
        try:
            yield 1
            may_go.wait(PATIENCE)
            yield 2
        finally:
            is_closed.set()

    async def watch_async(message: Message) -> AsyncIterator[object]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            is_closed.set()

    if server_kind == "asyncio":
        app.on("watch")(watch_async)
    else:
        app.on("watch", blocking=True)(watch)
    server = serve(app)
    with Talker(server.plug_in(), keepalive=True) as client:
        call = client.ask("x", subject="watch")
        client.listen(lambda: call.parts, "the first part")
        if said_goodbye:
            client.conversation.close("closed", "close() was called")
            client.flush()
    assert isinstance(server.ending(), ConnectionClosedError)
    may_go.set()  # what blocks is closed when the step returns
    assert is_closed.wait(PATIENCE)


def test_who_has_ended_its_input_and_is_sent_nothing_has_the_idle_timeout(serve: Serve) -> None:
    """It may still be there, and cannot show that; what it waits for is not endless."""
    app = Application()
    may_go = threading.Event()

    @app.on("late", blocking=True)
    def late(message: Message) -> object:
        may_go.wait(PATIENCE)
        return "too late"

    server = serve(app, limits=Limits(idle_timeout=0.5))
    with server.plug_in() as sock:
        sock.sendall(Message("x", kind="request", id=1, subject="late").to_bytes())
        sock.shutdown(socket.SHUT_WR)
        told = receive_one(sock)
        assert (told.kind, told.content["code"]) == ("error", "timeout")
    may_go.set()


def test_who_has_ended_its_input_is_sent_what_comes_in_time(serve: Serve) -> None:
    """Parts show that there is something to wait for; each begins the time again."""
    app = Application()
    pause = threading.Event()

    @app.on("count", blocking=True)
    def count(message: Message) -> Iterator[int]:
        for number in range(4):
            yield number
            pause.wait(0.4)

    server = serve(app, limits=Limits(idle_timeout=1.0))
    with server.plug_in() as sock:
        sock.sendall(Message("x", kind="request", id=1, subject="count").to_bytes())
        sock.shutdown(socket.SHUT_WR)
        messages = receive_all(sock)
    assert [message.content for message in messages[:4]] == [0, 1, 2, 3]


class Held:
    """An application whose handler waits for the test, and what it has handled since."""

    def __init__(self, how: str) -> None:
        self.app = Application()
        self.inside = threading.Event()
        self.may_go = threading.Event()
        self.handled: list[object] = []
        self.app.on("note")(lambda message: self.handled.append(message.content))
        self.app.on("hold", blocking=True, concurrent=how == "concurrent")(self.hold)

    def hold(self, message: Message) -> object:
        """Wait for the test."""
        self.handled.append(message.content)
        self.inside.set()
        assert self.may_go.wait(PATIENCE)
        return "done"


@pytest.fixture(params=["in_order", "concurrent"])
def held(request: pytest.FixtureRequest) -> Iterator[Held]:
    """Return the application; its handlers are let go with the test."""
    held = Held(request.param)
    yield held
    held.may_go.set()


def begin(server: RunningServer, held: Held, *others: Message) -> socket.socket:
    """Have a handler wait, with other messages behind its own; return the socket."""
    sock = server.plug_in()
    request = Message("first", kind="request", id=1, subject="hold")
    sock.sendall(b"".join(message.to_bytes() for message in (request, *others)))
    assert held.inside.wait(PATIENCE)
    return sock


def test_an_observer_is_told_at_once_of_a_lost_connection_whose_handler_is_at_work(
    serve: Serve, held: Held
) -> None:
    """What the handler returns has nowhere to go, and is not waited for."""
    server = serve(held.app)
    reset(begin(server, held))
    error = server.ending()
    assert isinstance(error, ConnectionClosedError)
    assert error.unanswered == 1
    assert not held.may_go.is_set()


def test_requests_of_a_peer_that_is_gone_are_dropped_unless_they_were_begun(serve: Serve) -> None:
    """Nobody waits for the answers; the end says how many were dropped."""
    held = Held("in_order")
    server = serve(held.app)
    requests = [Message("x", kind="request", id=id, subject="note") for id in range(2, 5)]
    sock = begin(server, held, *requests)
    wait_until(lambda: len(server.events.messages) == 4, "everything came")
    reset(sock)
    assert "3 messages were not handled" in str(server.ending())
    held.may_go.set()
    assert held.handled == ["first"]


def test_plain_messages_of_a_peer_that_is_gone_are_handled(serve: Serve) -> None:
    """The peer has sent them and gone, which is no reason to lose them."""
    held = Held("in_order")
    server = serve(held.app)
    sock = begin(server, held, *[Message(number, subject="note") for number in range(3)])
    wait_until(lambda: len(server.events.messages) == 4, "everything came")
    reset(sock)
    held.may_go.set()
    assert server.ending() is not None
    assert held.handled == ["first", 0, 1, 2]


def test_a_handler_that_sends_to_a_peer_that_is_gone_is_no_fault_of_the_program(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """A line without a traceback says that nothing was sent, and no failure hook is called."""
    app = Application()
    failures: list[BaseException] = []
    app.on_failure(lambda message, peer, error: failures.append(error))

    @app.on("flood", blocking=True)
    def flood(message: Message, peer: Peer) -> None:
        while True:
            peer.send(bytes(1_000))

    server = serve(app)
    with server.plug_in() as sock:
        sock.sendall(Message("", subject="flood").to_bytes())
        assert sock.recv(1)
        reset(sock)
    assert server.ending() is not None

    def lines() -> list[logging.LogRecord]:
        return [record for record in caplog.records if "'flood'" in record.getMessage()]

    wait_until(lines, "the handler has failed")
    server.stop()
    [line] = lines()
    assert (line.levelname, line.exc_info) == ("WARNING", None)
    assert failures == []


@pytest.mark.parametrize("blocking", [False, True], ids=["direct", "blocking"])
@pytest.mark.parametrize("size", [8, 100_000])
def test_who_takes_nothing_of_an_endless_answer_has_the_idle_timeout(
    serve: Serve, blocking: bool, size: int
) -> None:
    """However small the parts are: who takes nothing does not wait for an answer."""
    app = Application()
    is_closed = threading.Event()

    @app.on("endless", blocking=blocking)
    def endless(message: Message) -> Iterator[bytes]:
        try:
            while True:
                yield bytes(size)
        finally:
            is_closed.set()

    server = serve(app, limits=Limits(idle_timeout=0.5, high_water=20_000))
    with server.plug_in() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(Message("x", kind="request", id=1, subject="endless").to_bytes())
        assert is_closed.wait(PATIENCE)
