"""Handlers that take longer than a call: awaited, in threads, in parts, in order or not."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any, cast

import pytest

from telex import Application, ContentError, Limits, Message, RemoteError
from telex.application.dispatcher import Dispatcher
from telex.application.peer import Peer
from telex.asyncio import server_driver
from telex.asyncio.handler_tasks import HandlerTasks
from telex.asyncio.server_driver import ServerDriver
from telex.asyncio.server_loop import ServerLoop

from .stage import PATIENCE, in_loop, serving, wait_until


@in_loop
async def test_async_handlers_keep_the_order() -> None:
    """Messages of one connection are handled one after the other, whatever each takes."""
    app = Application()
    begun: list[int] = []
    ended: list[int] = []

    @app.on()
    async def handle(message: Message) -> int:
        number: int = message.content
        begun.append(number)
        await asyncio.sleep(0.002 if number % 10 == 0 else 0)
        assert begun[-1] == number
        ended.append(number)
        return number

    async with serving(app) as stage, stage.connect() as connection:
        answers = await asyncio.gather(*(connection.request(number) for number in range(200)))
    assert [answer.content for answer in answers] == list(range(200))
    assert begun == ended == list(range(200))


@in_loop
async def test_handlers_that_never_wait_share_one_task() -> None:
    """What can be handled at once is, without a task for each message."""
    app = Application()
    tasks = set()

    @app.on()
    async def handle(message: Message) -> None:
        tasks.add(asyncio.current_task())

    async with serving(app) as stage, stage.connect() as connection:
        for _ in range(100):
            connection._conversation.send(Message("x"))
        await connection.request("x")
    assert len(tasks) < 10


@in_loop
async def test_plain_handlers_keep_the_order_too() -> None:
    """A plain handler waits for the async one before it."""
    app = Application()
    handled: list[object] = []

    @app.on("slow")
    async def slow(message: Message) -> None:
        await asyncio.sleep(0.02)
        handled.append(message.content)

    @app.on("fast")
    def fast(message: Message) -> None:
        handled.append(message.content)

    async with serving(app) as stage, stage.connect() as connection:
        for number in range(6):
            await connection.send(number, subject="slow" if number % 2 else "fast")
        await connection.request(6, subject="fast")
    assert handled == list(range(7))


@in_loop
async def test_concurrent_handlers_overtake_each_other() -> None:
    """A ``concurrent`` handler does not keep later messages waiting."""
    app = Application()
    gate = asyncio.Event()

    @app.on("wait", concurrent=True)
    async def wait(message: Message) -> str:
        await gate.wait()
        return "waited"

    @app.on("open")
    async def open_gate(message: Message) -> None:
        gate.set()

    async with serving(app) as stage, stage.connect() as connection:
        waiting = [asyncio.create_task(connection.request("", subject="wait")) for _ in range(5)]
        await connection.request("", subject="open")
        assert {(await task).content for task in waiting} == {"waited"}


@in_loop
async def test_generators_end_with_the_connection() -> None:
    """An async generator whose peer is gone is closed, at whatever it waits for."""
    app = Application()
    ended: list[str] = []

    @app.on("wait")
    async def wait(message: Message) -> Any:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.append("wait")

    @app.on("flood", concurrent=True)
    async def flood(message: Message) -> Any:
        try:
            while True:
                yield b"x" * 10_000
        finally:
            ended.append("flood")

    limits = Limits(high_water=50_000)
    async with serving(app, limits=limits) as stage, stage.plug_in() as plain:
        plain.send(
            *(
                Message(b"", subject=s, kind="request", id=i)
                for i, s in enumerate(("flood", "wait"), 1)
            )
        )
        await plain.receive()
        await wait_until(lambda: stage.events.messages[1:], "both are asked")
        plain.reset()
        await wait_until(lambda: len(ended) == 2, "both generators are closed")
        await stage.ending()


@in_loop
async def test_a_generator_goes_on_where_its_output_alone_held_reading_up() -> None:
    """Nothing else would wake it, where so many requests wait that the peer is not read from."""
    app = Application()
    peers: list[Any] = []

    @app.on("long")
    async def long(message: Message, peer: Peer) -> Any:
        peers.append(peer)
        for _ in range(3):
            yield bytes(8_000_000)

    limits = Limits(max_pending=1)
    async with serving(app, limits=limits) as stage, stage.plug_in() as plain:
        plain.send(Message(b"", subject="long", kind="request", id=1))
        await wait_until(lambda: peers and peers[0].queues.unsent, "more waits than is taken")
        parts = [await plain.receive() for _ in range(4)]
    assert [len(part.body) for part in parts] == [8_000_000] * 3 + [0]


@in_loop
async def test_generators_end_that_begin_in_the_turn_in_which_their_connection_ends() -> None:
    """Plain messages are handled in any case; nobody receives what would come of them."""
    app = Application()
    begun: list[object] = []
    ended: list[object] = []

    @app.on("wait", concurrent=True)
    async def wait(message: Message) -> Any:
        begun.append(message)
        try:
            await asyncio.Event().wait()
            yield 1
        finally:
            ended.append(message)

    limits = Limits(max_pending=5_000)
    async with serving(app, limits=limits) as stage, stage.plug_in() as plain:
        plain.send_bytes(Message(b"", subject="wait").to_bytes() * 1_500)
        await wait_until(lambda: begun, "the first is handled")
        plain.reset()
        await stage.ending()
        await wait_until(lambda: len(ended) == len(begun), "all generators are closed")
        await wait_until(lambda: not stage.server._server.tasks, "no task is left")
        registry = stage.server._server.registry
        await wait_until(lambda: registry.bytes_held == 0, "nothing is counted any more")


@in_loop
async def test_a_generator_is_cancelled_once() -> None:
    """What it awaits when it is closed is not cancelled by the turns of its connection."""
    app = Application()
    is_closing, may_end = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    @app.on("endless")
    async def endless(message: Message) -> Any:
        try:
            while True:
                yield b"x" * 10_000
        finally:
            is_closing.set()
            try:
                await may_end.wait()
                ended.append("in peace")
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

    limits = Limits(high_water=50_000)
    async with serving(app, limits=limits) as stage, stage.plug_in() as plain:
        plain.send(Message(b"", subject="endless", kind="request", id=1))
        await plain.receive()
        [driver] = stage.server._server.registry.drivers
        plain.reset()
        await asyncio.wait_for(is_closing.wait(), PATIENCE)
        for _ in range(3):
            driver.turn()
            await asyncio.sleep(0)
        assert not ended
        may_end.set()
        await wait_until(lambda: ended, "the generator is closed")
        await stage.ending()
    assert ended == ["in peace"]


@in_loop
async def test_a_part_that_cannot_be_sent_ends_the_answer() -> None:
    """What is too large or no content at all is answered as a failure, and the generator closed."""
    app = Application()
    closed: list[str] = []

    @app.on("async")
    async def in_task(message: Message) -> Any:
        try:
            yield object()
        finally:
            closed.append("async")

    @app.on("thread", blocking=True)
    def in_thread(message: Message) -> Any:
        try:
            yield object()
        finally:
            closed.append("thread")

    async with serving(app) as stage, stage.connect() as connection:
        for subject in ("async", "thread"):
            with pytest.raises(RemoteError, match="handler-failed"):
                await connection.request("x", subject=subject)
            await wait_until(lambda: subject in closed, "the generator is closed")  # noqa: B023


@in_loop
async def test_failures_are_told_whatever_runs_the_handler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Exceptions in tasks, threads and generators are logged, and answered without details."""
    app = Application()

    @app.on("task")
    async def task(message: Message) -> None:
        raise ValueError("secret")

    @app.on("thread", blocking=True)
    def thread(message: Message) -> None:
        raise StopIteration("secret")

    @app.on("exit", blocking=True)
    def leave(message: Message) -> None:
        raise SystemExit("secret")

    @app.on("generator")
    async def generator(message: Message) -> Any:
        yield await asyncio.sleep(0, int("secret"))

    @app.on("cancelled")
    async def cancelled(message: Message) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async with serving(app) as stage, stage.connect() as connection:
        for subject in ("task", "thread", "exit", "generator", "cancelled"):
            with pytest.raises(RemoteError) as raised:
                await connection.request("x", subject=subject)
            assert str(raised.value) == "handler-failed: the handler failed"
    assert caplog.text.count("secret") >= 4


@pytest.mark.parametrize("concurrent", [False, True])
@in_loop
async def test_no_exception_of_a_handler_ends_its_connection(
    concurrent: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even those that end programs, or come from below Python; later requests are answered."""

    class PanicError(BaseException):
        pass

    app = Application()

    @app.on("panic", concurrent=concurrent)
    async def panic(message: Message) -> None:
        raise PanicError("secret")

    @app.on("exit", concurrent=concurrent)
    async def leave(message: Message) -> None:
        raise SystemExit("secret")

    @app.on("parts", concurrent=concurrent)
    async def parts(message: Message) -> Any:
        yield 1
        raise PanicError("secret")

    @app.on("fine", concurrent=concurrent)
    async def fine(message: Message) -> str:
        return "fine"

    async with serving(app) as stage, stage.connect() as connection:
        for subject in ("panic", "exit", "parts"):
            with pytest.raises(RemoteError, match="handler-failed"):
                await connection.request("x", subject=subject, timeout=PATIENCE)
            assert (await connection.request("x", subject="fine")).content == "fine"
        assert not stage.server._server.tasks
    assert caplog.text.count("failed on a message") == 3


@pytest.mark.parametrize("concurrent", [False, True])
@in_loop
async def test_a_handler_that_cancels_itself_fails_alone(concurrent: bool) -> None:
    """Its request is answered, and the next handler does not notice."""
    app = Application()

    @app.on("cancel", concurrent=concurrent)
    async def cancel(message: Message) -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if message.content == "wait":
            await asyncio.Event().wait()
        return "returned before it noticed"

    @app.on("next", concurrent=concurrent)
    async def follow(message: Message) -> str:
        await asyncio.sleep(0)
        return "not cancelled"

    async with serving(app) as stage, stage.connect() as connection:
        for _ in range(2):
            waited, *answers = [
                asyncio.create_task(connection.request(content, subject=subject))
                for content, subject in (("wait", "cancel"), ("", "cancel"), ("", "next"))
            ]
            with pytest.raises(RemoteError, match="handler-failed"):
                await waited
            assert [(await answer).content for answer in answers] == [
                "returned before it noticed",
                "not cancelled",
            ]


class Faulty:
    """A dispatcher with a method that fails; those of a compiled class cannot be replaced."""

    def __init__(self, dispatcher: Dispatcher, method: str) -> None:
        self._dispatcher = dispatcher
        self._method = method

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._method else getattr(self._dispatcher, name)

    def _fail(self, *arguments: object) -> None:
        raise ZeroDivisionError("a mistake of the server")


@pytest.mark.parametrize(
    ("concurrent", "method"), [(False, "returned"), (False, "advance"), (True, "returned")]
)
@in_loop
async def test_a_fault_after_a_handler_ends_its_connection(
    concurrent: bool, method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The peer does not wait for ever, the fault is logged, and other connections are served."""
    app = Application()

    @app.on("x", concurrent=concurrent)
    async def handle(message: Message) -> bytes:
        return b"answer"

    def faulty(server: ServerLoop, dispatcher: Dispatcher, driver: ServerDriver) -> HandlerTasks:
        return HandlerTasks(server, cast("Dispatcher", Faulty(dispatcher, method)), driver)

    async with serving(app) as stage, stage.connect() as other:
        async with stage.plug_in() as plain:
            with monkeypatch.context() as patch:
                patch.setattr(server_driver, "HandlerTasks", faulty)
                plain.send(Message(b"", subject="x", kind="request", id=1))
                error = await stage.ending()
        assert error is not None
        assert "a fault of this server" in str(error)
        assert (await other.request(b"", subject="x")).body == b"answer"
    [record] = [one for one in caplog.records if "a fault of this server" in one.message]
    assert isinstance((record.exc_info or [None, None])[1], ZeroDivisionError)
    assert "never retrieved" not in caplog.text


@in_loop
async def test_handlers_work_where_tasks_begin_at_once() -> None:
    """With ``asyncio.eager_task_factory`` a handler may be done before its task is known."""
    app = Application()

    @app.on("in order")
    async def in_order(message: Message) -> object:
        return message.content

    @app.on("concurrent", concurrent=True)
    async def concurrent(message: Message) -> object:
        return message.content

    async with serving(app) as stage, stage.connect() as connection:
        asyncio.get_running_loop().set_task_factory(eager_task)
        for subject in ("in order", "concurrent") * 2:
            answer = await connection.request("x", subject=subject, timeout=PATIENCE)
            assert answer.content == "x"
        assert not stage.server._server.tasks


def eager_task(loop: Any, coroutine: Any, **options: Any) -> Any:
    """Make a task whose first step is done at once, as Python 3.12 can."""
    if sys.version_info >= (3, 12):
        return asyncio.eager_task_factory(loop, coroutine, **options)
    loop.call_soon = lambda *call, **context: None
    task = asyncio.tasks._PyTask(coroutine, loop=loop, **options)  # type: ignore[attr-defined]
    del loop.call_soon
    running = asyncio.current_task(loop)
    if running is not None:
        asyncio.tasks._leave_task(loop, running)
    task._Task__step()
    if running is not None:
        asyncio.tasks._enter_task(loop, running)
    return task


@in_loop
async def test_generators_that_block_are_closed_where_they_run() -> None:
    """What one does at its end may block too, and it may fail; neither hurts anybody else."""
    app = Application()
    closed: list[bool] = []

    @app.on("unfit", blocking=True)
    def unfit(message: Message) -> Any:
        try:
            yield object()
        finally:
            closed.append(threading.current_thread() is threading.main_thread())

    @app.on("endless", blocking=True)
    def endless(message: Message) -> Any:
        try:
            while True:
                yield b"x"
        finally:
            closed.append(threading.current_thread() is threading.main_thread())
            raise ZeroDivisionError

    async with serving(app) as stage:
        async with stage.connect() as connection:
            with pytest.raises(RemoteError, match="handler-failed"):
                await connection.request("x", subject="unfit")
        async with stage.plug_in() as plain:
            plain.send(Message("", subject="endless", kind="request", id=1))
            await plain.receive()
            plain.reset()
            await wait_until(lambda: len(closed) == 2, "both generators are closed")
            drivers = stage.server._server.registry.drivers
            await wait_until(lambda: not drivers, "both are gone")
    assert closed == [False, False]


@in_loop
async def test_hooks_frame_the_life_of_a_server() -> None:
    """Start-up hooks run before the first connection, shutdown hooks after the last; both kinds."""
    app = Application()
    told: list[str] = []

    @app.on_startup
    async def prepare() -> None:
        await asyncio.sleep(0)
        told.append("started")

    @app.on_startup
    def prepare_more() -> None:
        told.append("started more")

    @app.on_shutdown
    def fail() -> None:
        raise RuntimeError("a hook that fails keeps no other from running")

    @app.on_shutdown
    async def tidy() -> None:
        told.append("ended")

    @app.on()
    def handle(message: Message) -> None:
        told.append("handled")

    async with serving(app) as stage, stage.connect() as connection:
        await connection.request("x")
        await stage.server.close()
    assert told == ["started", "started more", "handled", "ended"]


@in_loop
async def test_a_start_that_fails_serves_nobody() -> None:
    """The exception of a start-up hook comes out of ``serve``, and the port is free again."""
    app = Application()

    @app.on_startup
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with serving(app):
            pass


@in_loop
async def test_slow_handlers_of_one_peer_hold_up_nobody_else() -> None:
    """Each connection has its own order."""
    app = Application()
    gate = asyncio.Event()

    @app.on()
    async def handle(message: Message) -> object:
        if message.content == "slow":
            await gate.wait()
        return None

    async with serving(app) as stage, stage.connect() as slow, stage.connect() as fast:
        waiting = asyncio.create_task(slow.request("slow"))
        for _ in range(20):
            await fast.request("fast")
        assert not waiting.done()
        gate.set()
        await waiting


@in_loop
async def test_handlers_send_whenever_they_like() -> None:
    """``peer.send`` works in plain and async handlers, in threads, and after they have returned."""
    app = Application()
    peers: list[Peer] = []

    @app.on("plain")
    def plain(message: Message, peer: Peer) -> None:
        peers.append(peer)
        peer.send("from a call")

    @app.on("async")
    async def in_task(message: Message, peer: Peer) -> None:
        await asyncio.sleep(0)
        peer.send("from a task")

    @app.on("blocking", blocking=True)
    def in_thread(message: Message, peer: Peer) -> None:
        content = Message("from a thread")
        peer.send(content)
        content.content = "changed later"

    async with serving(app) as stage, stage.connect() as connection:
        for subject, content in (
            ("plain", "from a call"),
            ("async", "from a task"),
            ("blocking", "from a thread"),
        ):
            await connection.send("", subject=subject)
            assert (await connection.receive(PATIENCE)).content == content
        peers[0].send("later")
        assert (await connection.receive(PATIENCE)).content == "later"
        await asyncio.to_thread(peers[0].send, "from outside")
        assert (await connection.receive(PATIENCE)).content == "from outside"


@in_loop
async def test_typed_handlers_get_content_that_fits() -> None:
    """An async handler of ``Message[int]`` is not called with anything else."""
    app = Application()

    @app.on()
    async def double(message: Message[int]) -> int:
        return 2 * message.content

    async with serving(app) as stage, stage.connect() as connection:
        assert (await connection.request(21)).content == 42
        with pytest.raises(RemoteError, match="bad-content"):
            await connection.request({"no": "number"})


@in_loop
async def test_parts_come_as_they_are_yielded() -> None:
    """An answer in parts is iterated; ``request`` alone does not take it."""
    app = Application()
    may_go_on = asyncio.Event()

    @app.on("parts")
    async def parts(message: Message) -> Any:
        yield "first"
        await may_go_on.wait()
        yield "second"

    async with serving(app) as stage, stage.connect() as connection:
        answer = connection.request_parts("x", subject="parts")
        assert (await anext(answer)).content == "first"
        may_go_on.set()
        assert [part.content async for part in answer] == ["second"]
        with pytest.raises(ContentError, match=r"request_parts\(\)"):
            await connection.request("x", subject="parts")
        assert (await connection.ping()) < PATIENCE
