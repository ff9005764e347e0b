"""What contestants on an event loop have in common: the loop, and a client that lives on it."""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from abc import abstractmethod
from collections.abc import Coroutine
from concurrent.futures import Future
from enum import StrEnum
from typing import Any, Final, TypeVar

from benchmarks.peers.contestants.base import Client

Result = TypeVar("Result")


class EventLoop(StrEnum):
    """The event loops there are."""

    ASYNCIO = "asyncio"
    UVLOOP = "uvloop"

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions that it needs."""
        return ("uvloop",) if self is EventLoop.UVLOOP else ()

    def new_runner(self) -> asyncio.Runner:
        """Return what runs coroutines on such a loop."""
        if self is EventLoop.ASYNCIO:
            return asyncio.Runner()
        return asyncio.Runner(loop_factory=importlib.import_module("uvloop").new_event_loop)


class LoopThread:
    """A loop that runs in a thread of its own, so that it goes on between what it is asked to do.

    What a library sends after its caller has gone on would else be left behind.
    """

    def __init__(self, loop: EventLoop) -> None:
        self._started: Final[Future[asyncio.AbstractEventLoop]] = Future()
        threading.Thread(target=self._run, args=[loop], daemon=True).start()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the loop; return its result, or raise what it raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._started.result()).result()

    def _run(self, loop: EventLoop) -> None:
        with loop.new_runner() as runner:
            self._started.set_result(runner.get_loop())
            runner.run(forever())


class AsyncClient(Client):
    """A client whose methods are coroutines."""

    def __init__(self, loop: LoopThread) -> None:
        self._loop: Final = loop

    @abstractmethod
    async def sending(self, content: bytes, count: int) -> None:
        """See ``send_all``."""

    @abstractmethod
    async def requesting(self, content: bytes, count: int, outstanding: int) -> list[int]:
        """See ``request_all``."""

    @abstractmethod
    async def answer_to(self, content: bytes) -> bytes:
        """See ``request``."""

    def send_all(self, content: bytes, count: int) -> None:
        """Send the content so many times, one way, and then the end."""
        self._loop.run(self.sending(content, count))

    def request_all(self, content: bytes, count: int, outstanding: int) -> list[int]:
        """Send so many requests, so many at a time; return the sizes of the answers' contents."""
        return self._loop.run(self.requesting(content, count, outstanding))

    def request(self, content: bytes) -> bytes:
        """Send a request and return the content of its answer."""
        return self._loop.run(self.answer_to(content))

    def ping_pong(self, content: bytes, count: int) -> tuple[list[int], list[int]]:
        """Send requests one by one, in one run of the loop."""
        return self._loop.run(self._ping_pong(content, count))

    async def _ping_pong(self, content: bytes, count: int) -> tuple[list[int], list[int]]:
        clock = time.perf_counter_ns
        times, sizes = [], []
        for _ in range(count):
            begin = clock()
            answer = await self.answer_to(content)
            times.append(clock() - begin)
            sizes.append(len(answer))
        return times, sizes


async def forever() -> None:
    """Leave the loop to its servers."""
    await asyncio.get_running_loop().create_future()
