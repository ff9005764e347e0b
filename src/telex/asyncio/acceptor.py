"""Accepts connections for the asyncio server; what accepting means is in ``server.acceptor``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from telex.asyncio.server_driver import ServerDriver
from telex.network.os_errors import reason_of
from telex.server import acceptor
from telex.server.acceptor import logger

if TYPE_CHECKING:
    import asyncio
    import socket

    from telex.asyncio.server_loop import ServerLoop
    from telex.network.listener import Listener


class Acceptor(acceptor.Acceptor):
    """Accepts for a listener, from ``start()`` to ``close()``."""

    def __init__(self, listener: Listener, server: ServerLoop) -> None:
        super().__init__(listener, server.registry)
        self._server: Final = server
        self.opening: set[asyncio.Task[object]] = set()
        self._resting: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept from now on."""
        self.socket.setblocking(False)
        self._server.loop.add_reader(self.socket.fileno(), self.accept)

    def close(self) -> None:
        """Accept no more."""
        self._stop()
        self.listener.close()

    def let_in(self, sock: socket.socket, name: str) -> None:
        """Serve a connection, as soon as asyncio has made a transport for the socket."""
        loop = self._server.loop
        driver = ServerDriver(self._server, sock, name)
        task = loop.create_task(loop.connect_accepted_socket(lambda: driver, sock))
        self.opening.add(task)
        task.add_done_callback(partial(self._is_in, sock))

    def rest(self) -> None:
        """Accept nothing for a moment."""
        self._stop()  # a server that ends accepts once more, also while this rests
        self._resting = self._server.loop.call_later(acceptor.REST_SECONDS, self.start)

    def _is_in(self, sock: socket.socket, task: asyncio.Task[object]) -> None:
        """Forget the making of a transport, which may have failed."""
        self.opening.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        sock.close()
        if not isinstance(error, OSError):
            raise error
        logger.debug("a connection ended before it was served: %s", reason_of(error))

    def _stop(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
        if self.socket.fileno() >= 0:
            self._server.loop.remove_reader(self.socket.fileno())
