"""Handlers that block: each call of them is made in a thread, and its outcome in the server's.

Both servers use this. The dispatcher decides which message is handled when, and what an answer
turns into. Each message has a context (``contextvars``) of its own, which all steps of a generator
share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Final, Protocol

from telex.application.connected_peer import Driver
from telex.errors import ConnectionClosedError, WaitTimeoutError
from telex.server.threads import Line
from telex.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from telex.application.dispatcher import Dispatcher
    from telex.application.run import Run
    from telex.connection.connection import Connection

UNKNOWN_SIZE: Final = 32 * 1024
"""Bytes that an outcome counts at least which may not be written as bytes yet: 32 may wait."""

_END: Final = object()


class HandlerDriver(Driver, Protocol):
    """A server's driver, as handlers that block need it."""

    __slots__ = ()

    connection: Connection

    def break_off(self, fault: BaseException) -> None:
        """End the connection for a fault of this server."""


class Workers(Protocol):
    """Threads, or what takes their place; see ``Threads``."""

    @property
    def is_closed(self) -> bool:
        """Whether no more calls are taken."""

    def submit(self, line: Line, item: object) -> None:
        """Have ``line.work(item)`` called."""

    def withdraw(self, line: Line) -> int:
        """Take back the calls that ``line.gives_up``."""


class HandlerThreads:
    """Runs handlers of one connection. Each message has a copy of ``context``."""

    __slots__ = ("_context", "_dispatcher", "_driver", "_line", "_threads")

    def __init__(
        self, driver: HandlerDriver, dispatcher: Dispatcher, threads: Workers, context: Context
    ) -> None:
        self._driver: Final = driver
        self._dispatcher: Final = dispatcher
        self._threads: Final = threads
        self._context: Final = context
        self._line: Final = Line(self._work, self._gives_up, dispatcher.dropped)

    def start(self, run: Run) -> None:
        """Run a handler, or the next step of its generator, when it is this connection's turn.

        Where no thread is to be had, the handler fails.
        """
        dispatcher = self._dispatcher
        try:
            self._threads.submit(self._line, run)
        except RuntimeError as error:
            context = self._context_of(run)
            if not (self._threads.is_closed or run.is_unwanted):
                context.run(dispatcher.failed, run, error)  # the system has no thread for it
            elif run.parts is None:
                dispatcher.dropped(run)
            else:
                context.run(dispatcher.broken_off, run)

    def drop_unwanted(self) -> None:
        """Drop what waits for a thread and nobody wants."""
        self._threads.withdraw(self._line)

    def _gives_up(self, run: Run) -> bool:
        """Give up a run that has not begun, if nobody wants it or all threads end.

        A generator that has begun is closed by its next step.
        """
        if not (self._dispatcher.is_unwanted(run) or self._threads.is_closed):
            return False
        run.is_unwanted = True
        return run.parts is None

    def _context_of(self, run: Run) -> Context:
        if run.context is None:
            run.context = self._context.copy()
        return run.context

    def _work(self, run: Run) -> None:
        """Do a step in a context, and hand the outcome over; then the next step may begin.

        While the server's thread is busy, this waits where much is on its way there already.
        """
        outcome = self._context_of(run).run(self._step, run)
        size = _size_of(outcome[-1])
        with contextlib.suppress(ConnectionClosedError):  # the server has ended
            while True:
                try:
                    self._driver.post(self._take_outcome, run, *outcome, size=size)
                except WaitTimeoutError:
                    continue  # no outcome is lost because the server is busy
                break
        del outcome  # the frames of an error in it refer to this frame, and would keep it

    def _step(self, run: Run) -> tuple[Callable[..., object], *tuple[object, ...]]:
        """Run a handler, or the next step of its generator; return what takes the outcome."""
        dispatcher = self._dispatcher
        try:
            if dispatcher.is_unwanted(run):
                if run.parts is None:
                    return (dispatcher.dropped,)
                if isinstance(run.parts, Generator):
                    run.parts.close()
                return (dispatcher.broken_off,)
            if run.parts is None:
                return dispatcher.returned, run.handler.call(run.message, dispatcher.peer)
            part = next(run.parts, _END)
            return (dispatcher.exhausted,) if part is _END else (self._take_part, part)
        except BaseException as error:  # noqa: BLE001 - the dispatcher reports it
            return dispatcher.failed, reportable(error)

    def _take_outcome(self, run: Run, take: Callable[..., object], *outcome: object) -> None:
        """Go on with what a handler returned, yielded or raised, in the server's thread."""
        try:
            take(run, *outcome)
            self._dispatcher.advance()
        except KeyboardInterrupt:
            raise
        except BaseException as fault:  # noqa: BLE001 - logged; the other connections are served
            self._driver.break_off(fault)
        self._driver.flush_soon()

    def _take_part(self, run: Run, part: object) -> None:
        """Send a part of an answer, and go on with the generator, or have it closed."""
        if self._dispatcher.yielded(run, part):
            self._dispatcher.go_on_with(run)
        else:
            run.is_unwanted = True
            self.start(run)  # what the generator does when it is closed may block too


def _size_of(outcome: object) -> int:
    """Return about how many bytes an outcome brings to the server's thread."""
    if isinstance(outcome, (bytes, bytearray, memoryview, str)):
        return len(outcome)
    if isinstance(outcome, Message):
        return max(outcome.memory_size, UNKNOWN_SIZE)
    return 0 if outcome is None else UNKNOWN_SIZE


def reportable(failure: BaseException, why: str = "") -> Exception:
    """Return an error that can be reported as that of a handler, whatever the handler raised.

    ``why`` says in words what failed, where the exception is one that would end the server.
    """
    if isinstance(failure, Exception):
        return failure
    error = RuntimeError(why or f"{type(failure).__name__}, which ends no server")
    error.__cause__ = failure
    return error
