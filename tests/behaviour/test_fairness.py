"""No peer and no answer keeps a server from the others: each has its turn."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from telex import Application, ConnectionClosedError, Limits, Message, MessageProcessor
from telex.application.connected_peer import ConnectedPeer
from telex.testing.serving import FrontEnd
from tests.behaviour.stage import (
    PATIENCE,
    Background,
    Connect,
    RunningServer,
    Serve,
    name_of,
    receive_one,
    wait_until,
    warnings_about,
)
from tests.behaviour.transports import over_every_transport
from tests.talking import Talker

MANY = 3000
"""Messages that one peer sends at once; handled without a pause they would take 3 s."""


class Work:
    """An application with a handler that takes a millisecond, until the test has seen enough."""

    def __init__(self) -> None:
        self.app = Application()
        self.done = 0
        self.is_enough = False
        self.app.on("work")(self.work)
        self.app.on("echo")(lambda message: message.content)

    def work(self, message: Message) -> None:
        """Take a millisecond."""
        self.done += 1
        if not self.is_enough:
            time.sleep(0.001)


@pytest.fixture
def work() -> Iterator[Work]:
    """Return the application; the test does not wait for its rest."""
    work = Work()
    yield work
    work.is_enough = True


def keep_busy(server: RunningServer) -> socket.socket:
    """Send more small messages at once than a server may handle in one turn."""
    sock = server.plug_in()
    sock.sendall(Message("x", subject="work").to_bytes() * MANY)
    return sock


def test_a_request_is_answered_beside_a_peer_that_sends_much_at_once(
    serve: Serve, work: Work
) -> None:
    """What a peer has sent is handled in several turns, and the others have theirs between."""
    server = serve(work.app)
    with keep_busy(server), Talker(server.plug_in()) as other:
        for _ in range(10):
            other.answer_to(other.ask("now", subject="echo"))
        assert work.done < MANY
        work.is_enough = True


def test_a_peer_is_held_to_its_times_by_a_server_that_is_busy(serve: Serve, work: Work) -> None:
    """A header that does not go on is noticed while another peer is served all the time."""
    server = serve(work.app, limits=Limits(header_timeout=0.3))
    with server.plug_in() as slow, keep_busy(server):
        slow.sendall(b"\x00")
        told = receive_one(slow)
        assert (told.kind, told.content["code"]) == ("error", "timeout")
        assert work.done < MANY
        work.is_enough = True


def test_what_a_peer_sent_at_once_is_handled_in_order_and_whole(serve: Serve) -> None:
    """Though it takes more turns than one; and the goodbye comes behind all of it."""
    app = Application()
    seen: list[int] = []

    @app.on()
    def note(message: Message) -> None:
        seen.append(message.content)
        if len(seen) % 100 == 0:
            time.sleep(0.002)

    server = serve(app)
    with server.plug_in() as sock:
        sock.sendall(b"".join(Message(number).to_bytes() for number in range(MANY)))
        sock.shutdown(socket.SHUT_WR)
        assert server.ending() is None
    assert seen == list(range(MANY))


class Nothing:
    """An application of generators that yield nothing that is sent."""

    def __init__(self, server_kind: FrontEnd, how: str) -> None:
        if how == "async" and server_kind == "sync":
            pytest.skip("the blocking server takes no async handlers")
        self.app = Application()
        self.is_enough = False
        self.app.on("echo")(lambda message: message.content)
        handler = self.endless_async if how == "async" else self.endless
        self.app.on("nothing", blocking=how == "blocking")(handler)

    def endless(self, message: Message) -> Iterator[None]:
        """Yield nothing, for ever."""
        while not self.is_enough:
            yield None

    async def endless_async(self, message: Message) -> AsyncIterator[None]:
        """Yield nothing, for ever, and wait for nothing."""
        while not self.is_enough:
            yield None


@pytest.mark.parametrize("how", ["direct", "blocking", "async"])
def test_a_generator_that_yields_nothing_keeps_nobody_waiting(
    serve: Serve, server_kind: FrontEnd, how: str
) -> None:
    """A plain message begins the generator, so that what it yields takes no room."""
    nothing = Nothing(server_kind, how)
    server = serve(nothing.app)
    with server.plug_in() as sock:
        sock.sendall(Message("x", subject="nothing").to_bytes())
        with Talker(server.plug_in()) as other:
            for _ in range(3):
                other.answer_to(other.ask("now", subject="echo"))
        nothing.is_enough = True


PART_SIZES = [1_000, 300_000]
"""Bytes of parts: many of them, or each longer than what pauses reading."""


def endless(size: int, blocking: bool) -> Application:
    """Return an application with an endless answer of parts of this size."""
    app = Application()
    app.on("echo")(lambda message: message.content)

    @app.on("endless", concurrent=True, blocking=blocking)
    def yield_for_ever(message: Message) -> Iterator[bytes]:
        while True:
            yield bytes(size)

    return app


@over_every_transport
@pytest.mark.parametrize("size", PART_SIZES)
@pytest.mark.parametrize("blocking", [False, True], ids=["direct", "blocking"])
def test_requests_and_pings_are_answered_between_the_parts_of_an_endless_answer(
    serve: Serve, connect: Connect, size: int, blocking: bool
) -> None:
    """As long as somebody takes the parts; and also when nobody wants them any more."""
    connection = connect(serve(endless(size, blocking), limits=Limits(high_water=200_000)))
    parts = connection.request_parts("x", subject="endless", timeout=PATIENCE)
    is_enough = False

    def read() -> None:
        for _ in parts:
            if is_enough:
                break
        parts.close()

    reading = Background(read)
    for number in range(3):
        assert connection.request(number, subject="echo", timeout=PATIENCE).content == number
        connection.ping(PATIENCE)
    is_enough = True
    reading.check()
    connection.ping(PATIENCE)


@pytest.mark.parametrize("size", PART_SIZES)
@pytest.mark.parametrize("blocking", [False, True], ids=["direct", "blocking"])
def test_endless_answers_share_a_connection(serve: Serve, size: int, blocking: bool) -> None:
    """Each of them goes on, whichever was asked for first."""
    server = serve(endless(size, blocking), limits=Limits(high_water=200_000))
    processor = MessageProcessor()
    counts: Counter[int | None] = Counter()
    with server.plug_in() as sock:
        for number in (1, 2, 3):
            request = Message("x", kind="request", id=number, subject="endless")
            sock.sendall(request.to_bytes())
        while len(counts) < 3 or min(counts.values()) < 20:
            data = sock.recv(1 << 18)
            assert data
            counts.update(message.re for message in processor.receive_messages(data))


@over_every_transport
def test_an_async_endless_answer_leaves_room_for_requests(
    serve: Serve, connect: Connect, server_kind: FrontEnd
) -> None:
    """Its parts are yielded without waiting for anything."""
    if server_kind == "sync":
        pytest.skip("the blocking server takes no async handlers")
    app = Application()
    app.on("echo")(lambda message: message.content)

    @app.on("endless", concurrent=True)
    async def endless(message: Message) -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)

    connection = connect(serve(app, limits=Limits(high_water=150_000)))
    parts = connection.request_parts("x", subject="endless", timeout=PATIENCE)
    reading = Background(lambda: [next(parts) for _ in range(500)])
    for number in range(3):
        assert connection.request(number, subject="echo", timeout=PATIENCE).content == number
    reading.check()
    parts.close()


def test_threads_that_send_all_the_time_keep_nobody_waiting(serve: Serve) -> None:
    """Requests of others are answered between; and what comes too late is logged in few lines."""
    app = Application()
    app.on("echo")(lambda message: message.content)
    server = serve(app)
    with Talker(server.plug_in()) as other, server.plug_in() as sock:
        wait_until(lambda: len(server.events.peers) == 2, "both are there")
        [peer] = [one for one in server.events.peers if one.address == name_of(sock)]

        def send() -> None:
            with contextlib.suppress(ConnectionClosedError):
                while True:
                    peer.send(b"10 bytes..")

        reading = Background(lambda: drain(sock))
        sending = Background(send, send)
        for _ in range(10):
            other.answer_to(other.ask("now", subject="echo"))
        assert sending.is_under_way
        sock.shutdown(socket.SHUT_RDWR)
        sending.check()
        reading.wait()


def drain(sock: socket.socket) -> None:
    """Receive to the end."""
    while sock.recv(1 << 16):
        pass


def test_messages_of_threads_that_come_too_late_are_logged_together(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """A line says how many they were."""
    app = Application()
    is_held, may_go = threading.Event(), threading.Event()

    @app.on("hold")
    def hold(message: Message) -> None:
        is_held.set()
        may_go.wait(PATIENCE)

    server = serve(app)
    sock = server.plug_in()
    wait_until(lambda: server.events.peers, "a peer is there")
    [peer], name = server.events.peers, name_of(sock)
    with server.plug_in() as holding:
        holding.sendall(Message("x", subject="hold").to_bytes())
        assert is_held.wait(PATIENCE)
        for number in range(500):
            peer.send(number)
        assert isinstance(peer, ConnectedPeer)
        peer._connection.closing.is_cut = True  # what the turn meets that comes first
        may_go.set()
        wait_until(lambda: len(warnings_about(caplog, name)) > 0, "it is logged")
    server.stop()
    sock.close()
    lines = warnings_about(caplog, name)
    assert any("500 messages were not sent" in line for line in lines)
    assert len(lines) <= 2


def test_threads_are_shared_fairly_between_connections(serve: Serve) -> None:
    """A request waits for one call of a peer that asks for hundreds, and not for all of them."""
    app = Application()
    done: list[str] = []
    is_enough = threading.Event()

    @app.on("slow", blocking=True, concurrent=True)
    def slow(message: Message) -> str:
        is_enough.wait(0.01)
        content: str = message.content
        done.append(content)
        return content

    server = serve(app, max_workers=1)
    requests = [Message("many", kind="request", id=id, subject="slow") for id in range(1, 501)]
    with server.plug_in() as greedy, Talker(server.plug_in()) as other:
        greedy.sendall(b"".join(request.to_bytes() for request in requests))
        wait_until(lambda: done, "the first are at work")
        for _ in range(3):
            other.answer_to(other.ask("one", subject="slow"))
        assert len(done) < 400
        is_enough.set()
