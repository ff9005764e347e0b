"""A blocking connection joined to an application, in one thread and without a network.

Both ends are the ones of ``telex.sync``, at the two ends of a socket pair. What is different: the
server takes its turns while the client waits, in the client's thread, and all that it can do is
done before the client goes on. What handlers do is not known here.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from telex.connection.connection import Connection
from telex.conversation.greeting import Greeting
from telex.errors import ConnectionClosedError, WaitTimeoutError
from telex.network.sockets import prepare
from telex.server.handler_threads import HandlerThreads
from telex.server.registry import Registry
from telex.sync import client
from telex.sync.client_driver import ClientDriver
from telex.sync.deadlines import moment_in
from telex.sync.loop import Loop
from telex.sync.server_driver import ServerDriver
from telex.testing.joined_address import ADDRESS, AGENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from telex.application.application import Application
    from telex.application.dispatcher import Run
    from telex.application.peer import Peer
    from telex.conversation.calls import Call
    from telex.limits import Limits
    from telex.sync.client_driver import Said
    from telex.testing.failures import Failures
    from telex.wire.message import Message

_LAST_SECONDS: Final = 1.0
"""How long the server's end may take to end after the client's."""


class JoinedConnection(client.Connection):
    """A ``telex.sync.Connection`` to an application; made by ``with connected(app)``.

    When ``send`` returns, the message has been handled. If the handler of a request fails, the
    exception of the handler is the ``__cause__`` of the RemoteError.
    """

    def __init__(self, driver: ClientDriver, peer: Peer, failures: list[BaseException]) -> None:
        super().__init__(driver, ADDRESS, str(ADDRESS))
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
        self._server: Final = _Server(application, limits, identity, peer_address)
        try:
            for hook in application.startup_hooks:
                hook()
        except BaseException:
            self._server.close()
            raise
        driver = _ClientDriver(self._server, limits, patience, failures)
        self.connection: Final = JoinedConnection(driver, self._server.peer, failures)
        self._shutdown_hooks: Final = application.shutdown_hooks
        self._failures: Final = failures

    def end(self) -> None:
        """End the server, which the client has left; shutdown hooks that fail are noted."""
        try:
            self._server.end()
        finally:
            for hook in self._shutdown_hooks:
                self._call(hook)

    def _call(self, hook: Callable[[], object]) -> None:
        try:
            hook()
        except BaseException as failure:  # noqa: BLE001 - the end of the test raises it
            self._failures.note(failure)


class _Server:
    """The server's end: the loop of a server with one connection and no thread."""

    def __init__(
        self, application: Application, limits: Limits, identity: str | None, peer_address: str
    ) -> None:
        self.near, far = socket.socketpair()
        for sock in (self.near, far):
            prepare(sock)
        self._turns: Final = threading.Lock()
        self._worker: int | None = None
        self._registry: Final = Registry(application, limits, Greeting(AGENT), None, None, None)
        self._loop: Final = Loop(self._registry)
        self._loop.calls.enter()
        driver = _ServerDriver(self._loop, far, peer_address)
        driver.connection.conversation.identity = identity
        driver.begin()
        self.peer: Final = driver.dispatcher.peer

    def check_is_not_at_work(self) -> None:
        """Raise RuntimeError when a handler, in its turn, wants the server to have another one."""
        if self._worker == threading.get_ident():
            raise RuntimeError("a handler cannot use the connection whose message it handles")

    def work(self) -> None:
        """Do all that can be done now."""
        with self._turn():
            while self._loop.has_work():
                self._loop.turn(until=0.0)

    def has_work(self) -> bool:
        """Say whether there is something to do now."""
        with self._turn():
            return self._loop.has_work()

    def has_spoken(self) -> bool:
        """Say whether there is something for the client to receive."""
        waiting = select.poll()
        if self.near.fileno() >= 0:
            waiting.register(self.near, select.POLLIN)
        return bool(waiting.poll(0))

    def wait(self, until: float) -> None:
        """Wait until there is something to do, for another thread may send, and do it."""
        with self._turn():
            self._loop.turn(until)

    def end(self) -> None:
        """Serve what the client has left behind, and close everything."""
        deadline = time.monotonic() + _LAST_SECONDS
        while self._registry.drivers and not _has_passed(deadline):
            self.wait(deadline)
        self.close()

    def close(self) -> None:
        """Close everything at once."""
        if self._registry.drivers:
            self._registry.cut_off(time.monotonic())
        self._loop.close()
        self.near.close()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Make the calling thread the server's; one after the other may be."""
        self.check_is_not_at_work()
        with self._turns:
            self._loop.calls.enter()
            self._worker = threading.get_ident()
            try:
                yield
            finally:
                self._worker = None


class _ServerDriver(ServerDriver):
    """A server's driver that runs handlers which block where everything else runs."""

    __slots__ = ()

    def _run_elsewhere(self, run: Run) -> None:
        HandlerThreads(self, self.dispatcher, _call, copy_context()).start(run)


class _ClientDriver(ClientDriver):
    """The client's end, which has the server work instead of waiting for it."""

    def __init__(
        self, server: _Server, limits: Limits, patience: float, failures: Failures
    ) -> None:
        now = time.monotonic()
        super().__init__(server.near, Connection(limits, Greeting(AGENT), serves=False, now=now))
        self._server: Final = server
        self._patience: Final = patience
        self._failures: Final = failures

    def say(self, how: Callable[..., Said], *arguments: object) -> Said:
        """Have the conversation say something; raises RuntimeError for a handler's own."""
        self._server.check_is_not_at_work()
        return super().say(how, *arguments)

    def gather(self, how: Callable[..., Said], *arguments: object) -> Said:
        """Have the conversation say something later; raises RuntimeError for a handler's own."""
        self._server.check_is_not_at_work()
        return super().gather(how, *arguments)

    def flush(self) -> None:
        """Give all that was said to the server, and have it work."""
        super().flush()
        self._server.work()

    def send_some(self, most: int | None = None) -> int:
        """Give some of what was said to the server, and have it work."""
        left = super().send_some(most)
        self._server.work()
        return left

    def wait_for(self, call: Call, deadline: float | None) -> bool:
        """Wait for an answer; an error in its place has what the handler raised as its cause."""
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
        """Have both ends work until ``is_ready()``; return whether it became so.

        Returns False when ``deadline`` passes, or the connection is gone; a deadline that has
        passed already leaves time for what is on its way. Without a deadline a test must end all
        the same: raises WaitTimeoutError then.
        """
        patience = time.monotonic() + self._patience
        waits_until = patience if deadline is None else deadline
        moves_until = patience if _has_passed(waits_until) else waits_until
        while True:
            self._server.work()
            if super().wait(is_ready, moment_in(0), awaited):
                if awaited is not None:
                    self._failures.explain(awaited)
                return True
            if self.is_gone:
                return False
            is_moving = self._server.has_work() or (
                self.connection.wants_to_read and self._server.has_spoken()
            )
            if _has_passed(moves_until if is_moving else waits_until):
                if deadline is None:
                    raise WaitTimeoutError("anything to happen", self._patience)
                return False
            if not is_moving:
                self._server.wait(waits_until)


def _call(function: Callable[..., object], *arguments: object) -> None:
    function(*arguments)


def _has_passed(moment: float) -> bool:
    return time.monotonic() >= moment
