"""Accepts connections on one listening socket, and rests when it cannot accept.

It hands each new socket on and forgets it. What a connection does is not known here.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from telex.log import safe_logger
from telex.network.os_errors import reason_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from telex.network.listener import Listener
    from telex.sync.loop import Loop

_MOST_IN_A_TURN: Final = 256
"""Connections accepted before those that exist already get their turn again."""

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC)
"""What the system says when it has no more descriptors, memory or (ENOSPC) watches for them."""

_UNFIT: Final = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP)
"""What the system says of a socket that nobody can be accepted on."""

logger: Final = safe_logger("telex.server")


class Acceptor:
    """Accepts for a listener; calls ``welcome(socket, address)`` for each connection."""

    def __init__(
        self, listener: Listener, loop: Loop, welcome: Callable[[socket.socket, object], None]
    ) -> None:
        self.socket: socket.socket = listener.socket
        self.watched = 0
        self._loop = loop
        self._welcome = welcome
        self._has_said_so = False

    def ready(self, events: int) -> None:
        """Accept those who wait, a bounded number of them."""
        for _ in range(_MOST_IN_A_TURN):
            sock = None
            try:
                sock, address = self.socket.accept()
                self._welcome(sock, address)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED or (sock is None and error.errno in _UNFIT):
                    self._rest(error)
                    return
                # The peer has gone again before it was welcome: accept(2), "Error handling".
                logger.debug("a connection ended before it was accepted: %s", reason_of(error))
            else:
                self._has_said_so = False

    def _rest(self, error: OSError) -> None:
        """Try again in a moment; say so once, until accepting works again."""
        if not self._has_said_so:
            logger.warning("new connections have to wait: %s", reason_of(error))
        self._has_said_so = True
        self._loop.rest(self)
