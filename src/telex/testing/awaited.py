"""An asyncio connection joined to an application, in one event loop and without a network.

Both ends are the ones of ``telex.asyncio``, at the two ends of a socket pair. Only what lies
between them is made here.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import inspect
import socket
import time
from typing import TYPE_CHECKING, Final

from telex.asyncio.client import Connection
from telex.asyncio.client_driver import ClientDriver
from telex.asyncio.server import Server
from telex.asyncio.server_driver import ServerDriver
from telex.asyncio.server_loop import ServerLoop
from telex.connection import connection as core
from telex.conversation.greeting import Greeting
from telex.network.sockets import prepare
from telex.server.registry import Registry
from telex.testing.memory import ADDRESS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from telex.application.application import Application
    from telex.application.peer import Peer
    from telex.conversation.calls import Call
    from telex.limits import Limits
    from telex.testing.failures import Failures


class AsyncJoinedConnection(Connection):
    """A ``telex.asyncio.Connection`` to an application; made by ``async with connected(app)``.

    If the handler of a request fails, the exception of the handler is the ``__cause__`` of the
    RemoteError.
    """

    def __init__(self, driver: ClientDriver, peer: Peer, failures: list[BaseException]) -> None:
        super().__init__(driver, ADDRESS, str(ADDRESS))
        self.peer: Final = peer
        """This connection as handlers see it."""
        self.failures: Final = failures
        """What handlers raised that were not meant to fail, and no request has told yet.

        Leaving the context raises what is still in it: a test takes out what it expects.
        """


@contextlib.asynccontextmanager
async def joined(
    application: Application,
    limits: Limits,
    identity: str | None,
    peer_address: str,
    patience: float,
    failures: Failures,
) -> AsyncIterator[AsyncJoinedConnection]:
    """Give a connection to a server that listens nowhere, between the hooks of the application."""
    loop = asyncio.get_running_loop()
    served = copy.copy(application)
    served.shutdown_hooks = [_noted(hook, failures) for hook in application.shutdown_hooks]
    greeting = Greeting("telex.testing")
    server_loop = ServerLoop(loop, Registry(served, limits, greeting, None, None, None))
    async with Server(server_loop, [], ADDRESS) as server:
        await server.start()
        near, far = socket.socketpair()
        for sock in (near, far):
            prepare(sock)
        served_end = ServerDriver(server_loop, far, peer_address)
        served_end.connection.conversation.identity = identity
        await loop.connect_accepted_socket(lambda: served_end, far)
        end = core.Connection(limits, greeting, serves=False, now=time.monotonic())
        driver = _Driver(loop, near, end, failures)
        await loop.connect_accepted_socket(lambda: driver, near)
        peer = served_end.dispatcher.peer
        async with AsyncJoinedConnection(driver, peer, failures) as connection:
            yield connection


def _noted(hook: Callable[[], object], failures: Failures) -> Callable[[], Awaitable[None]]:
    """Return a shutdown hook of which it is noted when it fails; the server only logs that."""

    @functools.wraps(hook)
    async def call() -> None:
        try:
            result = hook()
            if inspect.isawaitable(result):
                await result
        except asyncio.CancelledError:  # there is no time for it
            raise
        except BaseException as failure:
            failures.note(failure)
            raise

    return call


class _Driver(ClientDriver):
    """The client's driver, which knows why a handler has failed."""

    __slots__ = ("_failures",)

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        connection: core.Connection,
        failures: Failures,
    ) -> None:
        super().__init__(loop, sock, connection)
        self._failures: Final = failures

    async def wait_for(self, call: Call, deadline: float | None, *, gives_up: bool = True) -> bool:
        """Wait for an answer; an error in its place has what the handler raised as its cause."""
        try:
            return await super().wait_for(call, deadline, gives_up=gives_up)
        finally:
            self._failures.explain(call)

    def raise_error_of(self, call: Call) -> None:
        """Raise the error of a call, with what the handler raised as its cause."""
        self._failures.explain(call)
        super().raise_error_of(call)
