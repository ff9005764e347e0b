"""Context variables: each message of an async handler has its own, and none reach another peer."""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import ContextVar
from typing import Any

import pytest

from telex import Application, Limits, Message
from telex.application.peer import Peer

from .stage import PATIENCE, in_loop, serving, wait_until

user: ContextVar[str] = ContextVar("user", default="nobody")


@pytest.mark.parametrize("concurrent", [False, True])
@in_loop
async def test_each_message_has_a_context_of_its_own(concurrent: bool) -> None:
    """What an async handler sets stays with it, from its first step to its last."""
    app = Application()

    @app.on("login", concurrent=concurrent)
    async def login(message: Message) -> str:
        await asyncio.sleep(0)
        user.set(message.content)
        await asyncio.sleep(0)
        return user.get()

    @app.on("who", concurrent=concurrent)
    async def who(message: Message) -> str:
        return user.get()

    async with serving(app) as stage, stage.connect() as connection:
        answers = await asyncio.gather(
            connection.request("root", subject="login"), connection.request("", subject="who")
        )
        later = await connection.request("", subject="who")
    assert [answer.content for answer in (*answers, later)] == ["root", "nobody", "nobody"]


@pytest.mark.parametrize("blocking", [False, True])
@in_loop
async def test_a_generator_keeps_its_context_between_its_parts(blocking: bool) -> None:
    """What it sets before one part is there for the next, and for no other message."""
    app = Application()

    def in_thread(message: Message) -> Any:
        yield user.get()
        user.set(message.content)
        yield user.get()
        yield user.get()

    async def in_task(message: Message) -> Any:
        for part in in_thread(message):
            yield part
            await asyncio.sleep(0)

    if blocking:
        app.on(blocking=True)(in_thread)
    else:
        app.on()(in_task)

    async with serving(app, max_workers=1) as stage, stage.connect() as connection:
        for name in ("first", "second"):
            parts = [part.content async for part in connection.request_parts(name)]
            assert parts == ["nobody", name, name]


@in_loop
async def test_threads_leave_nothing_behind() -> None:
    """A blocking handler does not see what another one set in the same thread."""
    app = Application()

    @app.on(blocking=True)
    def swap(message: Message) -> str:
        before = user.get()
        user.set(message.content)
        return before

    async with serving(app, max_workers=1) as stage, stage.connect() as connection:
        for _ in range(2):
            assert (await connection.request("root")).content == "nobody"


@in_loop
async def test_handlers_see_what_was_set_where_the_server_began() -> None:
    """That is what the task of ``serve`` had set, and what start-up hooks set after it."""
    app = Application()
    prepared: ContextVar[str] = ContextVar("prepared", default="nothing")

    @app.on_startup
    async def prepare() -> None:
        prepared.set("by a hook")

    async def tell(message: Message) -> list[str]:
        return [user.get(), prepared.get()]

    app.on("task")(tell)
    app.on("concurrent", concurrent=True)(tell)
    app.on("thread", blocking=True)(lambda message: [user.get(), prepared.get()])
    user.set("who serves")
    async with serving(app) as stage, stage.connect() as connection:
        user.set("somebody later")
        for subject in ("task", "concurrent", "thread"):
            answer = await connection.request("", subject=subject)
            assert answer.content == ["who serves", "by a hook"]


@in_loop
async def test_whoever_sends_to_a_peer_leaves_it_no_context() -> None:
    """Messages of one peer are not handled in the context of another one's handler."""
    app = Application()
    peers: list[Any] = []
    gate = asyncio.Event()

    @app.on("wait")
    async def wait(message: Message, peer: Peer) -> None:
        peers.append(peer)
        await gate.wait()

    @app.on("who")
    def who(message: Message) -> str:
        return user.get()

    @app.on("admin")
    async def admin(message: Message) -> None:
        user.set("root")
        gate.set()
        peers[0].send("to everybody")

    limits = Limits(max_pending=2)
    async with (
        serving(app, limits=limits) as stage,
        stage.connect() as one,
        stage.connect() as other,
    ):
        waiting = asyncio.create_task(one.request("", subject="wait"))
        held = asyncio.create_task(one.request("", subject="who"))
        await wait_until(lambda: len(stage.events.messages) == 2, "they are received")
        await wait_until(lambda: peers and not peers[0]._driver._is_reading, "one is not read")
        await other.request("", subject="admin")
        await waiting
        assert (await held).content == "nobody"
        assert (await one.request("", subject="who")).content == "nobody"


@in_loop
async def test_output_that_waits_leaves_no_context() -> None:
    """Who is read from again when output has gone, is so in no handler's context."""
    app = Application()

    @app.on("flood")
    async def flood(message: Message, peer: Peer) -> None:
        user.set("root")
        for _ in range(100):
            peer.send(b"x" * 100_000)

    @app.on("who")
    def who(message: Message) -> str:
        return user.get()

    limits = Limits(high_water=50_000)
    async with serving(app, limits=limits) as stage, stage.plug_in() as plain:
        plain.send(Message("", subject="flood"))
        await wait_until(lambda: stage.events.connections, "it is connected")
        peer: Any = stage.events.connections[0]
        await wait_until(lambda: not peer._driver._is_reading, "the output waits")
        plain.send(*(Message("", subject="who", kind="request", id=i) for i in (1, 2)))
        answers = [await plain.receive() for _ in range(102)][100:]
    assert [answer.content for answer in answers] == ["nobody", "nobody"]


@in_loop
async def test_hooks_at_the_end_have_no_handlers_context() -> None:
    """A handler may end the server; what it set is not what the shutdown hooks see."""
    app = Application()
    seen: list[str] = []
    servers: list[Any] = []

    @app.on()
    async def end(message: Message) -> None:
        user.set("root")
        await servers[0].close()

    @app.on_shutdown
    async def tidy() -> None:
        seen.append(user.get())

    async with serving(app) as stage, stage.connect() as connection:
        servers.append(stage.server)
        with contextlib.suppress(ConnectionError):
            await connection.request("")
        await asyncio.wait_for(stage.server.serve_forever(), PATIENCE)
    assert seen == ["nobody"]
