"""What all connections of a server share: its limits, its threads, and the count of what is held.

Whatever is for one connection alone is in ``server_connection``; when a server begins and ends is
``server``'s. Nothing here is done for each message.
"""

from __future__ import annotations

import asyncio
import threading
import time
from asyncio import FIRST_COMPLETED
from collections import deque
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final

from telex.application.notifier import notifier_of
from telex.errors import ConnectionClosedError
from telex.log import safe_logger
from telex.server.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from telex.application.application import Application
    from telex.application.observer import Observer
    from telex.application.session import Run
    from telex.asyncio.server_connection import ServerConnection
    from telex.conversation.conversation import Greeting
    from telex.limits import Limits

SWEEP_SECONDS: Final = 0.25
"""How often connections are held to their times."""

LATE_SECONDS: Final = 1.0
"""How late a look at the clock may come. One that comes later finds peers slow which were not read
from for so long, because something kept the loop from it."""

LAST_TURNS: Final = 8
"""Turns of the loop that everything gets which is ready to go on when the server ends."""

CLEAN_UP_SECONDS: Final = 5.0
"""How long a handler that was cancelled may take to end."""

logger: Final = safe_logger("telex.server")


class Service:
    """The common ground of a server's connections, in the thread of its event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        application: Application,
        limits: Limits,
        greeting: Greeting,
        observer: Observer | Iterable[Observer] | None,
        max_workers: int | None,
    ) -> None:
        self.loop: Final = loop
        self.application: Final = application
        self.limits: Final = limits
        self.greeting: Final = greeting
        self.observer: Final = notifier_of(observer)
        self.begun: Final[dict[Run, float]] = {}
        """When each handler began that is at work, where that is watched."""
        self.connections: set[ServerConnection] = set()
        """Those that have not ended yet."""
        self.tasks: set[asyncio.Task[Any]] = set()
        """Handlers at work."""
        self.context: Context = copy_context()
        """What handlers begin with; nothing runs in it, only in copies."""
        self.threads: Final = Threads(max_workers)
        """For handlers that block; there are none before they are needed."""
        self.is_ending = False
        self.is_cutting_off: bool = False
        """Whether handlers that are still at work have been cancelled."""
        self._own_thread: Final = threading.get_ident()
        self._posted: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        self._wake_is_due = False
        self._held = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._next_sweep = 0.0
        self._nobody_is_left: asyncio.Future[None] | None = None

    def is_own_thread(self) -> bool:
        """Say whether the calling thread is the one of the event loop."""
        return threading.get_ident() == self._own_thread

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Have a handler run in a task that ends, at the latest, with the server.

        It says itself when it is done, by ``ended``: a callback would take a turn of the loop. The
        loop's own way to make tasks may run them at once (``asyncio.eager_task_factory``), before
        anybody knows of them.
        """
        context = self.context.copy()
        task = asyncio.Task(coroutine, loop=self.loop, name=name, context=context)
        self.tasks.add(task)
        return task

    def ended(self) -> None:
        """Take note that the running task is done."""
        task = asyncio.current_task()
        if task is not None:
            self.tasks.discard(task)

    def post(self, function: Callable[..., None], *arguments: object) -> None:
        """Have something called in the loop's thread; any other thread calls this."""
        self._posted.append((function, arguments))
        if not self._wake_is_due:
            self._wake_is_due = True
            try:
                self.loop.call_soon_threadsafe(self._deliver_posted, context=self.context.copy())
            except RuntimeError as error:
                raise ConnectionClosedError("us", "the server has ended") from error

    def add(self, connection: ServerConnection) -> None:
        """Take in a connection; from now on it is held to its times."""
        self.connections.add(connection)
        if self._sweeping is None:
            self._sweep_in_a_while(time.monotonic())

    def remove(self, connection: ServerConnection) -> None:
        """Let go of a connection that has ended."""
        self.connections.discard(connection)
        if self.connections:
            return
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if self._nobody_is_left is not None and not self._nobody_is_left.done():
            self._nobody_is_left.set_result(None)

    def nobody_left(self) -> asyncio.Future[None]:
        """Return what is done when the last connection has ended."""
        if self._nobody_is_left is None:
            self._nobody_is_left = self.loop.create_future()
            if not self.connections:
                self._nobody_is_left.set_result(None)
        return self._nobody_is_left

    def account(self, more: int) -> None:
        """Take note that a connection holds more bytes, or fewer; past the limit, one has to go."""
        self._held += more
        while more > 0 and self._held > self.limits.max_buffered:
            before = self._held
            largest = max(self.connections, key=lambda connection: connection.bytes_held)
            self.context.copy().run(largest.overload, before)
            if self._held >= before:
                return

    async def end_handlers(self, hurry: asyncio.Future[Any]) -> None:
        """Cancel the handlers that are still at work, and give them a bounded time to clean up.

        When ``hurry`` is done there is none, except for those that need to wait for nothing.
        """
        self.is_cutting_off = True
        self.threads.shutdown(wait=False, cancel_futures=True)
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

    def _deliver_posted(self) -> None:
        self._wake_is_due = False
        while self._posted:
            function, arguments = self._posted.popleft()
            function(*arguments)

    def _sweep(self) -> None:
        """Look at the clock once for all connections."""
        now = time.monotonic()
        is_late = now - self._next_sweep > LATE_SECONDS
        self._sweep_in_a_while(now)
        for connection in list(self.connections):
            connection.check_time(now, is_late)

    def _sweep_in_a_while(self, now: float) -> None:
        self._next_sweep = now + SWEEP_SECONDS
        self._sweeping = self.loop.call_later(SWEEP_SECONDS, self._sweep)
