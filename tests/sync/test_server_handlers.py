"""Handlers on the selectors server: in its thread, in threads of their own, and in parts."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from telex import Application, ConnectionClosedError, Limits, Message, RemoteError
from telex.application.peer import Peer
from telex.sync import serve
from tests.sync.stage import (
    PATIENCE,
    name_of,
    receive_all,
    running,
    wait_until,
    warnings_about,
)
from tests.sync.talking import Talker


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


def test_blocking_handler_keeps_nobody_else_waiting(door: Doorway) -> None:
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


def test_blocking_handlers_of_one_connection_keep_their_order(door: Doorway) -> None:
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


def test_threads_are_as_many_as_asked_for(door: Doorway) -> None:
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


def test_server_without_blocking_handlers_has_no_threads() -> None:
    """What nobody needs is not there: serving takes one thread."""
    with running() as stage, Talker(stage.plug_in()) as talker:
        talker.answer_to(talker.ask("hello"))
        assert stage.server._registry.threads._threads == []


def test_failures_in_threads_are_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
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


def test_handler_in_a_thread_sends_to_its_peer() -> None:
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


def test_what_a_thread_sends_is_what_it_was_then() -> None:
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
    door: Doorway, caplog: pytest.LogCaptureFixture
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
        ending = stage.ending_of(name)
        door.open()
        assert done.wait(PATIENCE)
        with Talker(stage.plug_in()) as other:
            assert other.answer_to(other.ask("x")).body == bytes(1000)
        [line] = warnings_about(caplog, name)
    assert "0 bytes; the smallest is {}" in str(ending)
    assert "0 bytes; the smallest is {}" in line


@pytest.mark.parametrize("blocking", [False, True], ids=["direct", "blocking"])
def test_generator_is_not_asked_for_more_than_goes(blocking: bool) -> None:
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
        before = 0
        while yielded > before:
            before = yielded
            threading.Event().wait(0.3)
        with Talker(stage.plug_in()) as other, pytest.raises(RemoteError, match="no-handler"):
            other.answer_to(other.ask("x"))
        assert not is_closed.is_set()
        sock.close()
        assert is_closed.wait(PATIENCE)


def test_generator_ends_when_the_connection_is_refused() -> None:
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
        stage.stop()
        assert stage.server._registry.bytes_held == 0


def test_async_handlers_are_refused_at_once() -> None:
    """serve() names all that need an event loop, and who has one."""
    app = Application()

    @app.on("one")
    async def wait_for_it(message: Message) -> None: ...

    @app.on("many")
    async def wait_for_them(message: Message) -> AsyncIterator[str]:
        yield "part"

    @app.on_startup
    async def connect_to_the_database() -> None: ...

    with pytest.raises(TypeError) as caught:
        serve(app, "tcp://127.0.0.1:0")
    for name in ("wait_for_it", "wait_for_them", "connect_to_the_database", "telex.asyncio.serve"):
        assert name in str(caught.value)


def test_hooks_run_before_the_first_and_after_the_last_connection() -> None:
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


def test_server_whose_startup_fails_closes() -> None:
    """The exception of a start-up hook comes out of serve_forever; nobody was let in."""
    ended: list[str] = []
    app = Application()
    app.on_shutdown(lambda: ended.append("shutdown"))

    @app.on_startup
    def fail() -> None:
        raise RuntimeError("no database")

    with serve(app, "tcp://127.0.0.1:0") as server:
        with pytest.raises(RuntimeError, match="no database"):
            server.serve_forever()
        with pytest.raises(RuntimeError, match="the server is closed"):
            server.serve_forever()
    assert ended == []


def test_shutdown_hook_that_fails_keeps_no_other_from_running(
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


def test_answer_after_shutdown_has_begun_is_sent(door: Doorway) -> None:
    """A request that is being handled when the server ends is answered before the close."""
    app = Application()

    @app.on(blocking=True)
    def wait(message: Message) -> str:
        door.wait()
        return "in time"

    with running(app) as stage, Talker(stage.plug_in()) as talker:
        call = talker.ask("x")
        wait_until(lambda: door.inside, "the handler waits")
        stage.server.shutdown()
        wait_until(
            lambda: not stage.server._listeners[0].socket.fileno() >= 0, "it listens no more"
        )
        door.open()
        assert talker.answer_to(call).content == "in time"
        talker.hear_out()
        assert talker.conversation.farewell is not None
        assert talker.conversation.farewell.code == "shutting-down"


def test_request_after_goodbye_fails_with_its_reason() -> None:
    """What comes after the close is not handled, and whoever sent it knows from the close."""
    handled: list[object] = []
    app = Application()
    app.on()(lambda message: handled.append(message.content))
    with running(app) as stage, Talker(stage.plug_in()) as talker:
        talker.answer_to(talker.ask("early"))
        stage.server.shutdown()
        assert talker.socket.recv(1, 2) == b"\0"
        call = talker.ask("late")
        talker.hear_out()
        assert isinstance(call.error, ConnectionClosedError)
        assert call.error.code == "shutting-down"
    assert handled == ["early"]
