"""Tells when a socket takes more bytes again, without the transport that receives on the socket.

A transport would send by itself what it is given, in its own way: for the end of the peer the
system then ends the process by SIGPIPE, where that has its default action.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.network.fork import lead_nowhere

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

_RETRY_SECONDS: Final = 0.05
"""How long to wait where the process has no descriptor left to wait with."""


class RoomWatch:
    """Calls ``function`` once, in the loop, when ``sock`` takes more, or has an error to tell.

    An event loop allows one user for each descriptor, and the transport is that: so this watches a
    duplicate of the descriptor.
    """

    __slots__ = ("_duplicate", "_function", "_loop", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, function: Callable[[], object]
    ) -> None:
        self._loop: Final = loop
        self._function: Final = function
        self._timer: asyncio.TimerHandle | None = None
        self._duplicate: socket.socket | None = None
        try:
            self._duplicate = sock.dup()
            loop.add_writer(self._duplicate.fileno(), self._tell)
        except OSError:
            self.cancel()
            self._timer = loop.call_later(_RETRY_SECONDS, self._tell)

    def cancel(self) -> None:
        """Watch no longer; harmless when repeated."""
        if self._timer is not None:
            self._timer.cancel()
        duplicate, self._duplicate = self._duplicate, None
        if duplicate is not None:
            self._loop.remove_writer(duplicate.fileno())
            duplicate.close()

    def leave_to_owner(self) -> None:
        """Leave the socket to the process that this one was forked from."""
        if self._duplicate is not None:
            lead_nowhere((self._duplicate.fileno(),))

    def _tell(self) -> None:
        self.cancel()
        self._function()
