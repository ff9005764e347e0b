"""Peers that stop reading: a server that has nothing more to say to them lets them go in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

import telex.tls
from telex import (
    Application,
    ConnectionClosedError,
    Limits,
    Message,
    MessageProcessor,
    Peer,
    ProtocolError,
)
from telex.testing.serving import FrontEnd
from tests.behaviour.stage import (
    PATIENCE,
    Pair,
    RunningServer,
    Serve,
    name_of,
    receive_all,
    wait_until,
)
from tests.behaviour.transports import over_networks
from tests.certificates import Authority
from tests.encrypted import EncryptedSocket

MEBIBYTE = 1024 * 1024

ANSWER = 12 * MEBIBYTE
"""Bytes of an answer that does not fit into the buffers of the network."""

LINGER = 5.0
"""Seconds for which a peer that takes nothing is waited for, as both servers have it."""

BOUND = LINGER + 5.0
"""Seconds within which a peer that takes nothing is gone, on a machine that is busy."""

REQUEST = Message("x", kind="request", id=1).to_bytes()
PING = Message(None, kind="ping").to_bytes()
CLOSE = Message({"code": "closed", "detail": "that was all"}, kind="close").to_bytes()

Socket = socket.socket | EncryptedSocket


@pytest.fixture
def app() -> Application:
    """Return an application with answers that do not fit into the network."""
    app = Application()

    @app.on()
    def swell(message: Message) -> bytes:
        return bytes(ANSWER)

    return app


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Close all plain sockets with the test."""
    with ExitStack() as sockets:
        yield sockets


def plug_in(server: RunningServer, sockets: ExitStack, authority: Authority) -> Socket:
    """Connect a socket with a small receive buffer, which speaks TLS where the server does."""
    sock = sockets.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    sock.settimeout(PATIENCE)
    sock.connect((server.address.host, server.address.port))
    if server.address.scheme == "tls":
        return EncryptedSocket(sock, telex.tls.client_context(authority.file), name="127.0.0.1")
    return sock


def still_there(server: RunningServer, sockets: list[Socket], seconds: float) -> list[int]:
    """Wait at most so many seconds until all of these have ended; return which have not."""
    names = [name_of(sock) for sock in sockets]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not set(names) <= set(server.events.gone):
        time.sleep(0.01)
    return [place for place, name in enumerate(names) if name not in server.events.gone]


CLOSED = "close"
CLOSED_AND_ENDED = "close, and the end of the stream"
ENDED = "the end of the stream"


def begin(how: str, sock: Socket) -> None:
    """Ask for an answer, and say in one of three ways that nothing follows.

    Request and ``close`` go in one piece: a server that has begun to send an answer which is not
    taken may read no further.
    """
    sock.sendall(REQUEST if how == ENDED else REQUEST + CLOSE)
    if how != CLOSED:
        sock.shutdown(socket.SHUT_WR)


@over_networks
def test_a_peer_that_has_said_close_and_does_not_read_is_let_go(
    serve: Serve, app: Application, sockets: ExitStack, authority: Authority
) -> None:
    """A server that has nothing more to say lingers for a bounded time, whatever its limits."""
    server = serve(app)
    ways = [CLOSED, CLOSED_AND_ENDED]
    peers = [plug_in(server, sockets, authority) for _ in ways]
    for how, sock in zip(ways, peers, strict=True):
        begin(how, sock)
    assert [ways[place] for place in still_there(server, peers, BOUND)] == []


@over_networks
def test_with_an_idle_timeout_no_peer_that_does_not_read_stays(
    serve: Serve, app: Application, sockets: ExitStack, authority: Authority
) -> None:
    """In whichever way it has ended; a mere end of the stream may not even have been read."""
    server = serve(app, limits=Limits(idle_timeout=2.0))
    ways = [CLOSED, CLOSED_AND_ENDED, ENDED]
    peers = [plug_in(server, sockets, authority) for _ in ways]
    for how, sock in zip(ways, peers, strict=True):
        begin(how, sock)
    assert [ways[place] for place in still_there(server, peers, BOUND)] == []


@over_networks
def test_a_peer_that_has_ended_and_reads_gets_its_whole_answer(
    serve: Serve, app: Application, sockets: ExitStack, authority: Authority
) -> None:
    """However much of the answer waits when the peer ends; the server then sees a good end."""
    server = serve(app)
    for how in (CLOSED, CLOSED_AND_ENDED, ENDED):
        sock = plug_in(server, sockets, authority)
        begin(how, sock)
        wait_until(lambda: server.events.messages, "the request has come")
        answer, *_goodbye = receive_all(sock)
        assert len(answer.body) == ANSWER
        name = name_of(sock)
        sock.close()
        assert server.ending_of(name) is None
        server.events.messages.clear()


@over_networks
def test_a_peer_that_pings_after_its_close_is_let_go(
    serve: Serve, app: Application, sockets: ExitStack, authority: Authority
) -> None:
    """What comes behind ``close`` is no sign of life: it takes nothing of what it is sent."""
    server = serve(app, limits=Limits(idle_timeout=2.0))
    sock = plug_in(server, sockets, authority)
    begin(CLOSED, sock)
    with doing_again_and_again(lambda: sock.sendall(PING)):
        assert still_there(server, [sock], BOUND) == []


@pytest.mark.parametrize("server_kind", ["both"])
def test_a_peer_that_has_ended_and_reads_slowly_gets_its_whole_answer(
    serve: Serve, app: Application, sockets: ExitStack, authority: Authority
) -> None:
    """Whoever takes something now and then is waited for longer than a server lingers.

    Both servers are watched at the same time, because it takes so long.
    """
    kinds: list[FrontEnd] = ["sync", "asyncio"]
    servers = [serve(app, front_end=kind) for kind in kinds]
    peers = [plug_in(server, sockets, authority) for server in servers]
    for sock in peers:
        begin(CLOSED, sock)
    processors = [MessageProcessor() for _ in peers]
    received: list[list[Message]] = [[] for _ in peers]
    until = time.monotonic() + LINGER + 2.0
    while time.monotonic() < until:
        for sock, processor, messages in zip(peers, processors, received, strict=True):
            messages.extend(processor.receive_messages(sock.recv(128 * 1024)))
        time.sleep(0.2)
    assert received == [[], []]
    for server, sock, processor, messages in zip(servers, peers, processors, received, strict=True):
        while not messages:
            data = sock.recv(MEBIBYTE)
            assert data, "the stream ended before the answer was whole"
            messages.extend(processor.receive_messages(data))
        assert len(messages[0].body) == ANSWER
        name = name_of(sock)
        sock.close()
        assert server.ending_of(name) is None


def test_a_refused_peer_that_stays_is_let_go(
    serve: Serve, app: Application, sockets: ExitStack, authority: Authority
) -> None:
    """It has its error, and neither reads that nor ends; nor does one that sends on."""
    server = serve(app)
    silent, talkative = (plug_in(server, sockets, authority) for _ in range(2))
    for sock in (silent, talkative):
        sock.sendall(b"\0\0")
    with doing_again_and_again(lambda: talkative.sendall(b"more")):
        assert still_there(server, [silent, talkative], BOUND) == []


def test_a_refused_peer_that_sends_on_without_end_is_cut(
    serve: Serve, app: Application, sockets: ExitStack, authority: Authority
) -> None:
    """What comes behind an error is dropped, so that the error arrives, but not without bound."""
    server = serve(app)
    sock = plug_in(server, sockets, authority)
    sock.sendall(b"\0\0")
    name = name_of(sock)
    with pytest.raises(ConnectionError):
        sock.sendall(bytes(200 * MEBIBYTE))
    assert isinstance(server.ending_of(name), ProtocolError)


@contextmanager
def doing_again_and_again(what: Callable[[], object]) -> Iterator[None]:
    """Do something five times a second in another thread, until the context ends or it fails."""
    may_end = threading.Event()

    def go_on() -> None:
        with suppress(OSError):
            while not may_end.wait(0.2):
                what()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    yield
    may_end.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@over_networks
def test_a_peer_that_was_far_too_slow_reads_why(
    serve: Serve, sockets: ExitStack, authority: Authority
) -> None:
    """What is on its way is completed, and the reason arrives behind it."""
    app = Application()
    refused: list[ConnectionClosedError] = []

    @app.on()
    def flood(message: Message, peer: Peer) -> None:
        try:
            while True:
                peer.send(bytes(1000))
        except ConnectionClosedError as error:
            refused.append(error.with_traceback(None))

    server = serve(app, limits=Limits(high_water=16 * 1024))
    sock = plug_in(server, sockets, authority)
    name = name_of(sock)
    sock.sendall(Message("x").to_bytes())
    wait_until(lambda: refused, "the peer is refused")
    assert (refused[0].by, refused[0].code) == ("us", "overloaded")
    *_messages, last = receive_all(sock)
    assert (last.kind, last.content["code"]) == ("error", "overloaded")
    sock.close()
    ending = server.ending_of(name)
    assert isinstance(ending, ConnectionClosedError)
    assert ending.code == "overloaded"
    assert ending.unsent > MEBIBYTE


def test_a_stream_that_stops_inside_a_message_was_ended_by_the_peer(pair: Pair) -> None:
    """A server that cuts a client off cannot say more, and the client is not to blame."""
    with pair() as (client, peer):
        peer.sendall(Message("x" * 1000).to_bytes()[:500])
        peer.close()
        with pytest.raises(ConnectionClosedError, match="the stream ended after 500 bytes") as told:
            client.receive(PATIENCE)
        assert (told.value.by, told.value.code) == ("peer", "closed")
