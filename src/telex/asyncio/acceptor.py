"""Accepts connections on one listening socket, and rests when it cannot accept.

It gives each new socket a driver and forgets both. What a connection does is not known here.
"""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Final

from telex.asyncio.server_driver import ServerDriver
from telex.log import safe_logger
from telex.network.os_errors import reason_of
from telex.network.resolver import name_of
from telex.network.sockets import prepare

if TYPE_CHECKING:
    import socket

    from telex.asyncio.server_loop import ServerLoop
    from telex.network.listener import Listener

_MOST_IN_A_TURN: Final = 256
"""Connections accepted before those that exist already get their turn again."""

_REST_SECONDS: Final = 0.5
"""How long it rests when it could not accept."""

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What the system says when it has no more descriptors or memory for them."""

_UNFIT: Final = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP)
"""What the system says of a socket that nobody can be accepted on."""

logger: Final = safe_logger("telex.server")


class Acceptor:
    """Accepts for a listener, from ``start()`` to ``close()``."""

    def __init__(self, listener: Listener, server: ServerLoop) -> None:
        self._listener: Final = listener
        self._server: Final = server
        self._accepted = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._has_said_so = False

    def start(self) -> None:
        """Accept from now on."""
        self._listener.socket.setblocking(False)
        self._server.loop.add_reader(self._listener.socket.fileno(), self.accept)

    def close(self) -> None:
        """Accept no more."""
        if self._resting is not None:
            self._resting.cancel()
        if self._listener.socket.fileno() >= 0:
            self._server.loop.remove_reader(self._listener.socket.fileno())
        self._listener.close()

    def accept(self) -> None:
        """Accept those who wait, a bounded number of them."""
        for _ in range(_MOST_IN_A_TURN):
            sock = None
            try:
                sock, address = self._listener.socket.accept()
                prepare(sock)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED or (sock is None and error.errno in _UNFIT):
                    self._rest(error)
                    return
                if sock is not None:
                    sock.close()
                # The peer has gone again before it was accepted: accept(2), "Error handling".
                logger.debug("a connection ended before it was accepted: %s", reason_of(error))
            else:
                self._has_said_so = False
                self._accepted += 1
                self._let_in(sock, name_of(address, self._accepted))

    def _let_in(self, sock: socket.socket, name: str) -> None:
        if not self._server.registry.has_room_to_refuse(len(self._opening)):
            sock.close()
            logger.warning("%s: closed, with too many connections even to be told so", name)
            return
        task = self._server.loop.create_task(self._open(sock, name))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, sock: socket.socket, name: str) -> None:
        driver = ServerDriver(self._server, sock, name)
        await self._server.loop.connect_accepted_socket(lambda: driver, sock)

    def _rest(self, error: OSError) -> None:
        """Try again in a moment; say so once, until accepting works again."""
        if not self._has_said_so:
            logger.warning("new connections have to wait: %s", reason_of(error))
        self._has_said_so = True
        loop = self._server.loop
        loop.remove_reader(self._listener.socket.fileno())
        if self._resting is not None:
            self._resting.cancel()  # a server that ends accepts once more, also while this rests
        self._resting = loop.call_later(_REST_SECONDS, self.start)
