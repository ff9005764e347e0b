"""Tasks that wait until something changes, and are woken together.

Being cancelled while waiting changes nothing for anybody else, and takes nothing away. What is
waited for is not known here.
"""

from __future__ import annotations

import asyncio
from typing import Final

from telex.seconds import timeout_of


class Waiters:
    """Tasks that wait for the same thing."""

    __slots__ = ("_futures", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Final = loop
        self._futures: set[asyncio.Future[bool]] = set()

    async def wait(self, deadline: float | None = None) -> bool:
        """Wait to be woken; return whether that was before ``deadline``, a time of the loop."""
        future = self._loop.create_future()
        self._futures.add(future)
        try:
            return await until(future, deadline)
        finally:
            self._futures.discard(future)

    def wake(self) -> None:
        """Wake all who wait now."""
        for future in self._futures:
            wake(future)


def wake(future: asyncio.Future[bool], is_in_time: bool = True) -> None:
    """Wake the task that waits for this future; harmless when it was woken or cancelled before."""
    if not future.done():
        future.set_result(is_in_time)


async def until(future: asyncio.Future[bool], deadline: float | None) -> bool:
    """Wait for a future; return False when ``deadline`` comes first."""
    if deadline is None:
        return await future
    timer = future.get_loop().call_at(deadline, wake, future, False)
    try:
        return await future
    finally:
        timer.cancel()


def moment_in(seconds: float | None) -> float | None:
    """Return the time of the loop that is ``seconds`` away; None, for ever, stays None.

    Raises what ``timeout_of`` raises.
    """
    if seconds is None:
        return None
    timeout = timeout_of(seconds)
    return None if timeout is None else asyncio.get_running_loop().time() + timeout
