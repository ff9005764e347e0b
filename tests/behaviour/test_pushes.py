"""Messages that a server pushes before an answer: a client keeps them, within bounds."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telex import Application, ConnectionClosedError, Message, RequestTimeoutError
from telex.application.peer import Peer
from tests.behaviour.stage import (
    PATIENCE,
    Background,
    Connect,
    Serve,
    receive_some,
    wait_until,
    wait_until_still,
)
from tests.behaviour.transports import over_networks

MEBIBYTE = 1024 * 1024

INBOX = 16 * MEBIBYTE
"""Bytes of unread messages at which a client stops reading while nobody waits for an answer."""

MOST = 4 * INBOX
"""Bytes of unread messages at which it stops while somebody does."""

NETWORK = 40 * MEBIBYTE
"""Bytes that the buffers of the system and of one read may hold besides."""

STALL = 5.0
"""Seconds after which a client gives up answers that are behind too much."""


@pytest.fixture
def app() -> Application:
    """Return an application that pushes as many MiB as it is asked for, and then answers."""
    app = Application()

    @app.on("push")
    def push(message: Message, peer: Peer) -> str:
        content = bytes(MEBIBYTE)
        for number in range(message.content):
            peer.send(content, headers={"number": number})
        return "done"

    return app


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen without a server of Telex: the test is the server."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE)
        yield sock


@over_networks
def test_an_answer_behind_pushed_messages_is_had(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Behind more than an inbox holds; the messages are still there, in their order."""
    connection = connect(serve(app))
    assert connection.request(20, subject="push", timeout=5.0).content == "done"
    numbers = [connection.receive(PATIENCE).headers["number"] for _ in range(20)]
    assert numbers == list(range(20))


def test_answers_behind_several_pushes_are_had(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """An inbox that is full from before keeps no later answer away."""
    connection = connect(serve(app))
    for _ in range(3):
        assert connection.request(12, subject="push", timeout=5.0).content == "done"
    numbers = [connection.receive(PATIENCE).headers["number"] for _ in range(36)]
    assert numbers == [*range(12)] * 3


def test_an_answer_behind_far_too_much_is_given_up(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Past four inboxes the request fails in its time; nothing of what was pushed is lost."""
    connection = connect(serve(app))
    begin = time.monotonic()
    with pytest.raises(RequestTimeoutError):
        connection.request(96, subject="push", timeout=3 * STALL)
    took = time.monotonic() - begin
    numbers = [connection.receive(PATIENCE).headers["number"] for _ in range(96)]
    assert numbers == list(range(96))
    assert connection.request(0, subject="push", timeout=PATIENCE).content == "done"
    assert STALL - 0.5 < took < 2 * STALL


def test_a_client_that_waits_for_an_answer_holds_four_inboxes(
    connect: Connect, listener: socket.socket
) -> None:
    """It reads on past one, and no further past the fourth, whatever it is sent."""
    host, port = listener.getsockname()
    connection = connect(f"tcp://{host}:{port}")
    sock, _address = listener.accept()
    with sock:
        sock.settimeout(PATIENCE)
        asking = Background(lambda: connection.request("x", timeout=2 * STALL))
        [request] = receive_some(sock, 1)
        message = Message(bytes(MEBIBYTE)).to_bytes()
        pushed = 0

        def push() -> None:
            nonlocal pushed
            for _ in range(2 * MOST // MEBIBYTE):
                sock.sendall(message)
                pushed += MEBIBYTE

        pushing = Background(push)
        wait_until_still(lambda: pushed)
        held = pushed
        assert asking.is_under_way
        assert pushing.is_under_way
        asking.wait_for(RequestTimeoutError)
        sock.shutdown(socket.SHUT_RDWR)
        pushing.wait()
    assert request.content == "x"
    assert INBOX + NETWORK < held <= MOST + NETWORK


def test_a_client_that_waits_for_nothing_holds_one_inbox(
    connect: Connect, listener: socket.socket
) -> None:
    """What nobody takes and nobody waits behind stays in the network; all is there to be had."""
    host, port = listener.getsockname()
    connection = connect(f"tcp://{host}:{port}")
    sock, _address = listener.accept()
    with sock:
        sock.settimeout(PATIENCE)
        message = Message(bytes(MEBIBYTE)).to_bytes()
        pushed = 0

        def push() -> None:
            nonlocal pushed
            for _ in range(64):
                sock.sendall(message)
                pushed += 1

        pushing = Background(push)
        assert len(connection.receive(PATIENCE).body) == MEBIBYTE
        wait_until_still(lambda: pushed)
        held = pushed * MEBIBYTE
        for _ in range(63):
            assert len(connection.receive(PATIENCE).body) == MEBIBYTE
        pushing.check()
    assert held <= INBOX + NETWORK


def test_a_peer_that_reads_no_more_cannot_push_more_than_an_inbox(
    connect: Connect, tmp_path: Path
) -> None:
    """Sending fails, and why is looked for behind what waits, but not past a full inbox."""
    count = 1024
    message = Message(bytes(64 * 1024)).to_bytes()
    pushed = 0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/socket")
        listener.listen()
        connection = connect(f"unix://{tmp_path}/socket")
        sock, _address = listener.accept()
    with sock:
        sock.settimeout(2 * PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)

        def push() -> None:
            nonlocal pushed
            for _ in range(count):
                sock.sendall(message)
                pushed += len(message)

        pushing = Background(push)
        wait_until_still(lambda: pushed)
        held_before = pushed
        sock.shutdown(socket.SHUT_RD)

        def send_fails() -> bool:
            try:
                connection.send("x")
            except ConnectionClosedError:
                return True
            return False

        wait_until(send_fails, "sending fails")
        wait_until_still(lambda: pushed)
        held = pushed
        for _ in range(count):
            assert len(connection.receive(PATIENCE).body) == 64 * 1024
        pushing.check()
    assert held <= max(held_before, INBOX + MEBIBYTE // 4)
