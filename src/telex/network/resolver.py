"""Resolves an address to the endpoints of sockets, and writes endpoints as text.

One name may resolve to several endpoints. This module asks the operating system's resolver, and
opens no socket.
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from telex.address import host_and_port, is_local_name

if TYPE_CHECKING:
    from telex.address import Address

_MAPPED: Final = "::ffff:"

_IP_6_PARTS: Final = 4
"""Host, port, flow and zone: what the socket addresses of IPv6 have."""

_HAS_ABSTRACT_NAMES: Final = sys.platform == "linux"
"""Whether Unix sockets can have names that are no files (unix(7), "abstract")."""


class Endpoint(NamedTuple):
    """A socket address, with its family: what a socket can bind or connect to."""

    family: socket.AddressFamily
    address: Any


def resolve(address: Address) -> list[Endpoint]:
    """Return the endpoints of ``address``, in the order of preference.

    Waits for the system's resolver where ``needs_resolver`` says so. ``localhost`` is this machine,
    whatever a resolver would say (RFC 6761, 6.3). Raises OSError, or UnicodeError for a name that
    cannot be encoded for the resolver.
    """
    if address.scheme == "unix":
        return [Endpoint(socket.AF_UNIX, _socket_name(address.path))]
    if is_local_name(address.host):
        six = Endpoint(socket.AF_INET6, ("::1", address.port, 0, 0))
        return [six, Endpoint(socket.AF_INET, ("127.0.0.1", address.port))]
    flags = 0 if needs_resolver(address) else socket.AI_NUMERICHOST
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys(Endpoint(family, where) for family, _, _, _, where in found))


def needs_resolver(address: Address) -> bool:
    """Say whether the system's resolver must be asked, for as long as that takes."""
    host = address.host
    is_number = ":" in host or host.replace(".", "").isdecimal()
    return not (address.scheme == "unix" or is_number or is_local_name(host))


def name_of(address: object, number: int = 0) -> str:
    """Write a socket address as ``host:port`` or ``unix:path``; without a path, ``unix:number``."""
    if isinstance(address, tuple):
        host = str(address[0]).removeprefix(_MAPPED)
        if len(address) == _IP_6_PARTS and address[3] and "%" not in host:
            host += _zone(address[3])
        return host_and_port(host, address[1])
    path = address.decode(errors="replace") if isinstance(address, bytes) else str(address)
    if path.startswith("\0"):
        path = f"@{path[1:]}"
    return f"unix:{path or number}"


def _zone(index: int) -> str:
    """Return which interface an IPv6 address is for, as it is written behind the address."""
    try:
        return f"%{socket.if_indextoname(index)}"
    except OSError:  # the interface is gone
        return f"%{index}"


def _socket_name(path: str) -> str:
    """Return what the system calls a Unix socket at a path, or of an abstract name."""
    if not path.startswith("@"):
        return path
    if not _HAS_ABSTRACT_NAMES:
        raise OSError(
            f"only Linux has Unix sockets with abstract names; right would be a path, "
            f"unix://./{path} for a file of this name"
        )
    return f"\0{path[1:]}"
