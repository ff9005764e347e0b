"""Accepts connections for the selectors server; what accepting means is in ``server.acceptor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.server import acceptor
from telex.sync.server_driver import ServerDriver

if TYPE_CHECKING:
    import socket

    from telex.network.listener import Listener
    from telex.sync.loop import Loop


class Acceptor(acceptor.Acceptor):
    """Accepts for a listener whenever the loop finds the listener's socket ready."""

    def __init__(self, listener: Listener, loop: Loop) -> None:
        super().__init__(listener, loop.registry)
        self.watched = 0
        self._loop: Final = loop

    def ready(self, events: int) -> None:
        """Accept the waiting connections."""
        self.accept()

    def let_in(self, sock: socket.socket, name: str) -> None:
        """Serve a connection. Raises OSError when the socket cannot be polled."""
        ServerDriver(self._loop, sock, name).begin()

    def rest(self) -> None:
        """Accept nothing for a moment."""
        self._loop.rest(self, acceptor.REST_SECONDS)
