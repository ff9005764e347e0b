"""An asyncio connection joined to an application, in one event loop and without a network.

Both ends are the ones of ``telex.asyncio``, at the two ends of a socket pair. Only what lies
between them is made here.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import socket
import time
from typing import TYPE_CHECKING, Final

from telex.asyncio.client import Connection
from telex.asyncio.client_driver import ClientDriver
from telex.asyncio.dialing import attach
from telex.asyncio.server import Server
from telex.asyncio.server_driver import ServerDriver
from telex.asyncio.server_loop import ServerLoop
from telex.connection import connection as core
from telex.conversation.greeting import Greeting
from telex.network.sockets import prepare
from telex.server.registry import Registry
from telex.testing.joined_address import ADDRESS, AGENT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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
        super().__init__(driver, ADDRESS, driver.peer_address)
        self.peer: Final = peer
        """This connection as handlers see it."""
        self.failures: Final = failures
        """What handlers raised that were not meant to fail, and no request has told yet.

        Leaving the context raises what is still in it: a test takes out what it expects.
        """


class AsyncJoint:
    """Both ends, from the start-up hooks to the shutdown hooks."""

    def __init__(self, server: Server, connection: AsyncJoinedConnection) -> None:
        self.connection: Final = connection
        self._server: Final = server

    @classmethod
    async def join(
        cls,
        application: Application,
        limits: Limits,
        identity: str | None,
        peer_address: str,
        failures: Failures,
    ) -> AsyncJoint:
        """Start a server that listens nowhere, and connect to it."""
        loop = asyncio.get_running_loop()
        served = copy.copy(application)
        served.shutdown_hooks = [_noted(hook, failures) for hook in application.shutdown_hooks]
        registry = Registry(served, limits, Greeting(AGENT), None, None, None)
        server_loop = ServerLoop(loop, registry)
        server = Server(server_loop, [], ADDRESS)
        await server.start()
        near, far = socket.socketpair()
        for sock in (near, far):
            prepare(sock)
        served_end = ServerDriver(server_loop, far, peer_address)
        served_end.connection.conversation.identity = identity
        await loop.connect_accepted_socket(lambda: served_end, far)
        end = core.Connection(limits, Greeting(AGENT), serves=False, now=time.monotonic())
        driver = _Driver(loop, near, end, failures)
        await attach(driver, near)
        return cls(server, AsyncJoinedConnection(driver, served_end.dispatcher.peer, failures))

    async def end(self) -> None:
        """End the server, which the client has left."""
        await self._server.close()


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

    async def wait_for(self, call: Call, deadline: float | None) -> bool:
        """Wait for an answer; an error in its place has what the handler raised as its cause."""
        try:
            return await super().wait_for(call, deadline)
        finally:
            self._failures.explain(call)

    def raise_error_of(self, call: Call) -> None:
        """Raise the error of a call, with what the handler raised as its cause."""
        self._failures.explain(call)
        super().raise_error_of(call)
