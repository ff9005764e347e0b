"""A server whose loop is kept: threads that send wait, what waits is bounded, nobody is blamed.

A handler or an observer holds the loop itself, as it should not, until the test lets it go on.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from telex import (
    Application,
    ConnectionClosedError,
    Limits,
    Message,
    Observer,
    Peer,
    WaitTimeoutError,
)
from telex.connection.times import LOOK_SECONDS
from telex.testing.serving import FrontEnd
from tests.behaviour.stage import (
    PATIENCE,
    Background,
    Connect,
    RunningServer,
    Serve,
    name_of,
    reset,
    wait_until,
    wait_until_still,
)

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE

PIECE = 64 * KIBIBYTE
"""Bytes of each message that a thread sends."""

MOST = 2 * MEBIBYTE
"""Bytes that threads may have handed over to a loop that is busy; servers stop at about 1 MiB."""

SECONDS = 10.0
"""How long a thread waits for a server that does not go on."""


class Busy:
    """An application one of whose handlers holds the loop, and how far a thread has come."""

    def __init__(self) -> None:
        self.app = Application()
        self.is_held = threading.Event()
        self.may_go = threading.Event()
        self.sent = 0

        @self.app.on("hold")
        def hold(message: Message) -> None:
            self.is_held.set()
            self.may_go.wait(3 * PATIENCE)

        @self.app.on("echo")
        def echo(message: Message) -> object:
            return message.content

    def hold(self, server: RunningServer) -> None:
        """Have the loop held."""
        with server.plug_in() as sock:
            sock.sendall(Message("x", subject="hold").to_bytes())
            assert self.is_held.wait(PATIENCE)

    def send(self, peer: Peer, count: int | None = None) -> None:
        """Send so many numbered messages to a peer, or ever more."""
        content = bytes(PIECE)
        numbers = itertools.count() if count is None else range(count)
        for number in numbers:
            peer.send(content, headers={"number": number})
            self.sent = number + 1


@pytest.fixture
def busy() -> Iterator[Busy]:
    """Return the application; its handler is let go with the test."""
    busy = Busy()
    yield busy
    busy.may_go.set()


def first_peer(server: RunningServer) -> Peer:
    """Wait for the first connection, and return its peer as the server sees it."""
    wait_until(lambda: server.events.peers, "a client is there")
    return server.events.peers[0]


def test_a_thread_that_sends_waits_for_a_busy_loop(
    serve: Serve, connect: Connect, busy: Busy
) -> None:
    """It has handed over about 1 MiB then, and goes on with the loop; nothing is lost."""
    server = serve(busy.app)
    connection = connect(server)
    peer = first_peer(server)
    busy.hold(server)
    sending = Background(lambda: busy.send(peer, 200))
    wait_until_still(lambda: busy.sent)
    handed_over = busy.sent * PIECE
    was_under_way = sending.is_under_way
    busy.may_go.set()
    numbers = [connection.receive(PATIENCE).headers["number"] for _ in range(200)]
    sending.check()
    assert numbers == list(range(200))
    assert was_under_way
    assert handed_over <= MOST


def test_threads_that_send_share_what_may_wait(serve: Serve, connect: Connect, busy: Busy) -> None:
    """The bound is that of a server: more threads and more peers do not move it."""
    server = serve(busy.app)
    connections = [connect(server) for _ in range(4)]
    wait_until(lambda: len(server.events.peers) == 4, "all clients are there")
    peers = list(server.events.peers)
    busy.hold(server)
    sent = [0] * len(peers)
    content = bytes(PIECE)

    def send(place: int) -> None:
        for _ in range(50):
            peers[place].send(content)
            sent[place] += 1

    sending = Background(*(lambda place=place: send(place) for place in range(len(peers))))
    wait_until_still(lambda: sum(sent))
    handed_over = sum(sent) * PIECE
    busy.may_go.set()
    for connection in connections:
        for _ in range(50):
            assert len(connection.receive(PATIENCE).body) == PIECE
    sending.check()
    assert handed_over <= MOST


def test_a_thread_that_waits_learns_that_its_peer_is_gone(serve: Serve, busy: Busy) -> None:
    """When the loop goes on, whoever sends on raises ConnectionClosedError, and waits no more."""
    server = serve(busy.app)
    sock = server.plug_in()
    peer = first_peer(server)
    busy.hold(server)
    sending = Background(lambda: busy.send(peer))
    wait_until(lambda: busy.sent * PIECE >= MEBIBYTE, "about 1 MiB is handed over")
    name = name_of(sock)
    reset(sock)
    busy.may_go.set()
    assert sending.wait_for(ConnectionClosedError).by in {"us", "peer"}
    server.ending_of(name)


@pytest.mark.parametrize("server_kind", ["both"])
def test_a_thread_is_told_that_the_server_does_not_go_on(serve: Serve, busy: Busy) -> None:
    """After ten seconds it gets a WaitTimeoutError, as it may be what the handler waits for.

    Both servers are watched at the same time, because it takes so long.
    """
    kinds: list[FrontEnd] = ["sync", "asyncio"]
    outcomes: dict[str, str] = {}

    def send_until_told(kind: FrontEnd) -> None:
        stage = Busy()
        server = serve(stage.app, front_end=kind)
        try:
            with server.plug_in():
                peer = first_peer(server)
                stage.hold(server)
                begin = time.monotonic()
                sending = Background(lambda: stage.send(peer, 10 * MOST // PIECE))
                [result] = sending.wait()
                waited = time.monotonic() - begin
                outcomes[kind] = type(result).__name__
                assert result is None or SECONDS - 0.5 < waited < 2 * SECONDS
        finally:
            stage.may_go.set()

    Background(*(lambda kind=kind: send_until_told(kind) for kind in kinds)).check()
    assert outcomes == dict.fromkeys(kinds, WaitTimeoutError.__name__)


def test_what_threads_sent_meanwhile_keeps_its_order(
    serve: Serve, connect: Connect, busy: Busy
) -> None:
    """What was handed over to a busy loop goes first when the loop goes on."""
    server = serve(busy.app)
    connection = connect(server)
    peer = first_peer(server)
    busy.hold(server)
    busy.send(peer, 4)
    busy.may_go.set()
    busy.send(peer, 4)
    numbers = [connection.receive(PATIENCE).headers["number"] for _ in range(8)]
    assert numbers == [0, 1, 2, 3, 0, 1, 2, 3]
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"


def test_handlers_that_block_wait_with_their_answers_for_a_busy_loop(
    serve: Serve, connect: Connect, busy: Busy
) -> None:
    """What is on its way to the loop is bounded, and each answer comes when the loop goes on."""
    answered = 0
    lock = threading.Lock()

    @busy.app.on("large", blocking=True, concurrent=True)
    def large(message: Message) -> bytes:
        nonlocal answered
        assert busy.is_held.wait(PATIENCE)
        with lock:
            answered += 1
        return bytes(2 * MEBIBYTE)

    server = serve(busy.app, max_workers=2)
    connection = connect(server)
    asking = Background(
        lambda: [
            len(answer.body) if isinstance(answer, Message) else 0
            for answer in connection.request_many(
                [Message(b"", subject="large")] * 20, timeout=PATIENCE
            )
        ]
    )
    wait_until(lambda: len(server.events.messages) == 20, "the requests have come")
    busy.hold(server)
    wait_until_still(lambda: answered)
    answered_while_held = answered
    busy.may_go.set()
    assert asking.wait_for(list) == [2 * MEBIBYTE] * 20
    assert answered_while_held <= 4


LIMIT = 1.5
"""Seconds that a peer has for its part, in the tests of a server that is held up for longer."""

HELD_UP = LIMIT + 0.25

ONE_LOOK = 1.2 * LOOK_SECONDS
"""Seconds in which a server looks at the times of its peers."""


def test_nobody_is_silent_while_the_server_is_held_up(
    serve: Serve, connect: Connect, busy: Busy
) -> None:
    """Its own time is not held against a peer, which may have been held up by the same machine."""
    server = serve(busy.app, limits=Limits(idle_timeout=LIMIT))
    with connect(server) as connection, connect(server) as other:
        connection.request("x", subject="echo", timeout=PATIENCE)
        time.sleep(ONE_LOOK)
        busy.hold(server)
        time.sleep(HELD_UP)
        busy.may_go.set()
        other.request("x", subject="echo", timeout=PATIENCE)
        time.sleep(ONE_LOOK)
        assert connection.request("y", subject="echo", timeout=PATIENCE).content == "y"


def test_a_peer_that_connects_while_the_server_is_held_up_is_let_in(
    serve: Serve, connect: Connect, busy: Busy
) -> None:
    """Its part of the TLS handshake follows the server's, which comes late."""

    class Holding(Observer):
        """Holds the loop when a connection is there."""

        def connected(self, peer: Peer) -> None:
            """Hold it for longer than a handshake may take."""
            time.sleep(HELD_UP)

    server = serve(
        busy.app,
        address="tls://127.0.0.1:0",
        limits=Limits(handshake_timeout=LIMIT),
        observers=[Holding()],
    )
    with connect(server) as connection:
        assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"
