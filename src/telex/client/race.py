"""The sockets of the attempts to connect; how somebody waits for them is the front-end's.

A front-end takes a turn, waits until one of ``sockets`` is ready to send, at the latest until
``attempts.due_at``, and takes the next turn.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

from telex.network.connecting import begin_connecting, is_connected

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from telex.client.attempts import Attempts
    from telex.network.resolver import Endpoint


class Race:
    """Connects sockets as ``attempts`` say; closes what is left at the end of the context."""

    def __init__(self, attempts: Attempts) -> None:
        self.sockets: Final[dict[socket.socket, Endpoint]] = {}
        """Those that connect, each with its endpoint."""
        self._attempts: Final = attempts

    def turn(self) -> tuple[socket.socket, Endpoint] | None:
        """Begin the attempts that are due; return a socket that is connected, which is taken out.

        Of that one it must be told when it is of no use after all.
        """
        now = time.monotonic()
        while True:
            for sock, endpoint in list(self.sockets.items()):
                if self._has_won(sock, endpoint):
                    return sock, endpoint
            due = self._attempts.begin(now)
            if due is None:
                break
            self._begin(due, now)
        if now >= self._attempts.deadline:
            self._attempts.expire()
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for sock in self.sockets:
            sock.close()

    def _begin(self, endpoint: Endpoint, now: float) -> None:
        try:
            sock = begin_connecting(endpoint)
        except OSError as error:
            if isinstance(error, BlockingIOError) and endpoint.family == socket.AF_UNIX:
                self._attempts.postpone(endpoint, now)
            else:
                self._attempts.failed(endpoint, error)
        else:
            self.sockets[sock] = endpoint

    def _has_won(self, sock: socket.socket, endpoint: Endpoint) -> bool:
        try:
            if not is_connected(sock):
                return False
        except OSError as error:
            del self.sockets[sock]
            sock.close()
            self._attempts.failed(endpoint, error)
            return False
        del self.sockets[sock]
        return True
