"""Async handlers at work, in tasks of the event loop. Those that block are in ``handler_threads``.

It runs them and hands the outcome to the dispatcher, which decides which message is handled when,
and what an answer turns into. Each message has a context (``contextvars``) of its own here, a copy
of the one that the server began in.
"""

from __future__ import annotations

import asyncio
import contextlib
import types
from typing import TYPE_CHECKING, Any, Final, cast

from telex.application.handler import Style
from telex.application.run import Turn
from telex.asyncio.waiting import Waiters
from telex.conversation.batch import BATCH_SIZE
from telex.server.handler_threads import reportable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from contextvars import Context

    from telex.application.dispatcher import Dispatcher
    from telex.application.run import Run
    from telex.asyncio.server_loop import ServerLoop
    from telex.server.handler_threads import HandlerDriver

_CANCELLED: Final = "the handler, or something that it awaited, was cancelled"


class HandlerTasks:
    """The handlers at work for one dispatcher. Messages that are handled in order share a task."""

    __slots__ = (
        "_are_streams_ended",
        "_dispatcher",
        "_driver",
        "_next",
        "_room",
        "_server",
        "_streams",
        "_worker",
    )

    def __init__(self, server: ServerLoop, dispatcher: Dispatcher, driver: HandlerDriver) -> None:
        self._server: Final = server
        self._dispatcher: Final = dispatcher
        self._driver: Final = driver
        self._room: Final = Waiters(server.loop)
        self._next: Run | None = None
        self._worker: asyncio.Task[None] | None = None
        self._streams: set[asyncio.Task[Any]] = set()
        self._are_streams_ended = False

    def start(self, run: Run) -> None:
        """Run a handler."""
        if run.handler.concurrent:
            self._server.spawn(self._run_alone(run), run.handler.name)
        else:
            self._next = run
            if self._worker is None:
                self._worker = self._server.spawn(self._work(), run.handler.name)

    def output_has_gone(self) -> None:
        """Have generators go on that wait for room, or end where nobody receives their parts."""
        connection = self._driver.connection
        if not connection.closing.can_answer:
            self.end_streams()
        if connection.has_room:
            self._room.wake()

    def end_streams(self) -> None:
        """End the generators: there is nobody left to receive what they yield."""
        self._are_streams_ended = True
        while self._streams:  # each is cancelled once: it may await something when it is closed
            self._streams.pop().cancel()

    async def _work(self) -> None:
        """Run one handler after the other, as long as the dispatcher starts another in order."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        turn = Turn()
        try:
            while (run := self._next) is not None:
                self._next = None
                task.set_name(run.handler.name)
                await _within(self._server.context.copy(), self._run(run))
                if task.cancelling():  # which was meant for this handler, and for none after it
                    return
                if turn.is_over():
                    await asyncio.sleep(0)
                    turn = Turn()
                self._dispatcher.advance()
        except Exception as fault:  # noqa: BLE001 - logged; the other connections are served
            self._driver.break_off(fault)
        finally:
            self._worker = None
            self._server.task_ended()

    async def _run_alone(self, run: Run) -> None:
        """Run a handler that keeps no order."""
        try:
            await self._run(run)
        except Exception as fault:  # noqa: BLE001 - logged; the other connections are served
            self._driver.break_off(fault)
        finally:
            self._server.task_ended()

    async def _run(self, run: Run) -> None:
        """Run an async handler to its end, and hand over what it returned or raised."""
        dispatcher = self._dispatcher
        is_stream = run.handler.style is Style.ASYNC_GENERATOR
        take: Callable[..., object] = dispatcher.returned
        outcome: tuple[object, ...] = ()
        try:
            if is_stream:
                take = await self._stream(run)
            else:
                outcome = (await run.handler.call(run.message, dispatcher.peer),)
        except (KeyboardInterrupt, GeneratorExit):  # the program ends, or the loop has
            raise
        except asyncio.CancelledError as error:
            # Only some are cancelled from here; others are by what they do themselves.
            if self._server.is_cutting_off or (is_stream and self._are_streams_ended):
                take = dispatcher.broken_off
            else:
                take, outcome = dispatcher.failed, (reportable(error, _CANCELLED),)
        except BaseException as error:  # noqa: BLE001 - the dispatcher reports it
            take, outcome = dispatcher.failed, (reportable(error),)
        try:
            take(run, *outcome)
        finally:
            outcome = ()  # an error in it refers to this frame, and would keep it alive
        self._driver.flush_soon()

    async def _stream(self, run: Run) -> Callable[[Run], object]:
        """Send what an async generator yields; return what takes note of its end."""
        dispatcher = self._dispatcher
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._streams.add(task)
        if self._are_streams_ended:  # before this task had its first turn
            self.end_streams()
        turn = Turn()
        try:
            async with contextlib.aclosing(run.handler.call(run.message, dispatcher.peer)) as parts:
                async for part in parts:
                    if not dispatcher.yielded(run, part):
                        return dispatcher.broken_off
                    if turn.is_over() or self._has_filled_batch():
                        self._driver.flush()
                        await asyncio.sleep(0)
                        turn = Turn()
                    else:
                        self._driver.flush_soon()
                    await self._wait_for_room()
            return dispatcher.exhausted
        finally:
            self._streams.discard(task)

    def _has_filled_batch(self) -> bool:
        """Say whether so much waits to be sent that it should go, before more is yielded."""
        return self._driver.connection.conversation.bytes_to_send >= BATCH_SIZE

    async def _wait_for_room(self) -> None:
        """Wait until a generator may yield its next part."""
        connection = self._driver.connection
        while not connection.has_room:
            await self._room.wait()


@types.coroutine
def _within(context: Context, coroutine: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Await a coroutine, each step of it in a context of its own; the task may be shared."""
    step: Callable[[Any], Any] = coroutine.send
    argument: Any = None
    while True:
        try:
            awaited = context.run(step, argument)
        except StopIteration:
            return
        finally:
            argument = None  # an error that was thrown refers to this frame, and would keep it
        try:
            argument = yield awaited
            step = coroutine.send
        except BaseException as error:  # noqa: BLE001 - it is for the coroutine
            argument = error
            step = coroutine.throw
