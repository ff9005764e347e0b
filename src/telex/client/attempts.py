"""Attempts to connect: the endpoints of an address in turn, each with its share of the time."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

from telex.network.resolver import name_of
from telex.network.sockets import UNIX_FAMILY

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

    from telex.network.resolver import Endpoint


def attempts(
    endpoints: Sequence[Endpoint], deadline: float | None
) -> Iterator[tuple[str, Endpoint, float | None]]:
    """Give each endpoint in turn, with its name and until when the attempt may last.

    The time that is left until ``deadline`` is divided among the endpoints that are left. Moments
    are those of ``time.monotonic()``.
    """
    for position, endpoint in enumerate(endpoints):
        until = None
        if deadline is not None:
            now = time.monotonic()
            until = now + max(0.0, deadline - now) / (len(endpoints) - position)
        yield name_of(endpoint.address), endpoint, until


def check_is_not_own(sock: socket.socket) -> None:
    """Raise ConnectionRefusedError for a socket that is connected to itself.

    TCP can connect a port to itself where nobody listens, if the port happens to be chosen.
    """
    if sock.family != UNIX_FAMILY and sock.getsockname() == sock.getpeername():
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
