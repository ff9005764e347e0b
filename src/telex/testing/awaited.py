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
from typing import TYPE_CHECKING, Final

from telex.asyncio.channel import Channel
from telex.asyncio.client import Connection
from telex.asyncio.link import Link
from telex.asyncio.server import Server
from telex.asyncio.server_driver import ServerDriver
from telex.asyncio.server_loop import ServerLoop
from telex.conversation.handshake import Greeting
from telex.network.sockets import prepare
from telex.server.registry import Registry
from telex.testing.joined_address import ADDRESS, AGENT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from telex.application.application import Application
    from telex.application.peer import Peer
    from telex.conversation.conversation import Call
    from telex.limits import Limits
    from telex.testing.failures import Failures


class AsyncJoinedConnection(Connection):
    """A ``telex.asyncio.Connection`` to an application; made by ``async with connected(app)``.

    If the handler of a request fails, the exception of the handler is the ``__cause__`` of the
    RemoteError.
    """

    def __init__(self, link: Link, peer: Peer, failures: list[BaseException]) -> None:
        super().__init__(link, ADDRESS)
        self.peer: Final = peer
        """This connection, as the ``peer`` of handlers."""
        self.failures: Final = failures
        """Exceptions of handlers that no request has raised.

        The end of the context raises those that are left: a test removes what it expects.
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
        links: list[Link] = []

        def make_link(channel: Channel) -> Link:
            links.append(_Link(loop, channel, limits, failures))
            return links[0]

        near_channel = Channel(loop, limits, make_link)
        near, far = socket.socketpair()
        for sock in (near, far):
            prepare(sock)
        driver = ServerDriver(server_loop, far, peer_address)
        driver.connection.conversation.identity = identity
        await loop.connect_accepted_socket(lambda: driver, far)
        await loop.create_unix_connection(lambda: near_channel, sock=near)
        return cls(server, AsyncJoinedConnection(links[0], driver.dispatcher.peer, failures))

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


class _Link(Link):
    """The client's end, which knows why a handler has failed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channel: Channel,
        limits: Limits,
        failures: Failures,
    ) -> None:
        super().__init__(loop, channel, limits, Greeting(AGENT))
        self._failures: Final = failures

    def raise_error_of(self, call: Call) -> None:
        """Raise the error with which a call has ended; its cause is what the handler raised."""
        self._failures.explain(call)
        super().raise_error_of(call)
