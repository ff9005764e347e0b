"""Sockets that begin to connect without waiting, and whether they are connected by now."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from telex.network.sockets import prepare

if TYPE_CHECKING:
    from telex.network.resolver import Endpoint

_UNDER_WAY: Final = (0, errno.EINPROGRESS, errno.EINTR)


def begin_connecting(endpoint: Endpoint) -> socket.socket:
    """Return a socket that connects to an endpoint; ``is_connected`` tells when it is done.

    Raises OSError, which is BlockingIOError where a Unix socket has no room for another connection:
    the system cannot wait for that, and does not tell when there is room.
    """
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        prepare(sock)
        # A name would be resolved by the loops of asyncio, and lose its zone on uvloop.
        number = sock.connect_ex(endpoint.address)
        if number not in _UNDER_WAY:
            raise OSError(number, os.strerror(number))
    except BaseException:
        sock.close()
        raise
    return sock


def is_connected(sock: socket.socket) -> bool:
    """Say whether a socket is connected, or still connects; raises OSError when that failed.

    A socket that is connected with itself counts as refused: TCP does that where nobody listens,
    if the system happens to choose the very port for it.
    """
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))
    try:
        peer = sock.getpeername()
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            return False
        raise
    if sock.family != socket.AF_UNIX and sock.getsockname() == peer:
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    return True
