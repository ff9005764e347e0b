"""From an address to what a socket binds or connects to, and back to what people read.

One name may stand for several. This module asks the operating system's resolver, and opens nothing.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from telex.address import host_and_port

if TYPE_CHECKING:
    from telex.address import Address

_MAPPED: Final = "::ffff:"


class Endpoint(NamedTuple):
    """One thing that a socket can bind or connect to."""

    family: socket.AddressFamily
    address: Any


def resolve(address: Address) -> list[Endpoint]:
    """Return what ``address`` stands for, in the order of preference.

    Raises OSError, or UnicodeError for a name that the resolver cannot even be asked for.
    """
    if address.scheme == "unix":
        return [Endpoint(socket.AF_UNIX, address.path)]
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(Endpoint(family, where) for family, _, _, _, where in found))


def name_of(address: object, number: int = 0) -> str:
    """Write the address of a socket as people do; unix peers without a path get their number."""
    if isinstance(address, tuple):
        return host_and_port(str(address[0]).removeprefix(_MAPPED), address[1])
    path = address.decode(errors="replace") if isinstance(address, bytes) else str(address)
    return f"unix:{path or number}"
