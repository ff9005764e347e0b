"""What a server of asyncio has beside its registry: the event loop, a context, tasks, one timer.

What all connections share on every front-end is in ``server.registry``; when a server begins and
ends is decided by ``server``. Nothing here is done for each message.
"""

from __future__ import annotations

import asyncio
import math
import time
from asyncio import FIRST_COMPLETED
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final

from telex.asyncio.timer import Timer
from telex.asyncio.waiting import wake
from telex.connection.times import LOOK_SECONDS
from telex.log import safe_logger
from telex.server.registry import LAST_TURNS
from telex.server.thread_calls import ThreadCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from telex.server.registry import Registry, ServedDriver

CLEAN_UP_SECONDS: Final = 5.0
"""How long a handler that was cancelled may take to end."""

logger: Final = safe_logger("telex.server")


class ServerLoop:
    """The event loop of a server, as its connections and handlers use it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, registry: Registry) -> None:
        self.loop: Final = loop
        self.registry: Final = registry
        self.calls: Final = ThreadCalls(self._wake)
        """Calls from other threads; the bytes that they bring are bounded."""
        self.calls.enter()
        self.context: Context = copy_context()
        """What handlers begin with; nothing runs in it, only in copies."""
        self.tasks: Final[set[asyncio.Task[Any]]] = set()
        """Handlers at work."""
        self.is_cutting_off: bool = False
        """Whether handlers that are still at work have been cancelled."""
        self._timer: Final = Timer(loop, self._look)
        self.nobody_left: Final[asyncio.Future[bool]] = loop.create_future()
        """Done when the server ends and the last connection has ended."""

    # Calls

    def call_soon(self, function: Callable[[], object]) -> None:
        """Have a function called in a later turn of the loop, in no handler's context."""
        self.loop.call_soon(function, context=self.context.copy())

    def _wake(self) -> None:
        self.loop.call_soon_threadsafe(self.calls.make, context=self.context.copy())

    # Connections

    def add(self, driver: ServedDriver) -> None:
        """Let a connection in; from now on its peer is held to its times."""
        self.registry.add(driver, time.monotonic())
        if self._timer.moment == math.inf:
            self._start_timer()

    def remove(self, driver: ServedDriver) -> None:
        """Let a connection go that has ended, and count what its handlers still hold."""
        registry = self.registry
        registry.remove(driver)
        if registry.drivers:
            return
        self._timer.cancel()
        if registry.is_ending:
            wake(self.nobody_left)

    def _start_timer(self) -> None:
        self._timer.set(time.monotonic() + LOOK_SECONDS, self.context.copy())

    def _look(self) -> None:
        """Hold all peers to their times."""
        self._start_timer()
        self.registry.handle_deadlines(time.monotonic())

    # Tasks

    def task(
        self, coroutine: Coroutine[Any, Any, None], name: str | None = None
    ) -> asyncio.Task[None]:
        """Make a task that begins in a later turn of the loop, in no handler's context.

        The loop's own way to make tasks may run them at once (``asyncio.eager_task_factory``),
        before they are known to whoever makes them.
        """
        return asyncio.Task(coroutine, loop=self.loop, name=name, context=self.context.copy())

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Have a handler run in a task that ends, at the latest, with the server.

        The task itself calls ``task_ended``: a callback would take a turn of the loop.
        """
        task = self.task(coroutine, name)
        self.tasks.add(task)
        return task

    def task_ended(self) -> None:
        """Forget the running task: it is done."""
        task = asyncio.current_task()
        if task is not None:
            self.tasks.discard(task)

    async def end_handlers(self, hurry: asyncio.Future[Any]) -> None:
        """Cancel the handlers that are still at work, and give them a bounded time to clean up.

        When ``hurry`` is done there is none, except for those that need to wait for nothing.
        """
        self.is_cutting_off = True
        self.registry.end_threads()
        for task in self.tasks:
            task.cancel()
        for _ in range(LAST_TURNS):
            await asyncio.sleep(0)
        everybody = asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.wait(
            (everybody, hurry), timeout=CLEAN_UP_SECONDS, return_when=FIRST_COMPLETED
        )
        left = sorted(task.get_name() for task in self.tasks if not task.done())
        if left:
            logger.warning("handlers were cancelled and go on all the same: %s", ", ".join(left))
