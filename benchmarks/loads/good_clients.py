"""Clients that behave, and notice what others cost them: they ask now and then, and time it."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Final, Self

import telex.asyncio
from telex import Address

_PAUSE: Final = 0.05
_TIMEOUT: Final = 30.0


class GoodClients:
    """Clients that ask for an echo, each twenty times a second, for the time of the context."""

    def __init__(self, address: Address, count: int) -> None:
        self._address: Final = address
        self._count: Final = count
        self._times: list[float] = []
        self._tasks: list[asyncio.Task[None]] = []

    def times_since_last_asked(self) -> list[float]:
        """Return how long each answer took, in seconds, since this was last asked for."""
        times, self._times = self._times, []
        return times

    def have_been_answered(self) -> bool:
        """Say whether any answer has come since ``times_since_last_asked`` was."""
        return bool(self._times)

    async def __aenter__(self) -> Self:
        for position in range(self._count):
            connection = await telex.asyncio.connect(self._address)
            delay = _PAUSE * position / self._count
            self._tasks.append(asyncio.create_task(self._ask(connection, delay)))
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        failed = [task for task in self._tasks if task.done()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if exception is None:
            for task in failed:
                task.result()

    async def _ask(self, connection: telex.asyncio.Connection, delay: float) -> None:
        async with connection:
            await asyncio.sleep(delay)
            while True:
                begin = time.perf_counter()
                await connection.request("are you well?", subject="echo", timeout=_TIMEOUT)
                self._times.append(time.perf_counter() - begin)
                await asyncio.sleep(_PAUSE)
