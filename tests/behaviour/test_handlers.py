"""Handlers of both servers: in the server's thread, in threads of their own, and in parts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from telex import Application, ConnectionClosedError, Limits, Message, RemoteError
from telex.application.peer import Peer
from tests.behaviour.stage import (
    PATIENCE,
    Running,
    is_refused,
    name_of,
    receive_all,
    wait_until,
    wait_until_still,
    warnings_about,
)
from tests.talking import Talker


class Doorway:
    """Where handlers wait, to be seen and to be let through."""

    def __init__(self) -> None:
        self.inside = 0
        self.threads: set[str] = set()
        self._lock = threading.Lock()
        self._is_open = threading.Event()

    def wait(self) -> None:
        """Wait until the door is open."""
        with self._lock:
            self.inside += 1
            self.threads.add(threading.current_thread().name)
        assert self._is_open.wait(PATIENCE)
        with self._lock:
            self.inside -= 1

    def open(self) -> None:
        """Let everybody through."""
        self._is_open.set()


@pytest.fixture
def door() -> Iterator[Doorway]:
    """Return a doorway that is open at the end, so that nobody is left inside."""
    door = Doorway()
    yield door
    door.open()


def test_blocking_handlers_of_one_connection_keep_their_order(
    running: Running, door: Doorway
) -> None:
    """The next message is not handled before the one before it, in whichever thread."""
    order: list[int] = []
    app = Application()

    @app.on(blocking=True)
    def note(message: Message) -> None:
        time.sleep(0.001 * (message.content % 3))
        order.append(message.content)

    with running(app) as stage, Talker(stage.plug_in()) as talker:
        calls = [talker.ask(number) for number in range(50)]
        for call in calls:
            talker.answer_to(call)
    assert order == list(range(50))


def test_threads_are_as_many_as_asked_for(running: Running, door: Doorway) -> None:
    """Of twenty concurrent handlers no more than max_workers run at once; all are answered."""
    app = Application()

    @app.on(concurrent=True, blocking=True)
    def wait(message: Message) -> object:
        door.wait()
        return message.content

    with running(app, max_workers=3) as stage, Talker(stage.plug_in()) as talker:
        calls = [talker.ask(number) for number in range(20)]
        wait_until(lambda: door.inside == 3, "three handlers run")
        door.open()
        assert [talker.answer_to(call).content for call in calls] == list(range(20))
    assert len(door.threads) == 3


def test_failures_in_threads_are_answered_and_logged(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception in a thread, even one meant to end it, is the handler's failure and no more."""
    app = Application()

    @app.on("fail", blocking=True)
    def fail(message: Message) -> None:
        raise ValueError("a bug")

    @app.on("leave", blocking=True)
    def leave(message: Message) -> None:
        raise SystemExit(3)

    @app.on("echo", blocking=True)
    def echo(message: Message) -> object:
        return message.content

    with running(app, max_workers=1) as stage, Talker(stage.plug_in()) as talker:
        for subject in ("fail", "leave"):
            with pytest.raises(RemoteError) as caught:
                talker.answer_to(talker.ask("x", subject=subject))
            assert caught.value.code == "handler-failed"
        assert talker.answer_to(talker.ask("still here", subject="echo")).content == "still here"
        first, second = warnings_about(caplog, name_of(talker.socket))
    assert "fail failed on" in first
    assert "leave failed on" in second
    assert "ValueError: a bug" in caplog.text
    assert "SystemExit" in caplog.text


def test_handler_in_a_thread_sends_to_its_peer(running: Running) -> None:
    """What it sends goes before what it returns, in the order in which it did so."""
    app = Application()

    @app.on(blocking=True)
    def count(message: Message, peer: Peer) -> str:
        for number in range(100):
            peer.send(number)
        return "done"

    with running(app) as stage, Talker(stage.plug_in()) as talker:
        assert talker.answer_to(talker.ask("x")).content == "done"
        assert [message.content for message in talker.messages] == list(range(100))


def test_what_a_thread_sends_is_what_it_was_then(running: Running) -> None:
    """A message that is changed after it was sent by another thread arrives as it was sent."""
    app = Application()

    @app.on(blocking=True)
    def change(message: Message, peer: Peer) -> str:
        content = {"state": "sent"}
        told = Message(content)
        peer.send(told)
        peer.send(content)
        told.content = {"state": "changed"}
        content["state"] = "changed"
        return "done"

    with running(app) as stage, Talker(stage.plug_in()) as talker:
        talker.answer_to(talker.ask("x"))
        assert [message.content for message in talker.messages] == [{"state": "sent"}] * 2


def test_outcome_for_a_peer_that_has_gone_is_dropped(
    running: Running, door: Doorway, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that is done after its connection is harms nobody; the log says what was lost."""
    app = Application()
    done = threading.Event()

    @app.on(blocking=True)
    def wait(message: Message) -> bytes:
        door.wait()
        done.set()
        return bytes(1000)

    with running(app) as stage:
        with Talker(stage.plug_in()) as talker:
            name = name_of(talker.socket)
            talker.ask("x")
            wait_until(lambda: door.inside, "the handler waits")
            talker.socket.sendall(b"\0\0")
            assert receive_all(talker.socket)[-1].kind == "error"
        door.open()
        ending = stage.ending_of(name)
        assert done.wait(PATIENCE)
        with Talker(stage.plug_in()) as other:
            assert other.answer_to(other.ask("x")).body == bytes(1000)
        [line] = warnings_about(caplog, name)
    assert "0 bytes; the smallest is {}" in str(ending)
    assert "0 bytes; the smallest is {}" in line


@pytest.mark.parametrize("blocking", [False, True], ids=["direct", "blocking"])
def test_generator_is_not_asked_for_more_than_goes(running: Running, blocking: bool) -> None:
    """An endless answer is made as fast as it is read, and is ended when nobody is there."""
    yielded = 0
    is_closed = threading.Event()
    app = Application()

    @app.on("endless", blocking=blocking)
    def endless(message: Message) -> Iterator[bytes]:
        nonlocal yielded
        try:
            while True:
                yielded += 1
                yield bytes(10_000)
        finally:
            is_closed.set()

    with running(app, limits=Limits(high_water=50_000)) as stage, stage.plug_in() as sock:
        sock.sendall(Message("x", kind="request", id=1, subject="endless").to_bytes())
        assert sock.recv(1)
        wait_until_still(lambda: yielded)
        with Talker(stage.plug_in()) as other, pytest.raises(RemoteError, match="no-handler"):
            other.answer_to(other.ask("x"))
        assert not is_closed.is_set()
        sock.close()
        assert is_closed.wait(PATIENCE)


def test_generator_that_blocks_when_it_is_closed_keeps_nobody_waiting(
    running: Running, door: Doorway
) -> None:
    """When its peer takes nothing for too long, it is closed in a thread, in its own context."""
    user: ContextVar[str] = ContextVar("user", default="nobody")
    users: list[str] = []
    app = Application()
    app.on("echo")(lambda message: message.content)

    @app.on("endless", blocking=True)
    def endless(message: Message) -> Iterator[bytes]:
        user.set("somebody")
        try:
            while True:
                yield bytes(10_000)
        finally:
            door.wait()
            users.append(user.get())

    limits = Limits(high_water=50_000, idle_timeout=1.0)
    with running(app, limits=limits) as stage, stage.plug_in() as sock:
        sock.sendall(Message("x", kind="request", id=1, subject="endless").to_bytes())
        wait_until(lambda: door.inside, "the generator is being closed")
        with Talker(stage.plug_in()) as other:
            assert other.answer_to(other.ask("now", subject="echo")).content == "now"
        assert not users
        door.open()
        wait_until(lambda: users, "the generator is closed")
    assert users == ["somebody"]
    assert all(name.startswith("telex-handler") for name in door.threads)


def test_generator_ends_when_the_connection_is_refused(running: Running) -> None:
    """An endless answer to a peer that breaks the format ends with it."""
    is_closed = threading.Event()
    app = Application()

    @app.on("endless")
    def endless(message: Message) -> Iterator[bytes]:
        try:
            while True:
                yield bytes(10_000)
        finally:
            is_closed.set()

    with running(app, limits=Limits(high_water=50_000)) as stage, stage.plug_in() as sock:
        sock.sendall(Message("x", kind="request", id=1, subject="endless").to_bytes() + b"\0\0")
        *parts, told = receive_all(sock)
        assert told.kind == "error"
        assert told.content["code"] == "bad-message"
        assert {part.kind for part in parts} <= {"reply"}
        assert is_closed.wait(PATIENCE)


def test_hooks_run_before_the_first_and_after_the_last_connection(running: Running) -> None:
    """Start-up hooks in order, before anybody is let in; shutdown hooks when all have gone."""
    events: list[str] = []
    app = Application()

    @app.on_startup
    def open_database() -> None:
        events.append("open")

    @app.on_startup
    def fill_cache() -> None:
        events.append("fill")

    @app.on_shutdown
    def close_database() -> None:
        events.append(f"close after {len(stage.events.endings)}")

    @app.on()
    def note(message: Message) -> None:
        events.append("message")

    with running(app) as stage, Talker(stage.plug_in()) as talker:
        talker.answer_to(talker.ask("x"))
        stage.stop()
    assert events == ["open", "fill", "message", "close after 1"]


def test_shutdown_hook_that_fails_keeps_no_other_from_running(
    running: Running,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each of them is called; a failure is logged."""
    ended: list[str] = []
    app = Application()

    @app.on_shutdown
    def fail() -> None:
        raise RuntimeError("cannot close")

    app.on_shutdown(lambda: ended.append("second"))
    with running(app) as stage:
        stage.stop()
    assert ended == ["second"]
    assert "fail failed" in caplog.text
    assert "RuntimeError: cannot close" in caplog.text


def test_answer_after_shutdown_has_begun_is_sent(running: Running, door: Doorway) -> None:
    """A request that is being handled when the server ends is answered before the close."""
    app = Application()

    @app.on(blocking=True)
    def wait(message: Message) -> str:
        door.wait()
        return "in time"

    with running(app) as stage, Talker(stage.plug_in()) as talker:
        call = talker.ask("x")
        wait_until(lambda: door.inside, "the handler waits")
        stage.shutdown()
        wait_until(lambda: is_refused(stage), "it listens no more")
        door.open()
        assert talker.answer_to(call).content == "in time"
        talker.hear_out()
        assert talker.conversation.farewell is not None
        assert talker.conversation.farewell.code == "shutting-down"


def test_request_after_goodbye_fails_with_its_reason(running: Running) -> None:
    """What comes after the close is not handled, and whoever sent it knows from the close."""
    handled: list[object] = []
    app = Application()
    app.on()(lambda message: handled.append(message.content))
    with running(app) as stage, Talker(stage.plug_in()) as talker:
        talker.answer_to(talker.ask("early"))
        stage.shutdown()
        assert talker.socket.recv(1, 2) == b"\0"
        call = talker.ask("late")
        talker.hear_out()
        assert isinstance(call.error, ConnectionClosedError)
        assert call.error.code == "shutting-down"
    assert handled == ["early"]


def test_blocking_handler_keeps_nobody_else_waiting(running: Running, door: Doorway) -> None:
    """While one connection's handler waits in a thread, others are served, and then it is too."""
    app = Application()

    @app.on("wait", blocking=True)
    def wait(message: Message) -> str:
        door.wait()
        return f"waited for {message.content}"

    @app.on("echo")
    def echo(message: Message) -> object:
        return message.content

    with (
        running(app) as stage,
        Talker(stage.plug_in()) as patient,
        Talker(stage.plug_in()) as other,
    ):
        call = patient.ask("me", subject="wait")
        wait_until(lambda: door.inside == 1, "the handler waits")
        later = patient.ask("later", subject="echo")
        assert other.answer_to(other.ask("now", subject="echo")).content == "now"
        assert not call.is_done
        door.open()
        assert patient.answer_to(call).content == "waited for me"
        assert patient.answer_to(later).content == "later"
