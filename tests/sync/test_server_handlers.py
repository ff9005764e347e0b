"""Handlers on the selectors server: in its thread, in threads of their own, and in parts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from telex import Application, Message
from telex.sync import serve
from tests.sync.stage import (
    running,
)
from tests.talking import Talker


def test_server_without_blocking_handlers_has_no_threads() -> None:
    """What nobody needs is not there: serving takes one thread."""
    with running() as stage, Talker(stage.plug_in()) as talker:
        talker.answer_to(talker.ask("hello"))
        assert stage.server._registry.threads._threads == []


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
