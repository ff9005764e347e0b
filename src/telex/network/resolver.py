"""Resolves an address to the endpoints of sockets, and writes endpoints as text.

One name may resolve to several endpoints. This module asks the operating system's resolver, and
opens no socket.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from telex.address import host_and_port
from telex.network.sockets import UNIX_FAMILY

if TYPE_CHECKING:
    from telex.address import Address

_MAPPED: Final = "::ffff:"


class Endpoint(NamedTuple):
    """A socket address, with its family: what a socket can bind or connect to."""

    family: socket.AddressFamily
    address: Any


def resolve(address: Address) -> list[Endpoint]:
    """Return the endpoints of ``address``, in the order of preference.

    Raises OSError, or UnicodeError for a name that cannot be encoded for the resolver.
    """
    if address.scheme == "unix":
        if UNIX_FAMILY is None:
            raise OSError(
                "this system has no Unix sockets; tcp://127.0.0.1 is for this machine too"
            )
        return [Endpoint(UNIX_FAMILY, address.path)]
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(Endpoint(family, where) for family, _, _, _, where in found))


def name_of(address: object, number: int = 0) -> str:
    """Write a socket address as ``host:port`` or ``unix:path``; without a path, ``unix:number``."""
    if isinstance(address, tuple):
        return host_and_port(str(address[0]).removeprefix(_MAPPED), address[1])
    path = address.decode(errors="replace") if isinstance(address, bytes) else str(address)
    return f"unix:{path or number}"
