"""The server over real sockets: what peers of every kind get from it, and how it ends."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from telex import Application, ConnectionClosedError, Limits, Message
from telex.application.connected_peer import ConnectedPeer
from telex.application.peer import Peer
from telex.sync import serve
from telex.sync.server_driver import ServerDriver
from tests.sync.stage import (
    PATIENCE,
    Running,
    echoing,
    has_arrived,
    has_been_reset,
    name_of,
    other_end,
    receive_all,
    receive_one,
    receive_until_goodbye,
    reset,
    running,
    wait_until,
    warnings_about,
)

SMALL = Message("small").to_bytes()
STILL = 0.3
"""Seconds without any progress after which a connection counts as standing still."""


@pytest.fixture
def stage() -> Iterator[Running]:
    """Run a server that echoes."""
    with running() as stage:
        yield stage


def test_an_answer_that_a_reset_takes_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The first bytes for a peer that is gone are as unsent as those that had to wait."""
    app = Application()
    is_reset = threading.Event()

    @app.on()
    def answer(message: Message) -> bytes:
        assert is_reset.wait(PATIENCE)
        return bytes(5_000)

    with running(app) as stage:
        sock = stage.plug_in()
        name = name_of(sock)
        sock.sendall(SMALL)
        wait_until(lambda: stage.events.messages, "the message is there")
        end = other_end(stage, sock)
        reset(sock)
        wait_until(lambda: has_been_reset(end), "the reset arrives")
        is_reset.set()
        ending = stage.ending_of(name)
    assert isinstance(ending, ConnectionClosedError)
    assert ending.unsent > 5_000
    [line] = warnings_about(caplog, name)
    assert f"{ending.unsent:,} bytes were not sent" in line


def cutting(peers: list[Peer], limits: Limits, is_cut: threading.Event) -> Application:
    """Return an application that floods the first of ``peers`` on demand, until it is cut."""
    app = Application()
    app.on("join")(lambda message, peer: peers.append(peer))
    app.on("read")(lambda message: message.content)

    @app.on("cut")
    def cut(message: Message) -> None:
        with contextlib.suppress(ConnectionClosedError):
            while True:
                peers[0].send(bytes(limits.high_water * 5))
        is_cut.set()

    return app


def test_connection_that_is_cut_just_before_its_turn(caplog: pytest.LogCaptureFixture) -> None:
    """A peer that had something to say when another one's handler had it cut is not heard."""
    peers: list[Peer] = []
    limits = Limits(high_water=10_000)
    entered, go_on, is_cut = threading.Event(), threading.Event(), threading.Event()
    app = cutting(peers, limits, is_cut)

    @app.on("wait")
    def wait(message: Message) -> None:
        entered.set()
        assert go_on.wait(PATIENCE)

    with running(app, limits=limits) as stage, stage.plug_in() as victim:
        victim.sendall(Message("", subject="join").to_bytes())
        wait_until(lambda: peers, "the victim is known")
        with stage.plug_in() as culprit, stage.plug_in() as third:
            third.sendall(Message("", subject="wait").to_bytes())
            assert entered.wait(PATIENCE)
            culprit.sendall(Message("", subject="cut").to_bytes())
            wait_until(lambda: has_arrived(stage, culprit), "the culprit is heard first")
            victim.sendall(Message("", subject="join").to_bytes())
            name = name_of(victim)
            go_on.set()
            assert is_cut.wait(PATIENCE)
            victim.close()
            stage.ending_of(name)
            [line] = warnings_about(caplog, name)
    assert "reads far too slowly" in line
    assert len(peers) == 1


def test_message_of_another_thread_that_comes_too_late_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The thread that sent it is told nothing any more, so the log is, once for all of them."""
    with running() as stage:
        with stage.plug_in() as sock:
            name = name_of(sock)
        stage.ending_of(name)
        [peer] = stage.events.connections
        assert isinstance(peer, ConnectedPeer)
        for _ in range(3):
            peer._driver.post(peer._send_posted, Message("too late"))
        wait_until(lambda: warnings_about(caplog, name), "it is logged")
        [line] = warnings_about(caplog, name)
        peer._driver.refuse("overloaded", "not again")
        assert stage.events.endings == {}  # it had ended, and is not told to end twice
    assert "messages were not sent" in line
    assert "it ended its stream" in line


def test_server_without_observer_serves() -> None:
    """Nobody has to watch."""
    with running(observer=None) as stage, stage.plug_in() as sock:
        sock.sendall(SMALL + b"\0\0")
        assert receive_all(sock)[0].to_bytes() == SMALL


def test_fault_of_the_server_ends_one_connection_only(
    stage: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should the server itself be at fault, it is logged in full and the others go on."""
    with stage.plug_in() as other, stage.plug_in() as sock:
        name = name_of(sock)
        other.sendall(SMALL)
        assert receive_one(other).to_bytes() == SMALL
        with monkeypatch.context() as patch:
            patch.delattr(ServerDriver, "_receive")
            sock.sendall(SMALL)
            assert "a fault of this server" in str(stage.ending_of(name))
        [line] = warnings_about(caplog, name)
        assert line == f"{name}: ended by a fault of this server"
        other.sendall(SMALL)
        assert receive_one(other).to_bytes() == SMALL


def test_shutdown_before_serving_ends_it_at_once() -> None:
    """A server that was shut down early serves no turn, and is closed then."""
    with serve(echoing(), "tcp://127.0.0.1:0") as early:
        early.shutdown()
        early.serve_forever()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((early.address.host, early.address.port), PATIENCE)
        with pytest.raises(RuntimeError, match="the server is closed"):
            early.serve_forever()
        early.shutdown()


def test_server_serves_in_one_thread(stage: Running) -> None:
    """A second call of serve_forever while one is running is refused."""
    with stage.plug_in() as sock:
        sock.sendall(SMALL)
        assert receive_one(sock).to_bytes() == SMALL
        with pytest.raises(RuntimeError, match="serving already"):
            stage.server.serve_forever()


def test_close_from_another_thread_waits_until_all_is_closed(stage: Running) -> None:
    """When close returns, the port is free and every connection has ended; it may be repeated."""
    with stage.plug_in() as sock:
        sock.sendall(SMALL)
        assert receive_one(sock).to_bytes() == SMALL
        stage.server.close()
        assert stage.events.endings == {name_of(sock): None}
        assert receive_until_goodbye(sock) == []
    with serve(echoing(), stage.address):
        stage.server.close()


def test_exception_in_the_serving_thread_closes_everything() -> None:
    """What is not an error of a handler, such as Ctrl-C, ends the server, cleanly."""
    app = Application()

    @app.on()
    def leave(message: Message) -> None:
        raise KeyboardInterrupt

    with serve(app, "tcp://127.0.0.1:0") as leaving:
        with socket.create_connection((leaving.address.host, leaving.address.port)) as sock:
            sock.sendall(SMALL)
            with pytest.raises(KeyboardInterrupt):
                leaving.serve_forever()
            [told] = receive_all(sock)
        assert told.content["code"] == "shutting-down"
        with pytest.raises(RuntimeError, match="the server is closed"):
            leaving.serve_forever()
