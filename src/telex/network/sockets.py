"""The options of every connected socket, and the user at the other end of a Unix socket."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final, Protocol

_CREDENTIALS: Final = struct.Struct("iII")
"""A process, its user and its group (unix(7), SO_PEERCRED)."""


NO_SIGNAL: Final[int] = getattr(socket, "MSG_NOSIGNAL", 0)
"""The flag for all that is sent: without it, SIGPIPE may end a process whose peer has gone.

Python ignores that signal, but a program may have restored its default action."""

_SO_NOSIGPIPE: Final = 0x1022
"""The same as an option of the socket, on systems that have no such flag (macOS)."""


class HasOptions(Protocol):
    """A socket, or the view of a socket that an event loop gives."""

    @property
    def family(self) -> int:
        """The address family."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """Return the value of an option."""


def prepare(sock: socket.socket) -> None:
    """Make a connected socket non-blocking, and send small messages without delay (TCP_NODELAY).

    Nothing that is sent with ``NO_SIGNAL`` raises SIGPIPE afterwards.

    asyncio sets TCP_NODELAY only on sockets that were made with an explicit protocol number.
    """
    sock.setblocking(False)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "darwin":
        sock.setsockopt(socket.SOL_SOCKET, _SO_NOSIGPIPE, 1)


def user_at_other_end(sock: HasOptions) -> int | None:
    """Return the user id of the process at the other end of a Unix socket.

    Returns None for any other socket, and on systems other than Linux.
    """
    if sys.platform == "linux" and sock.family == socket.AF_UNIX:
        said = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        user_id: int = _CREDENTIALS.unpack(said)[1]
        return user_id
    return None
