"""Accepting: everybody gets in, when there is room, and nobody keeps the others from it."""

from __future__ import annotations

import errno
import gc
import logging
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from telex import Limits, Message
from telex.conversation.greeting import Greeting
from telex.network.listener import Listener
from telex.server import acceptor
from telex.server.registry import Registry
from telex.sync import serve
from telex.sync.acceptor import Acceptor
from telex.sync.loop import READ, Loop
from tests.sync.stage import PATIENCE, Running, echoing, receive_one, running, wait_until

SMALL = Message("small").to_bytes()


@pytest.fixture
def stage() -> Iterator[Running]:
    """Run a server that echoes."""
    with running() as stage:
        yield stage


def test_those_who_wait_are_accepted_over_several_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are accepted in one turn have connected before the server serves: all get in."""
    monkeypatch.setattr(acceptor, "MAX_IN_A_TURN", 2)
    with serve(echoing(), "tcp://127.0.0.1:0") as server:
        where = (server.address.host, server.address.port)
        waiting = [socket.create_connection(where, PATIENCE) for _ in range(5)]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for sock in waiting:
            with sock:
                sock.sendall(SMALL)
                assert receive_one(sock).to_bytes() == SMALL
        server.shutdown()
        thread.join(PATIENCE)


def test_connection_that_ends_before_it_is_let_in_harms_nobody(
    stage: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should setting up a connection fail, it is closed, and the next one is served."""
    caplog.set_level(logging.DEBUG, "telex.server")

    def fail(sock: socket.socket) -> None:
        raise OSError(errno.EINVAL, "x")

    with monkeypatch.context() as patch:
        patch.setattr(acceptor, "prepare", fail)
        with stage.plug_in() as sock:
            assert sock.recv(1) == b""
        line = "ended before it was accepted: invalid argument"
        wait_until(lambda: line in caplog.text, "it is logged")
    with stage.plug_in() as sock:
        sock.sendall(SMALL)
        assert receive_one(sock).to_bytes() == SMALL


def test_accepting_rests_without_descriptors(
    stage: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """Out of descriptors: it is said once, those connected are served, and the others wait."""
    with stage.plug_in() as early, socket.socket() as late:
        early.sendall(SMALL)
        assert receive_one(early).to_bytes() == SMALL
        late.settimeout(PATIENCE)
        gc.collect()  # what other tests have left behind is not given back meanwhile
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with Path("/dev/null").open("rb") as highest:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno(), hard))
        try:
            late.connect((stage.address.host, stage.address.port))
            wait_until(lambda: "too many open files" in caplog.text, "it is logged")
            early.sendall(SMALL)
            assert receive_one(early).to_bytes() == SMALL
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        late.sendall(SMALL)
        assert receive_one(late).to_bytes() == SMALL
    assert caplog.text.count("too many open files") == 1


def test_accepting_rests_on_a_socket_that_does_not_listen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What no peer is to blame for does not keep the loop busy: it is said once, and waited."""
    loop = Loop(Registry(echoing(), Limits(), Greeting("test"), None, None, None))
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as connection,
    ):
        accepting = Acceptor(Listener(connection), loop)
        for _ in range(2):
            loop.watch(accepting, READ)
            accepting.ready(READ)
            assert not accepting.watched
        loop.forget(accepting)
    loop.close()
    assert caplog.text.count("new connections have to wait: invalid argument") == 1


def test_acceptor_that_rested_twice_is_forgotten_when_closed() -> None:
    """A server that ends while its acceptor rests accepts once more; then no rest is left."""
    loop = Loop(Registry(echoing(), Limits(), Greeting("test"), None, None, None))
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as connection,
    ):
        accepting = Acceptor(Listener(connection), loop)
        loop.watch(accepting, READ)
        for _ in range(2):
            accepting.ready(READ)
        loop.forget(accepting)
    rested = loop.now + acceptor.REST_SECONDS
    while loop.now < rested:
        loop.turn(rested)
    assert not accepting.watched
    loop.close()
