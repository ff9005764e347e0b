"""Two connections joined in memory: nothing is opened, and nobody has to wait for nothing."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

import pytest

import telex
from telex import Application, Limits, Message, Peer
from telex.testing import connected

PATIENCE = 30.0


@pytest.fixture
def app() -> Application:
    """Return an application that echoes, counts and talks."""
    app = Application()

    @app.on("echo")
    def echo(message: Message) -> Message:
        return message

    @app.on("count", blocking=True)
    def count(message: Message) -> Iterator[int]:
        yield from range(message.content)

    @app.on("endless", concurrent=True)
    def endless(message: Message) -> Iterator[int]:
        yield from itertools.count()

    @app.on("talk")
    def talk(message: Message, peer: Peer) -> None:
        for _ in range(message.content):
            peer.send(bytes(1000))

    return app


def test_a_joined_connection_opens_no_socket_and_starts_no_thread(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes move in memory, in the thread of the test."""

    def refuse(*arguments: object, **keywords: object) -> NoReturn:
        raise AssertionError("nothing may be opened")

    monkeypatch.setattr(socket.socket, "__init__", refuse)
    threads = threading.active_count()
    with connected(app) as connection:
        assert connection.request("in memory", subject="echo").content == "in memory"
        assert list(connection.request_parts(3, subject="count"))
        assert threading.active_count() == threads


@pytest.mark.parametrize("high_water", [1, 1000, 10_000_000])
def test_an_end_that_is_backed_up_goes_on_when_the_other_has_read(
    app: Application, high_water: int
) -> None:
    """Everything sent is handled and answered, however little may be unsent at a time."""
    with connected(app, limits=Limits(high_water=high_water)) as connection:
        contents = [f"{number} {'x' * (number % 5 * 1000)}" for number in range(300)]
        connection.send_many([Message(content, subject="echo") for content in contents])
        assert [message.content for message in connection.received()] == contents
        answers = connection.request_many(Message(content, subject="echo") for content in contents)
        assert [answer.content for answer in answers if isinstance(answer, Message)] == contents


def test_a_long_answer_of_a_generator_that_blocks_comes_whole(app: Application) -> None:
    """Each part is made by a call of its own, and not by one inside the other."""
    with connected(app) as connection:
        parts = connection.request_parts(5000, subject="count")
        assert [part.content for part in parts] == list(range(5000))


def test_sending_beside_an_endless_answer_takes_an_end(app: Application) -> None:
    """What is sent is waited for, and not the end of the answer."""
    with connected(app) as connection:
        parts = connection.request_parts(None, subject="endless")
        assert next(parts).content == 0
        for _ in range(100):
            connection.send("once more", subject="echo")
        assert [part.content for part in itertools.islice(parts, 3)] == [1, 2, 3]
        parts.close()


def test_a_handler_may_say_more_than_is_taken_at_once(app: Application) -> None:
    """The client takes all of it when the handler has returned."""
    with connected(app) as connection:
        connection.send(3000, subject="talk")
        assert len(connection.received()) == 3000


def test_limits_of_time_hold_while_the_test_waits(app: Application) -> None:
    """The times of both ends run: a peer that is idle for too long is told to go."""
    with connected(app, limits=Limits(idle_timeout=0.1)) as connection:
        with pytest.raises(telex.ConnectionClosedError) as caught:
            connection.receive(timeout=PATIENCE)
        assert caught.value.by == "peer"
        assert caught.value.code == "timeout"


def test_a_message_in_pieces_comes_to_its_end(app: Application) -> None:
    """The application has each piece before the next one goes."""
    with connected(app) as connection:
        begin = time.monotonic()
        connection.send("in pieces", subject="echo", chunk_size=20, delay=0.01)
        assert time.monotonic() - begin > 0.01
        assert connection.received()[0].content == "in pieces"


def test_a_closed_connection_tells_the_peer_of_the_handlers(app: Application) -> None:
    """What the application sends afterwards is refused, as by a server."""
    with connected(app) as connection:
        connection.close()
        with pytest.raises(telex.ConnectionClosedError):
            connection.peer.send("too late")


def test_a_thread_that_waits_is_woken_by_the_thread_that_pumps(app: Application) -> None:
    """Each thread takes what comes, whoever has moved it."""
    with connected(app) as connection:
        taken: list[object] = []
        thread = threading.Thread(
            target=lambda: taken.append(connection.receive(timeout=PATIENCE).content)
        )
        thread.start()
        connection.send("for the other thread", subject="echo")
        thread.join(PATIENCE)
        assert taken == ["for the other thread"]


def test_the_end_of_the_test_handles_what_the_client_has_left(app: Application) -> None:
    """Also where an exception ends the test, and the client does not say goodbye."""
    handled: list[object] = []

    @app.on("note", blocking=True)
    def note(message: Message) -> None:
        handled.append(message.content)

    with pytest.raises(KeyboardInterrupt), connected(app) as connection:  # noqa: PT012
        connection.send_many([Message(number, subject="note") for number in range(3)])
        raise KeyboardInterrupt
    assert handled == [0, 1, 2]
