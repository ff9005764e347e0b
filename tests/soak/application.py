"""The application under soak, for every front-end, and what it counts of its own.

Requests carry ``{"number": N}``, and each answer carries the same number. The handlers of a
blocking server and of an event loop do the same under the same subjects.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from telex import Application, Message, Refusal, TelexError
from telex.application.peer import Peer

ON_PURPOSE: Final = "raised on purpose"
"""The text of every exception that is raised to see what becomes of it."""

MAX_PARTS: Final = 64
_LONGEST_WORK: Final = 0.01
_SLOW: Final = 0.1
_FILLING: Final = bytes(1 << 20)


class Done:
    """What the handlers have done: requests handled for the ledger, and generators at work."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self.handled: int = 0
        self.sum: int = 0
        """Of the numbers of the handled requests."""
        self.generators: int = 0
        """Generators that were begun, and have not ended."""
        self.notes: Final[Counter[str]] = Counter()
        """Plain messages that came, by the address of the peer."""

    def handle(self, message: Message) -> dict[str, Any]:
        """Count a request, if it is one of the ledger; return the answer to it."""
        content = message.content
        number = content.get("number") if isinstance(content, dict) else None
        if not isinstance(number, int):  # a client that speaks garbage
            raise Refusal("no-number", ON_PURPOSE)
        if number > 0:
            with self._lock:
                self.handled += 1
                self.sum += number
        return {"number": number}

    @contextlib.contextmanager
    def generator(self) -> Iterator[None]:
        """Count a generator for as long as it is alive."""
        with self._lock:
            self.generators += 1
        try:
            yield
        finally:
            with self._lock:
                self.generators -= 1


def new_application(done: Done, dice: random.Random, *, in_loop: bool) -> Application:
    """Make the application; ``in_loop`` says that async handlers are wanted."""
    app = Application()
    _add_plain_handlers(app, done)
    _add_blocking_handlers(app, done, dice)
    _add_failing_handlers(app, done)
    (_add_async_handlers if in_loop else _add_generators)(app, done, dice)
    return app


def _push(done: Done, message: Message, peer: Peer) -> Any:
    """Send the peer what it wants to be sent; nothing comes of it when the peer has gone."""
    filling = "x" * message.content.get("size", 0)
    try:
        for index in range(message.content["count"]):
            peer.send({"push": index, "filling": filling})
    except TelexError:
        return None
    return done.handle(message)


def _add_plain_handlers(app: Application, done: Done) -> None:
    @app.on("number")
    def number(message: Message) -> Any:
        return done.handle(message)

    @app.on("typed")
    def typed(message: Message[dict[str, int]]) -> Any:
        return done.handle(message)

    @app.on("large")
    def large(message: Message) -> Any:
        return _FILLING[: message.content["size"]]

    @app.on("note")
    def note(message: Message, peer: Peer) -> None:
        done.notes[peer.address] += 1

    @app.on("notes")
    def notes(message: Message, peer: Peer) -> Any:
        return {**done.handle(message), "notes": done.notes.pop(peer.address, 0)}

    @app.on("push")
    def push(message: Message, peer: Peer) -> Any:
        return _push(done, message, peer)

    @app.on("parts")
    def parts(message: Message) -> Iterator[Any]:
        with done.generator():
            for index in range(message.content["count"]):
                yield {"number": message.content["number"], "part": index}
            done.handle(message)


def _add_blocking_handlers(app: Application, done: Done, dice: random.Random) -> None:
    @app.on("thread", blocking=True, concurrent=True)
    def thread(message: Message) -> Any:
        time.sleep(dice.uniform(0, _LONGEST_WORK))
        return done.handle(message)

    @app.on("thread-in-order", blocking=True)
    def thread_in_order(message: Message) -> Any:
        time.sleep(dice.uniform(0, _LONGEST_WORK))
        return done.handle(message)

    @app.on("thread-parts", blocking=True, concurrent=True)
    def thread_parts(message: Message) -> Iterator[Any]:
        with done.generator():
            for index in range(message.content["count"]):
                yield {"number": message.content["number"], "part": index}
            done.handle(message)

    @app.on("thread-push", blocking=True, concurrent=True)
    def thread_push(message: Message, peer: Peer) -> Any:
        return _push(done, message, peer)


def _add_failing_handlers(app: Application, done: Done) -> None:
    @app.on("fail")
    def fail(message: Message) -> Any:
        raise RuntimeError(ON_PURPOSE)

    @app.on("refuse")
    def refuse(message: Message) -> Any:
        raise Refusal("out-of-stock", ON_PURPOSE)

    @app.on("fail-in-parts")
    def fail_in_parts(message: Message) -> Iterator[Any]:
        with done.generator():
            yield {"part": 0}
            raise RuntimeError(ON_PURPOSE)

    @app.on("fail-in-thread", blocking=True, concurrent=True)
    def fail_in_thread(message: Message) -> Any:
        raise RuntimeError(ON_PURPOSE)

    @app.on("unwritable")
    def unwritable(message: Message) -> Any:
        return {"set": {1, 2, 3}, "because": threading.Lock()}


def _add_generators(app: Application, done: Done, dice: random.Random) -> None:
    """What a blocking server does in generators and threads, and an event loop in tasks."""

    @app.on("work", blocking=True, concurrent=True)
    def work(message: Message) -> Any:
        time.sleep(dice.uniform(0, _LONGEST_WORK))
        return done.handle(message)

    @app.on("slow", blocking=True, concurrent=True)
    def slow(message: Message) -> Any:
        time.sleep(_SLOW)
        return done.handle(message)

    @app.on("endless", concurrent=True)
    def endless(message: Message) -> Iterator[Any]:
        with done.generator():
            while True:
                yield _FILLING[: message.content["size"]]

    @app.on("watch", blocking=True, concurrent=True)
    def watch(message: Message) -> Iterator[Any]:
        with done.generator():
            while True:
                yield {"watched": True}
                time.sleep(dice.uniform(0, 2 * _LONGEST_WORK))


def _add_async_handlers(app: Application, done: Done, dice: random.Random) -> None:
    @app.on("work", concurrent=True)
    async def work(message: Message) -> Any:
        await asyncio.sleep(dice.uniform(0, _LONGEST_WORK))
        return done.handle(message)

    @app.on("slow")
    async def slow(message: Message) -> Any:
        await asyncio.sleep(_SLOW)
        return done.handle(message)

    @app.on("endless", concurrent=True)
    async def endless(message: Message) -> AsyncIterator[Any]:
        with done.generator():
            while True:
                yield _FILLING[: message.content["size"]]

    @app.on("watch", concurrent=True)
    async def watch(message: Message) -> AsyncIterator[Any]:
        with done.generator():
            yield {"watched": True}
            await asyncio.Event().wait()
