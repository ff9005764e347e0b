"""A blocking connection joined to an application, in one thread and without a network.

Whoever waits pumps: the application's end works in the thread of the client, and all that it can do
is done before the client goes on. How bytes move is in ``memory``.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from telex.errors import ConnectionClosedError, WaitTimeoutError
from telex.server.handler_threads import HandlerThreads
from telex.sync import client
from telex.sync.shared_connection import SharedConnection
from telex.sync.waiter import Waiter
from telex.testing.memory import ADDRESS, Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from telex.application.application import Application
    from telex.application.peer import Peer
    from telex.application.run import Run
    from telex.conversation.calls import Call
    from telex.limits import Limits
    from telex.server.threads import Line
    from telex.sync.shared_connection import Said
    from telex.testing.failures import Failures
    from telex.wire.message import Message


class JoinedConnection(client.Connection):
    """A ``telex.sync.Connection`` to an application; made by ``with connected(app)``.

    When ``send`` returns, the message has been handled. If the handler of a request fails, the
    exception of the handler is the ``__cause__`` of the RemoteError.
    """

    def __init__(self, driver: PumpingDriver, failures: list[BaseException]) -> None:
        super().__init__(driver, ADDRESS, str(ADDRESS))
        self.peer: Final[Peer] = driver.memory.dispatcher.peer
        """This connection, as the ``peer`` of handlers."""
        self.failures: Final = failures
        """Exceptions of handlers that no request has raised.

        The end of the context raises those that are left: a test removes what it expects.
        """

    def received(self) -> list[Message]:
        """Return the messages that have arrived and were not received yet, without waiting.

        Raises ConnectionClosedError when there is no message, and the connection is closed.
        """
        messages: list[Message] = []
        while True:
            try:
                messages.append(self.receive(timeout=0))
            except WaitTimeoutError:
                return messages
            except ConnectionClosedError:
                if not messages:
                    raise
                return messages


@contextlib.contextmanager
def joined(
    application: Application,
    limits: Limits,
    identity: str | None,
    peer_address: str,
    patience: float,
    failures: Failures,
) -> Iterator[JoinedConnection]:
    """Give a connection, between the start-up hooks and the shutdown hooks."""
    if application.async_names:
        names = ", ".join(application.async_names)
        raise TypeError(f"{names}: async; right would be 'async with connected(app)'")
    for hook in application.startup_hooks:
        hook()
    driver = PumpingDriver(application, limits, identity, peer_address, patience, failures)
    try:
        with JoinedConnection(driver, failures) as connection:
            yield connection
    finally:
        try:
            driver.end()
        finally:
            for hook in application.shutdown_hooks:
                with failures.noted():
                    hook()


class PumpingDriver(SharedConnection):
    """A connection for any number of threads: one after the other pumps, instead of waiting."""

    def __init__(
        self,
        application: Application,
        limits: Limits,
        identity: str | None,
        peer_address: str,
        patience: float,
        failures: Failures,
    ) -> None:
        self.memory: Final = Memory(
            application,
            limits,
            identity,
            peer_address,
            time.monotonic(),
            self._run,
            self._wake,
        )
        super().__init__(self.memory.client)
        self._patience: Final = patience
        self._failures: Final = failures
        self._is_pumping = False
        self._waiters: Final[deque[Waiter]] = deque()

    def flush(self) -> None:
        """Have the application handle all that was said."""
        goal = self.connection.sent + self.connection.unsent
        while self._pump() and self.memory.is_behind:
            pass
        self.wait_to_send(goal)

    def send_some(self, most: int | None = None) -> int:
        """Have the application take some of what was gathered; return how many bytes are left."""
        self.check_usable()
        self._pump(most)
        return self.connection.unsent

    def look_for_end(self) -> None:
        """Take what has come; raises ConnectionClosedError if it is an end."""
        self._pump()
        self.check_open()

    def wait_for(self, call: Call, deadline: float | None) -> bool:
        """Wait until something has come for a call; its error has a cause, as after ``wait``."""
        try:
            return super().wait_for(call, deadline)
        finally:
            self._failures.explain(call)

    def wait(
        self,
        is_ready: Callable[[], object],
        deadline: float | None = None,
        awaited: Call | None = None,
    ) -> bool:
        """Pump until ``is_ready()``; return whether it became so.

        Returns False when ``deadline`` passes, or the connection is gone; a deadline that has
        passed already leaves time for what is on its way. Without a deadline a test must end all
        the same: raises WaitTimeoutError then. An error that has come for the ``awaited`` call has
        the exception of the handler as its cause.
        """
        now = time.monotonic()
        patient_until = now + self._patience
        until = patient_until if deadline is None else deadline
        moves_until = until if until > now else patient_until
        waiter, has_moved = Waiter(is_ready), True
        self._waiters.append(waiter)
        if awaited is not None:
            self.connection.unread.expect(awaited)
        try:
            while not is_ready():
                if self.is_gone:
                    return False
                if time.monotonic() >= (moves_until if has_moved else until):
                    if deadline is None:
                        raise WaitTimeoutError("anything to happen", self._patience)
                    return False
                if not has_moved:  # but another thread may send
                    waiter.wait(min(until, self.memory.next_deadline))
                has_moved = self._pump()
            return True
        finally:
            self._waiters.remove(waiter)
            if awaited is not None:
                self.connection.unread.expect_no_more(awaited)
                self._failures.explain(awaited)

    def end(self) -> None:
        """Have the application handle what the client has left behind, and end its connection."""
        while self._pump():
            pass
        self.memory.cut_off(time.monotonic())

    def _run(self, run: Run) -> None:
        """Run a handler that blocks, or the next step of its generator, in this thread."""
        memory = self.memory
        HandlerThreads(memory, memory.dispatcher, _ThisThread(), copy_context()).start(run)

    def _pump(self, most: int | None = None) -> bool:
        """Move once what can be moved, and handle it; return whether there was anything."""
        with self._lock:
            self._check_is_not_pumping()
            self.memory.calls.enter()
            self._is_pumping = True
            try:
                while self._to_do:
                    self._to_do.popleft()()
                has_moved = self.memory.pump(time.monotonic(), most)
            finally:
                self._is_pumping = False
                self.is_gone: bool = self.connection.ending.is_final
        if has_moved:
            self._wake()
        return has_moved

    def _add(self, how: Callable[..., Said], arguments: tuple[object, ...]) -> Said:
        self._check_is_not_pumping()
        return super()._add(how, arguments)

    def _check_is_not_pumping(self) -> None:
        """Raise RuntimeError in a handler, which this thread has called from ``_pump``."""
        if self._is_pumping:
            raise RuntimeError("a handler cannot use the connection whose message it handles")

    def _wake(self) -> None:
        """Have all threads that wait look again; any thread may call this."""
        for waiter in tuple(self._waiters):
            waiter.tokens.put(None)

    _tell_others = _wake

    def _take_rest(self, now: float) -> None:
        """Do nothing: in memory, what the application has sent is handed in at once."""

    def _transmit(self, now: float, most: int | None = None) -> None:
        """Leave it to whoever pumps."""

    def _close_sockets(self) -> None:
        """Nothing is held of the system."""


class _ThisThread:
    """Makes the calls that threads of a server would make."""

    is_closed = False

    def submit(self, line: Line, item: object) -> None:
        """Make the call."""
        line.work(item)

    def withdraw(self, line: Line) -> int:
        """Take nothing back: nothing waits."""
        return 0
