"""A blocking connection joined to an application, in one thread and without a network.

Whoever waits pumps: the application's end works in the thread of the client, and all that it can do
is done before the client goes on. How bytes move is in ``memory``.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Final, cast

from telex.errors import ConnectionClosedError, WaitTimeoutError
from telex.sync import client
from telex.sync.waiter import Waiter
from telex.testing.memory import ADDRESS, Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from telex.application.application import Application
    from telex.application.dispatcher import Run
    from telex.application.peer import Peer
    from telex.conversation.calls import Call
    from telex.limits import Limits
    from telex.sync.client_driver import ClientDriver, Said
    from telex.testing.failures import Failures
    from telex.wire.message import Message

_END: Final = object()


class JoinedConnection(client.Connection):
    """A ``telex.sync.Connection`` to an application; made by ``with connected(app)``.

    When ``send`` returns, the message has been handled. If the handler of a request fails, the
    exception of the handler is the ``__cause__`` of the RemoteError.
    """

    def __init__(self, driver: PumpingDriver, peer: Peer, failures: list[BaseException]) -> None:
        super().__init__(cast("ClientDriver", driver), ADDRESS, str(ADDRESS))
        self.peer: Final = peer
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


class Joint:
    """Both ends, from the start-up hooks to the shutdown hooks."""

    def __init__(
        self,
        application: Application,
        limits: Limits,
        identity: str | None,
        peer_address: str,
        failures: Failures,
        patience: float,
    ) -> None:
        if application.async_names:
            names = ", ".join(application.async_names)
            raise TypeError(f"{names}: async; right would be 'async with connected(app)'")
        for hook in application.startup_hooks:
            hook()
        self._driver: Final = PumpingDriver(
            application, limits, identity, peer_address, failures, patience
        )
        peer = self._driver.memory.dispatcher.peer
        self.connection: Final = JoinedConnection(self._driver, peer, failures)
        self._shutdown_hooks: Final = application.shutdown_hooks
        self._failures: Final = failures

    def end(self) -> None:
        """End the application, which the client has left; shutdown hooks that fail are noted."""
        try:
            self._driver.end()
        finally:
            for hook in self._shutdown_hooks:
                self._call(hook)

    def _call(self, hook: Callable[[], object]) -> None:
        try:
            hook()
        except BaseException as failure:  # noqa: BLE001 - the end of the test raises it
            self._failures.note(failure)


class PumpingDriver:
    """What ``telex.sync.Connection`` needs of its ``ClientDriver``; pumps instead of waiting.

    Any number of threads may use it: one after the other pumps, and wakes those that wait.
    """

    def __init__(
        self,
        application: Application,
        limits: Limits,
        identity: str | None,
        peer_address: str,
        failures: Failures,
        patience: float,
    ) -> None:
        now = time.monotonic()
        self.memory: Final = Memory(
            application, limits, identity, peer_address, now, self._run_later, self._wake
        )
        self.memory.calls.enter()
        self.connection: Final = self.memory.client
        self.is_closing: bool = False
        """Whether the client has closed."""
        self.is_released: bool = False
        """Whether nothing is left of the connection."""
        self._patience: Final = patience
        self._failures: Final = failures
        self._lock: Final = threading.RLock()
        self._worker: int | None = None
        self._waiters: Final[deque[Waiter]] = deque()
        self._to_do: Final[deque[Callable[[], object]]] = deque()

    # Saying something

    def say(self, how: Callable[..., Said], *arguments: object) -> Said:
        """Have the conversation say something; ``flush`` or ``wait`` moves it.

        Raises RuntimeError for a handler's own connection.
        """
        with self._turn():
            self.check_open()
            return how(*arguments)

    gather = say

    def flush(self) -> None:
        """Have the application handle all that was said, as far as it does."""
        goal = self.connection.sent + self.connection.unsent
        while self._pump() and self.memory.is_behind:
            pass
        self.wait_to_send(goal)

    def send_some(self, most: int = sys.maxsize) -> int:
        """Send at most so many bytes; return how many are left."""
        self.check_usable()
        self._pump(most)
        return self.connection.unsent

    def wait_to_send(self, mark: int | None = None) -> None:
        """Wait until some more bytes have gone, or as many in all as ``mark`` says."""
        connection = self.connection
        goal = connection.sent + 1 if mark is None else mark
        self.wait(
            lambda: connection.sent >= goal or not (connection.unsent and connection.is_open)
        )
        if connection.sent < goal:
            self.check_open()

    def look_for_end(self) -> None:
        """Take what has come; raises ConnectionClosedError if it is an end."""
        self._pump()
        self.check_open()

    def do_later(self, what: Callable[[], object]) -> None:
        """Have something done by the next thread that pumps; may be called at any moment."""
        self._to_do.append(what)
        self._wake()

    # Waiting

    def wait_for(self, call: Call, deadline: float | None) -> bool:
        """Wait until something has come for a call; a call that is not done then is abandoned."""
        try:
            if self.wait(lambda: call.is_done or call.is_in_parts, deadline, call):
                return True
            self.check_usable()
            return False
        finally:
            if not call.is_done:
                self.abandon(call)

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
        until = now + self._patience if deadline is None else deadline
        moves_until = until if until > now else now + self._patience
        unread, waiter = self.connection.unread, Waiter(is_ready)
        self._waiters.append(waiter)
        if awaited is not None:
            unread.expect(awaited)
        has_moved = True
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
                unread.expect_no_more(awaited)
                self._failures.explain(awaited)

    # Taking

    def take_message(self) -> Message | None:
        """Take the next message that has come; None when there is none."""
        try:
            return self.connection.unread.take()
        except IndexError:
            return None

    def consumed(self, size: int) -> None:
        """Take note of ``size`` bytes of parts that somebody has taken or dropped."""
        with self._lock:
            self.connection.unread.consumed(size)

    def abandon(self, call: Call) -> None:
        """Stop waiting for an answer."""
        with self._lock:
            self.connection.conversation.abandon(call)

    def give_up(self, call: Call, parts: deque[Message]) -> None:
        """Want no more of an answer in parts, and drop those that came."""
        self.abandon(call)
        self.consumed(sum(part.memory_size for part in parts))
        parts.clear()

    # The end

    def finish(self, deadline: float | None) -> bool:
        """Say that nothing follows, and wait until the connection has ended; return whether."""
        with self._turn():
            self.is_closing = True
            self.connection.close(time.monotonic())
        self.wait(lambda: self.is_gone, deadline)
        return self.is_gone or self.connection.is_refused

    def release(self) -> None:
        """Close the connection at once; whoever waits is told."""
        with self._lock:
            self.is_closing = True
            self.connection.close(time.monotonic())
            self.connection.finish()
            self.is_released = True
        self._wake()

    def end(self) -> None:
        """Handle what the client has left behind, and end the application's side."""
        while self._pump():
            pass
        with self._turn():
            self.memory.cut_off(time.monotonic())

    # How things stand

    @property
    def is_gone(self) -> bool:
        """Whether nothing more can come or go."""
        return self.connection.ending.is_final

    @property
    def is_alive(self) -> bool:
        """Whether more may come."""
        return self.connection.is_open

    @property
    def has_more(self) -> bool:
        """Whether a message is here to be taken, or more may come."""
        with self._lock:  # an end may come in one piece with messages that are not here yet
            return self.connection.unread.count > 0 or self.is_alive

    @property
    def ended_well(self) -> bool:
        """Whether the peer ended as it should, with nothing lost."""
        return self.connection.ending.is_good

    def check_open(self) -> None:
        """Raise ConnectionClosedError when nothing more may be said."""
        if not self.is_alive:
            raise self.closed_error()

    def check_usable(self) -> None:
        """Raise ConnectionClosedError when nothing can be sent or received any more."""
        if self.is_gone:
            raise self.closed_error()

    def closed_error(self) -> ConnectionClosedError:
        """Return the error that says why the connection has ended, which is told by that."""
        return self.connection.ending.closed_error()

    def unseen_error(self) -> ConnectionClosedError | None:
        """Return what nobody was told yet, and somebody should be told when all is over."""
        return self.connection.ending.unseen_error()

    # One thread at a time

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Make the calling thread the only one at work, for the time of the context."""
        if self._worker == get_ident():
            raise RuntimeError("a handler cannot use the connection whose message it handles")
        with self._lock:
            self.memory.calls.enter()
            self._worker = get_ident()
            try:
                yield
            finally:
                self._worker = None

    def _pump(self, most: int = sys.maxsize) -> bool:
        """Move once what can be moved; return whether there was anything."""
        with self._turn():
            while self._to_do:
                self._to_do.popleft()()
            has_moved = self.memory.pump(time.monotonic(), most)
        if has_moved:
            self._wake()
        return has_moved

    def _wake(self) -> None:
        """Have all threads that wait look again; any thread may call this."""
        for waiter in tuple(self._waiters):
            waiter.tokens.put(None)

    # Handlers that block

    def _run_later(self, run: Run) -> None:
        """Run it when pumping begins anew: each part of a long answer would be a call deeper."""
        self.memory.post(self._run, run)

    def _run(self, run: Run) -> None:
        """Run a handler that blocks, or the next step of its generator."""
        dispatcher = self.memory.dispatcher
        try:
            if run.parts is None:
                result = run.handler.call(run.message, dispatcher.peer)
            else:
                result = next(run.parts, _END)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a user's code raises what it likes
            dispatcher.failed(run, error)
        else:
            if run.parts is None:
                dispatcher.returned(run, result)
            elif result is _END:
                dispatcher.exhausted(run)
            elif dispatcher.yielded(run, result):
                dispatcher.go_on_with(run)
            else:
                dispatcher.broken_off(run)
        dispatcher.advance()
