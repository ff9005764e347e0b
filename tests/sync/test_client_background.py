"""A blocking client with a thread of its own: it receives while the program does something else."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator

import pytest

import telex.sync
from telex import Application, ConnectionClosedError, Limits, Message, Peer
from tests.behaviour.stage import PATIENCE, RunningServer, wait_until

QUICK = Limits(ping_interval=0.2, ping_timeout=0.2)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """Serve, and hang up on whoever is silent."""
    app = Application()

    @app.on("echo")
    def echo(message: Message) -> object:
        return message.content

    @app.on("push")
    def push(message: Message, peer: Peer) -> None:
        peer.send(message.content)

    server = RunningServer("sync", app, "tcp://127.0.0.1:0", limits=QUICK)
    yield server
    server.stop()


def threads() -> list[threading.Thread]:
    """Return the threads of connections."""
    return [thread for thread in threading.enumerate() if thread.name == "telex-connection"]


def test_a_program_that_does_something_else_is_not_hung_up_on(
    server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Pings are answered at all times; without the thread, the server takes the client for gone."""
    address = server.address
    alone = telex.sync.connect(address, keepalive=True, limits=QUICK)
    with telex.sync.connect(address, keepalive=True, limits=QUICK, background=True) as connection:
        wait_until(lambda: "the answer to a ping" in caplog.text, "the silent client is refused")
        time.sleep(2 * (QUICK.ping_interval + QUICK.ping_timeout))
        answer = connection.request("still here", subject="echo", timeout=PATIENCE)
        assert answer.content == "still here"
        with pytest.raises(ConnectionClosedError, match="the answer to a ping"):
            alone.request("x", subject="echo")
    alone.close()


def test_messages_are_received_while_no_thread_waits(server: RunningServer) -> None:
    """They are there at once when the program takes them, and their order is kept."""
    with telex.sync.connect(server.address, background=True) as connection:
        for number in range(100):
            connection.send(number, subject="push")
        unread = connection._driver.connection.unread
        wait_until(lambda: unread.count == 100, "all has come")
        assert [connection.receive(0).content for _ in range(100)] == list(range(100))
        assert connection.ping() < PATIENCE
        requests = [Message(number, subject="echo") for number in range(500)]
        answers = list(connection.request_many(requests))
        assert [answer.content for answer in answers if isinstance(answer, Message)] == [
            *range(500)
        ]


def test_the_thread_ends_with_the_connection(server: RunningServer) -> None:
    """When it is closed, when the server ends it, and when the program forgets it."""
    with telex.sync.connect(server.address, background=True) as connection:
        assert len(threads()) == 1
    assert threads() == []
    forgotten = telex.sync.connect(server.address, background=True)
    assert forgotten.request("x", subject="echo").content == "x"
    del forgotten
    gc.collect()
    wait_until(lambda: not threads(), "the thread of a forgotten connection ends")
    connection = telex.sync.connect(server.address, background=True)
    server.stop()
    wait_until(lambda: not threads(), "the thread ends with the server")
    with pytest.raises(ConnectionClosedError):
        connection.receive()
    connection.close()
