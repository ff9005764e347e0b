"""Accepts connections on one listening socket, and rests when it cannot accept.

It makes each new socket a channel and forgets it. What a connection does is not known here.
"""

from __future__ import annotations

import asyncio
import errno
import time
from typing import TYPE_CHECKING, Final

from telex.asyncio.watched_connection import connection_types
from telex.log import safe_logger
from telex.network.os_errors import reason_of
from telex.network.resolver import name_of
from telex.network.sockets import prepare
from telex.security.encryption import Encryption

if TYPE_CHECKING:
    import socket
    import ssl

    from telex.asyncio.service import Service
    from telex.network.listener import Listener

_MOST_IN_A_TURN: Final = 256
"""Connections accepted before those that exist already get their turn again."""

_TOLD_SO: Final = 256
"""Connections above ``max_connections`` that are told so, before they are closed."""

_REST_SECONDS: Final = 0.5
"""How long it rests when it could not accept."""

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What the system says when it has no more descriptors or memory for them."""

_UNFIT: Final = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP)
"""What the system says of a socket that nobody can be accepted on."""

logger: Final = safe_logger("telex.server")


class Acceptor:
    """Accepts for a listener, from ``start()`` to ``close()``."""

    def __init__(self, listener: Listener, service: Service, tls: ssl.SSLContext | None) -> None:
        self._listener: Final = listener
        self._service: Final = service
        self._tls: Final = tls
        self._types: Final = connection_types(service.observer)
        self._accepted = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._has_said_so = False

    def start(self) -> None:
        """Accept from now on."""
        self._listener.socket.setblocking(False)
        self._service.loop.add_reader(self._listener.socket.fileno(), self.accept)

    def close(self) -> None:
        """Accept no more."""
        if self._resting is not None:
            self._resting.cancel()
        if self._listener.socket.fileno() >= 0:
            self._service.loop.remove_reader(self._listener.socket.fileno())
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
                # The peer has gone again before it was welcome: accept(2), "Error handling".
                logger.debug("a connection ended before it was accepted: %s", reason_of(error))
            else:
                self._has_said_so = False
                self._accepted += 1
                self._welcome(sock, name_of(address, self._accepted))

    def _welcome(self, sock: socket.socket, name: str) -> None:
        busy = len(self._service.connections) + len(self._opening)
        if busy >= self._service.limits.max_connections + _TOLD_SO:
            sock.close()
            logger.warning("%s: closed, with too many connections even to be told so", name)
            return
        task = self._service.loop.create_task(self._open(sock, name))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, sock: socket.socket, name: str) -> None:
        service = self._service
        channel_type, connection_type = self._types
        channel = channel_type(
            service.loop,
            service.limits,
            lambda made: connection_type(service, made, name),
            None if self._tls is None else Encryption(self._tls, time.monotonic()),
            is_server=True,
        )
        await service.loop.connect_accepted_socket(lambda: channel, sock)

    def _rest(self, error: OSError) -> None:
        """Try again in a moment; say so once, until accepting works again."""
        if not self._has_said_so:
            logger.warning("new connections have to wait: %s", reason_of(error))
        self._has_said_so = True
        loop = self._service.loop
        loop.remove_reader(self._listener.socket.fileno())
        if self._resting is not None:
            self._resting.cancel()  # a server that ends accepts once more, also while this rests
        self._resting = loop.call_later(_REST_SECONDS, self.start)
