"""Faults that a test plants in a server, to see that the soak finds each of them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from telex import Message
from telex.application.dispatcher import Dispatcher

if TYPE_CHECKING:
    from tests.soak.server import SoakedServer

_kept: Final[list[object]] = []


def _leave_thread(server: SoakedServer) -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def _leave_descriptor(server: SoakedServer) -> None:
    _kept.append(os.open(os.devnull, os.O_RDONLY))


def _leave_memory(server: SoakedServer) -> None:
    _kept.append([bytes(1000) for _ in range(60_000)])


def _leave_task(server: SoakedServer) -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    assert server.loop is not None
    _kept.append(asyncio.run_coroutine_threadsafe(wait(), server.loop))


def _leave_generator(server: SoakedServer) -> None:
    """Close one generator of those whose parts nobody receives only when the process ends."""
    broken_off = Dispatcher.broken_off

    def forget_one(self: Dispatcher, run: Any) -> None:
        if run.parts is not None and not any(kept is run.parts for kept in _kept):
            Dispatcher.broken_off = broken_off  # type: ignore[method-assign]
            _kept.append(run.parts)
            run.parts = None
        broken_off(self, run)

    Dispatcher.broken_off = forget_one  # type: ignore[method-assign]


def _leave_connection(server: SoakedServer) -> None:
    """Keep one connection that has ended."""
    registry = server.registry
    assert registry is not None
    remove = registry.remove

    def keep_one(driver: Any) -> None:
        del registry.remove
        _kept.append(driver)
        remove(driver)

    registry.remove = keep_one  # type: ignore[method-assign]


def _answer_twice(server: SoakedServer) -> None:
    """Answer one request twice, below what keeps everybody from it."""
    found = server.application.find("number")
    assert found is not None
    call, is_done = found.function, False

    def twice(message: Message, peer: Any) -> Any:
        nonlocal is_done
        if message.content["number"] > 0 and not is_done:
            is_done = True
            outgoing = peer._connection.conversation._outgoing
            outgoing.write(Message(message.content), "reply", 0, message.id, False)
        return call(message)

    found.function = twice  # type: ignore[misc]
    found._takes_peer = True


def _answer_wrongly(server: SoakedServer) -> None:
    """Answer one request with the number of another."""
    handle = server.done.handle

    def wrong(message: Message) -> dict[str, Any]:
        answer = handle(message)
        if answer["number"] > 0:
            server.done.handle = handle  # type: ignore[method-assign]
            answer["number"] += 1
        return answer

    server.done.handle = wrong  # type: ignore[method-assign]


def _answer_nobody(server: SoakedServer) -> None:
    """Handle a request that nobody has asked."""
    server.done.handle(Message({"number": 10**9}))


def _end(server: SoakedServer) -> None:
    """End the process."""
    os._exit(3)


PLANTS: Final[dict[str, Callable[[SoakedServer], None]]] = {
    "thread": _leave_thread,
    "descriptor": _leave_descriptor,
    "memory": _leave_memory,
    "task": _leave_task,
    "generator": _leave_generator,
    "connection": _leave_connection,
    "second answer": _answer_twice,
    "wrong answer": _answer_wrongly,
    "answer to nobody": _answer_nobody,
    "end": _end,
}
