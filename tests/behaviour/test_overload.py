"""A server that holds too much: who is ended is somebody whose end frees memory; others go on."""

from __future__ import annotations

import dataclasses
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from telex import Application, ConnectionClosedError, Limits, Message
from telex.application.peer import Peer
from tests.behaviour.stage import (
    PATIENCE,
    Background,
    Client,
    Connect,
    RunningServer,
    Serve,
    name_of,
    receive_all,
    receive_some,
    reset,
    wait_until,
)

MEBIBYTE = 1024 * 1024

MOST = 32 * MEBIBYTE
"""Bytes that the servers of these tests hold; what is coming in counts about twice."""

LIMITS = Limits(max_buffered=MOST, max_content_size=64 * MEBIBYTE)

SOON = 5.0
"""Seconds within which a server that holds too much has ended somebody."""

LARGE = 14 * MEBIBYTE
"""Bytes of a message that is most of it."""


class Stage:
    """An application whose handlers are at work on messages until the test lets them go."""

    def __init__(self) -> None:
        self.app = Application()
        self.at_work: list[int] = []
        self.may_go = threading.Event()

        @self.app.on("work", blocking=True, concurrent=True)
        def work(message: Message) -> str:
            self.at_work.append(len(message.body))
            self.may_go.wait(2 * PATIENCE)
            return "done"

        @self.app.on("swell")
        def swell(message: Message) -> bytes:
            return bytes(message.content)

        @self.app.on("push")
        def push(message: Message, peer: Peer) -> None:
            piece = bytes(MEBIBYTE)
            for _ in range(message.content):
                peer.send(piece)

        @self.app.on("echo")
        def echo(message: Message) -> object:
            return message.content


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Return the application; its handlers are let go with the test."""
    stage = Stage()
    yield stage
    stage.may_go.set()


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Close all plain sockets with the test."""
    with ExitStack() as sockets:
        yield sockets


def announcement(size: int) -> bytes:
    """Return the beginning of a message: all but its content of ``size`` bytes."""
    block = json.dumps({"content-length": size}).encode()
    return struct.pack(">H", len(block)) + block


def request(content: object, subject: str) -> bytes:
    """Return a request as it travels."""
    return Message(content, kind="request", id=1, subject=subject).to_bytes()


CLOSE = Message({"code": "closed", "detail": "that was all"}, kind="close").to_bytes()


def feed(sock: socket.socket, size: int) -> None:
    """Send so many zero bytes, or as many as the other side wants."""
    piece = bytes(MEBIBYTE)
    with suppress(OSError):
        for _ in range(size // MEBIBYTE):
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)


def have_at_work(size: int, stage: Stage, sock: socket.socket) -> None:
    """Have a handler at work on a message of so many bytes of this connection."""
    count = len(stage.at_work)
    sock.sendall(Message(bytes(size), subject="work").to_bytes())
    wait_until(lambda: len(stage.at_work) > count, "the handler is at work")


def be_greedy(server: RunningServer, sockets: ExitStack) -> None:
    """Send far more than the server holds on a new connection, which it must end for it."""
    greedy = sockets.enter_context(server.plug_in())
    name = name_of(greedy)
    greedy.sendall(announcement(64 * MEBIBYTE))
    feeding = Background(lambda: feed(greedy, 60 * MEBIBYTE))
    message = receive_all(greedy)[-1]
    assert (message.kind, message.content["code"]) == ("error", "overloaded")
    feeding.check()
    ending = server.ending_of(name)
    assert isinstance(ending, ConnectionClosedError)
    assert (ending.by, ending.code) == ("us", "overloaded")


def come_in_numbers(server: RunningServer, sockets: ExitStack, fewest: int) -> None:
    """Have eight peers begin messages of 8 MiB in memory each; at least so many must be refused.

    None of them alone holds much: they exceed what the server holds only together.
    """
    crowd = [sockets.enter_context(server.plug_in()) for _ in range(8)]
    beginning = announcement(8 * MEBIBYTE) + bytes(4 * MEBIBYTE)
    Background(*(lambda sock=sock: sock.sendall(beginning) for sock in crowd)).check()
    told: list[socket.socket] = []
    deadline = time.monotonic() + SOON
    while len(told) < fewest and time.monotonic() < deadline:
        told, _, _ = select.select(crowd, [], [], 0)
    assert len(told) >= fewest
    for sock in told:
        [message] = receive_some(sock, 1)
        assert (message.kind, message.content["code"]) == ("error", "overloaded")
    for sock in crowd:
        name = name_of(sock)
        sock.close()
        server.ending_of(name)


def goes_on(connection: Client) -> bool:
    """Say whether a connection is served."""
    answer = connection.request("x", subject="echo", timeout=PATIENCE)
    return bool(answer.content == "x")


def test_a_connection_that_is_gone_shields_nobody(
    serve: Serve, connect: Connect, stage: Stage, sockets: ExitStack
) -> None:
    """What a handler is at work on for it is freed by nobody's end: the next largest has to go."""
    server = serve(stage.app, limits=LIMITS)
    honest = connect(server)
    assert goes_on(honest)
    gone = server.plug_in()
    have_at_work(LARGE, stage, gone)
    reset(gone)
    be_greedy(server, sockets)
    come_in_numbers(server, sockets, 6)
    assert goes_on(honest)


def test_a_connection_that_was_cut_for_it_shields_nobody(
    serve: Serve, connect: Connect, stage: Stage, sockets: ExitStack
) -> None:
    """One that was ended because it held most, and still holds it, is not ended once more."""
    server = serve(stage.app, limits=LIMITS)
    honest = connect(server)
    assert goes_on(honest)
    large = sockets.enter_context(server.plug_in())
    have_at_work(LARGE, stage, large)
    name = name_of(large)
    large.sendall(announcement(12 * MEBIBYTE))
    Background(lambda: feed(large, 12 * MEBIBYTE)).wait()
    be_greedy(server, sockets)
    come_in_numbers(server, sockets, 6)
    assert goes_on(honest)
    stage.may_go.set()
    server.ending_of(name)


def test_a_connection_that_is_ending_shields_nobody(
    serve: Serve, connect: Connect, stage: Stage, sockets: ExitStack
) -> None:
    """One that has said close, and whose answer waits in the server, is no way out."""
    server = serve(stage.app, limits=LIMITS)
    honest = connect(server)
    assert goes_on(honest)
    ending = sockets.enter_context(server.plug_in())
    ending.sendall(request(LARGE, "swell") + CLOSE)
    wait_until(lambda: len(server.events.messages) == 2, "the request has come")
    come_in_numbers(server, sockets, 4)
    assert goes_on(honest)


def test_several_that_are_gone_shield_nobody(
    serve: Serve, connect: Connect, stage: Stage, sockets: ExitStack
) -> None:
    """However much is at work for connections that are gone, it costs no honest one."""
    server = serve(stage.app, limits=LIMITS)
    honest = [connect(server) for _ in range(3)]
    assert all(goes_on(connection) for connection in honest)
    for _ in range(2):
        gone = server.plug_in()
        have_at_work(9 * MEBIBYTE, stage, gone)
        reset(gone)
    be_greedy(server, sockets)
    come_in_numbers(server, sockets, 6)
    come_in_numbers(server, sockets, 7)
    assert all(goes_on(connection) for connection in honest)


def test_what_ends_frees_its_memory(
    serve: Serve, connect: Connect, stage: Stage, sockets: ExitStack
) -> None:
    """Greedy peers, one after another, each find the server as the first one found it."""
    server = serve(stage.app, limits=LIMITS)
    honest = connect(server)
    for _ in range(4):
        be_greedy(server, sockets)
        assert len(honest.request(bytes(4 * MEBIBYTE), subject="echo", timeout=PATIENCE).body) == (
            4 * MEBIBYTE
        )
    assert len(server.events.endings) == 4


def test_output_that_nobody_reads_is_ended_for_it(
    serve: Serve, connect: Connect, stage: Stage, sockets: ExitStack
) -> None:
    """Whoever reads nothing of what it asked for holds most of it, and is ended."""
    server = serve(stage.app, limits=LIMITS)
    honest = connect(server)
    unread = sockets.enter_context(server.plug_in())
    name = name_of(unread)
    unread.sendall(request(60 * MEBIBYTE, "swell"))
    ending = server.ending_of(name)
    assert isinstance(ending, ConnectionClosedError)
    assert (ending.by, ending.code) == ("us", "overloaded")
    assert goes_on(honest)


def test_what_was_pushed_to_a_peer_that_is_cut_off_costs_nobody_else(
    serve: Serve, connect: Connect, stage: Stage, sockets: ExitStack
) -> None:
    """It is free with the end of that connection, so nobody else is ended for it."""
    limits = dataclasses.replace(LIMITS, high_water=MEBIBYTE // 4)  # cut off at 64 MiB
    server = serve(stage.app, limits=limits)
    upload = Message(bytes(4 * MEBIBYTE), kind="request", id=1, subject="echo").to_bytes()
    honest = sockets.enter_context(server.plug_in())
    honest.sendall(upload[:-1])
    wait_until(lambda: server.events.missing[-1:] == [("CONTENT", 1)], "all but a byte has come")
    deaf = sockets.enter_context(server.plug_in())
    deaf.sendall(Message(1000, subject="push").to_bytes())
    ending = server.ending_of(name_of(deaf))
    assert "it reads far too slowly" in str(ending)
    honest.sendall(upload[-1:])
    [answer] = receive_some(honest, 1)
    assert answer.kind == "reply"


def test_answers_that_nobody_reads_shield_nobody_behind_a_close(
    serve: Serve, connect: Connect, stage: Stage, sockets: ExitStack
) -> None:
    """Peers that ask for much, say close and read nothing are ended before honest ones are."""
    server = serve(stage.app, limits=LIMITS)
    honest = connect(server)
    names = []
    for _ in range(6):
        deaf = sockets.enter_context(server.plug_in())
        names.append(name_of(deaf))
        deaf.sendall(request(LARGE, "swell") + CLOSE)
    upload = bytes(4 * MEBIBYTE)
    assert honest.request(upload, subject="echo", timeout=PATIENCE).body == upload
    ended = [server.ending_of(name) for name in server.events.gone]
    assert len(ended) >= 4
    for error in ended:
        assert isinstance(error, ConnectionClosedError)
        assert (error.by, error.code) == ("us", "overloaded")
        assert error.unsent > MEBIBYTE
    assert set(server.events.gone) <= set(names)
