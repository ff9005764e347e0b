"""Handlers at work for longer than a call: in tasks of the event loop, or in threads.

It runs them and hands the outcome to the dispatcher, which decides which message is handled when,
and what an answer turns into. Each message has a context (``contextvars``) of its own here, a copy
of the one that the server began in.
"""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from telex.application.handler import Style

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from contextvars import Context

    from telex.application.dispatcher import Dispatcher, Run
    from telex.asyncio.server_loop import ServerLoop

    Outcome = tuple[Any, Exception | None]

_END: Final = object()
_NOT_CALLED: Final = object()


class Sender(Protocol):
    """Sends what a handler has answered."""

    def flush_soon(self) -> None:
        """Send when those who are ready now have done what they do."""

    async def make_room(self) -> None:
        """Wait until a generator may yield its next part."""


class HandlerTasks:
    """The handlers at work for one dispatcher. Messages that are handled in order share a task."""

    __slots__ = (
        "_are_streams_ended",
        "_contexts",
        "_dispatcher",
        "_next",
        "_sender",
        "_server",
        "_streams",
        "_worker",
    )

    def __init__(self, server: ServerLoop, dispatcher: Dispatcher, sender: Sender) -> None:
        self._server: Final = server
        self._dispatcher: Final = dispatcher
        self._sender: Final = sender
        self._next: Run | None = None
        self._worker: asyncio.Task[None] | None = None
        self._streams: set[asyncio.Task[Any]] = set()
        self._are_streams_ended = False
        self._contexts: dict[Run, Context] = {}
        """Those of generators that block: each part may be made in another thread."""

    def start(self, run: Run) -> None:
        """Run a handler, or the next step of a generator that blocks."""
        if run.handler.blocking:
            self._start_in_thread(run)
        elif run.handler.concurrent:
            self._server.spawn(self._run_alone(run), run.handler.name)
        else:
            self._next = run
            if self._worker is None:
                self._worker = self._server.spawn(self._work(), run.handler.name)

    def end_streams(self) -> None:
        """End the generators: there is nobody left to receive what they yield."""
        self._are_streams_ended = True
        for task in self._streams:
            task.cancel()

    async def _work(self) -> None:
        """Run one handler after the other, as long as the dispatcher starts another in order."""
        task = asyncio.current_task()
        assert task is not None
        try:
            while (run := self._next) is not None:
                self._next = None
                task.set_name(run.handler.name)
                await _within(self._server.context.copy(), self._run(run))
                if task.cancelling():  # which was meant for this handler, and for none after it
                    return
                self._dispatcher.advance()
        finally:
            self._worker = None
            self._server.task_ended()

    async def _run_alone(self, run: Run) -> None:
        """Run a handler that keeps no order."""
        try:
            await self._run(run)
        finally:
            self._server.task_ended()

    async def _run(self, run: Run) -> None:
        """Run an async handler to its end, and hand over what it returned or raised."""
        dispatcher = self._dispatcher
        is_stream = run.handler.style is Style.ASYNC_GENERATOR
        try:
            if is_stream:
                is_whole = await self._stream(run)
            else:
                result = await run.handler.call(run.message, dispatcher.peer)
        except (KeyboardInterrupt, GeneratorExit):  # the program ends, or the loop has
            raise
        except BaseException as error:  # noqa: BLE001 - the dispatcher reports it
            if isinstance(error, asyncio.CancelledError) and self._is_ended(is_stream):
                dispatcher.broken_off(run)
            else:
                dispatcher.failed(run, _failure(error))
        else:
            if not is_stream:
                dispatcher.returned(run, result)
            elif is_whole:
                dispatcher.exhausted(run)
            else:
                dispatcher.broken_off(run)
        self._sender.flush_soon()

    def _is_ended(self, is_stream: bool) -> bool:
        """Whether handlers are cancelled from here; they may also be by what they do themselves."""
        return self._server.is_cutting_off or (is_stream and self._are_streams_ended)

    async def _stream(self, run: Run) -> bool:
        """Send what an async generator yields; return whether that was all of it."""
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            async with contextlib.aclosing(
                run.handler.call(run.message, self._dispatcher.peer)
            ) as parts:
                async for part in parts:
                    if not self._dispatcher.yielded(run, part):
                        return False
                    await self._sender.make_room()
            return True
        finally:
            self._streams.discard(task)

    def _start_in_thread(self, run: Run) -> None:
        then = partial(self._end_in_thread, run)
        if run.parts is None:
            context = self._server.context.copy()
            call, peer = run.handler.call, self._dispatcher.peer
            self._call(context, then, self._unless_refused, call, run.message, peer)
        else:
            if run not in self._contexts:
                self._contexts[run] = self._server.context.copy()
            self._call(self._contexts[run], then, self._unless_refused, next, run.parts, _END)

    def _unless_refused(self, function: Callable[..., object], *arguments: object) -> object:
        """Call a function, unless the peer was refused while the call waited for a thread."""
        return _NOT_CALLED if self._dispatcher.is_refused else function(*arguments)

    def _call(
        self,
        context: Context,
        then: Callable[[asyncio.Future[Outcome]], None],
        *call: Any,
    ) -> None:
        """Call a function in a thread, and then another one here, with what came of it."""
        server = self._server
        future = server.loop.run_in_executor(server.registry.threads, context.run, _outcome, *call)
        future.add_done_callback(then)

    def _end_in_thread(self, run: Run, future: asyncio.Future[Outcome]) -> None:
        """Hand over what a handler returned, yielded or raised in its thread."""
        if self._server.is_cutting_off:
            return
        dispatcher = self._dispatcher
        result, error = future.result()
        if error is None and run.parts is not None and result is not _END:
            if result is not _NOT_CALLED and dispatcher.yielded(run, result):
                dispatcher.go_on_with(run)
            else:
                self._close_in_thread(run)
            self._sender.flush_soon()
            return
        self._contexts.pop(run, None)
        if error is not None:
            dispatcher.failed(run, error)
        elif result is _NOT_CALLED:
            dispatcher.broken_off(run)
        elif run.parts is None:
            dispatcher.returned(run, result)
        else:
            dispatcher.exhausted(run)
        self._sender.flush_soon()

    def _close_in_thread(self, run: Run) -> None:
        """Close a generator that is not asked for more; what it does then may block too."""
        context = self._contexts.pop(run)
        self._call(context, partial(self._end_closed, run), _close, run.parts)

    def _end_closed(self, run: Run, future: asyncio.Future[Outcome]) -> None:
        """Hand over that a generator is closed."""
        if self._server.is_cutting_off:
            return
        _, error = future.result()
        if error is None:
            self._dispatcher.broken_off(run)
        else:
            self._dispatcher.failed(run, error)
        self._sender.flush_soon()


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
        try:
            argument = yield awaited
            step = coroutine.send
        except BaseException as error:  # noqa: BLE001 - it is for the coroutine
            argument = error
            step = coroutine.throw


def _close(parts: Iterator[object]) -> None:
    if isinstance(parts, Generator):
        parts.close()


def _outcome(function: Any, *arguments: Any) -> Outcome:
    """Call a function in a thread; futures take no StopIteration, so errors are returned."""
    try:
        return function(*arguments), None
    except BaseException as error:  # noqa: BLE001 - the dispatcher reports it
        return None, _failure(error)


def _failure(error: BaseException) -> Exception:
    """Return what failed; some exceptions would end the loop, and the server with it."""
    if isinstance(error, Exception):
        return error
    if isinstance(error, asyncio.CancelledError):
        failure = RuntimeError("the handler, or something that it awaited, was cancelled")
    else:
        failure = RuntimeError(f"{type(error).__name__}, which ends no server")
    failure.__cause__ = error
    return failure
