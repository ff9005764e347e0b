"""Accepts connections on one listening socket, and rests when it cannot accept.

Both servers derive their acceptor: polling the socket, and letting a connection in, is theirs.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NamedTuple

from telex.log import safe_logger
from telex.network.os_errors import reason_of
from telex.network.resolver import name_of
from telex.network.sockets import prepare

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

    from telex.network.listener import Listener
    from telex.server.registry import Registry

MAX_IN_A_TURN: Final = 256
"""Connections accepted before the existing connections get their turn again."""

REST_SECONDS: Final = 0.5
"""How long an acceptor rests that could not accept."""

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC)
"""The system has no more descriptors, memory, or (ENOSPC) watches for descriptors."""

_UNFIT: Final = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP)
"""The listening socket itself cannot accept."""

logger: Final = safe_logger("telex.server")


class _Caller(NamedTuple):
    """Somebody whose connection is not served, as the log names peers."""

    address: str
    identity: None = None


class Acceptor:
    """Accepts for a listener. Derive, and supply ``let_in`` and ``rest``."""

    def __init__(self, listener: Listener, registry: Registry) -> None:
        self.listener: Final = listener
        self.socket: socket.socket = listener.socket
        self.opening: Collection[object] = ()
        """Accepted connections that are not in the registry yet."""
        self._registry: Final = registry
        self._accepted = 0
        self._was_logged = False

    def let_in(self, sock: socket.socket, name: str) -> None:
        """Serve a new connection to the peer ``name``; may raise OSError."""

    def rest(self) -> None:
        """Accept nothing for ``REST_SECONDS``."""

    def accept(self) -> None:
        """Accept the waiting connections, a bounded number of them."""
        for _ in range(MAX_IN_A_TURN):
            sock = None
            try:
                sock, address = self.socket.accept()
                self._take(sock, address)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED or (sock is None and error.errno in _UNFIT):
                    self._log(error)
                    self.rest()
                    return
                # The peer ended the connection before it was accepted: accept(2), "Error handling".
                logger.debug("a connection ended before it was accepted: %s", reason_of(error))
            else:
                self._was_logged = False

    def _take(self, sock: socket.socket, address: object) -> None:
        """Let a connection in, or close the connection."""
        self._accepted += 1
        name = name_of(address, self._accepted)
        if not self._registry.has_room_to_refuse(len(self.opening)):
            why = "closed, with too many connections even to be told so"
            logger.warning(why, peer=_Caller(name))
            sock.close()
            return
        try:
            prepare(sock)
            self.let_in(sock, name)
        except BaseException:
            sock.close()
            raise

    def _log(self, error: OSError) -> None:
        """Log an error once, until accepting works again."""
        if not self._was_logged:
            logger.warning("new connections have to wait: %s", reason_of(error))
        self._was_logged = True
