"""Tasks that wait until something changes, and are woken together.

Being cancelled while waiting changes nothing for anybody else, and takes nothing away. What is
waited for is not known here.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final


class Waiters:
    """Tasks that wait for the same thing."""

    __slots__ = ("_futures", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Final = loop
        self._futures: set[asyncio.Future[bool]] = set()

    async def wait(self, deadline: float | None = None) -> bool:
        """Wait to be woken; return whether that was before ``deadline``."""
        check_loop(self._loop, "connection")
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
    timer = future.get_loop().call_later(deadline - time.monotonic(), wake, future, False)
    try:
        return await future
    finally:
        timer.cancel()


def check_loop(loop: asyncio.AbstractEventLoop, what: str) -> None:
    """Raise RuntimeError unless ``loop`` is running here: it is the one that ``what`` belongs to.

    Whatever is given to another loop would happen at some other time, or never.
    """
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is not loop:
        raise RuntimeError(
            f"the {what} belongs to the event loop {loop!r}, and is used in {running!r}; "
            f"right would be a {what} that is opened in the loop where it is used"
        )
