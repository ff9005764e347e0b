"""What every connected socket is set to, on whichever side and front-end, and whom it leads to."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final, Protocol

_CREDENTIALS: Final = struct.Struct("iII")
"""A process, its user and its group (unix(7), SO_PEERCRED)."""


class HasOptions(Protocol):
    """A socket, or what an event loop shows of one."""

    @property
    def family(self) -> int:
        """What sort of addresses it has."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """Return an option."""


def prepare(sock: socket.socket) -> None:
    """Make a connected socket non-blocking, and have it send small messages at once.

    asyncio does the latter only for sockets that were made with the number of the protocol.
    """
    sock.setblocking(False)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def user_at_other_end(sock: HasOptions) -> int | None:
    """Return the user id of the process that has connected to a Unix socket.

    None where that is not known: for any other socket, and where the system is not Linux.
    """
    if sys.platform == "linux" and sock.family == socket.AF_UNIX:
        said = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        user_id: int = _CREDENTIALS.unpack(said)[1]
        return user_id
    return None
