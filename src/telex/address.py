"""Where to listen and where to connect: ``tcp://HOST:PORT``, ``tls://HOST:PORT``, ``unix://PATH``.

Only the form is checked here, and who can reach a server there. Whether a name resolves, a port is
free or a path may be written is for the front-ends to find out: this module must never open a
socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from telex.errors import AddressError

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

_IP_4: Final = 4
_IP_6: Final = 6
_EXAMPLE: Final = "tcp://127.0.0.1:7766"
_LARGEST_PORT: Final = 65_535
_LOCAL_NAME: Final = "localhost"


@dataclass(frozen=True, slots=True)
class Address:
    """An address: ``host`` and ``port`` for tcp and tls, ``path`` for unix.

    A ``path`` that begins with ``@`` is an abstract name (Linux), and no file.

    ``str(address)`` returns the text that ``Address.parse`` reads:

    >>> Address.parse("tcp://[::1]:7766")
    Address(scheme='tcp', host='::1', port=7766, path='')
    >>> str(Address("unix", path="/run/telex.sock"))
    'unix:///run/telex.sock'
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address; raises AddressError with what is wrong and what would be right."""
        scheme, separator, rest = text.partition("://")
        if not separator:
            _refuse(text, "it has no scheme", _with_scheme(text))
        known = scheme.lower()
        if known == "unix":
            return cls("unix", path=_parse_path(text, rest))
        if known in ("tcp", "tls"):
            host, port = _parse_host_and_port(text, known, rest)
            return cls(known, host, port)
        _refuse(text, f"the scheme {scheme!r} is unknown; tcp, tls and unix are known", _EXAMPLE)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address.

        Of all names that is true of ``localhost`` alone, and of what ends with ``.localhost``: no
        resolver is asked for those.
        """
        if self.scheme == "unix" or is_local_name(self.host):
            return True
        address = _ip_address(self.host)
        if address is None:
            return False
        mapped: IPv4Address | None = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self.path}"
        return f"{self.scheme}://{host_and_port(self.host, self.port)}"


def meant_by(where: str | Address) -> Address:
    """Return the address that is meant by what a user hands in.

    Raises AddressError for a text that is none, and TypeError, saying what would be right, for what
    is neither text nor an ``Address``, such as the pair of a host and a port.
    """
    if isinstance(where, Address):
        return where
    if isinstance(where, str):
        return Address.parse(where)
    raise TypeError(
        f"an address is text, such as {_EXAMPLE!r}, or a telex.Address, not {where!r} "
        f"({type(where).__name__})"
    )


def is_local_name(host: str) -> bool:
    """Say whether a name means this machine, wherever it is used (RFC 6761, 6.3)."""
    name = host.lower().removesuffix(".")
    return name == _LOCAL_NAME or name.endswith(f".{_LOCAL_NAME}")


def host_and_port(host: str, port: int) -> str:
    """Write a host and a port as one text; IPv6 addresses get their brackets.

    >>> host_and_port("127.0.0.1", 7766), host_and_port("::1", 7766)
    ('127.0.0.1:7766', '[::1]:7766')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_is_safe(address: Address) -> None:
    """Raise AddressError where a server would talk in the clear to more than this machine."""
    if _is_open_to_others(address):
        where = host_and_port(address.host, address.port)
        raise AddressError(
            f"cannot listen on {address} without TLS: others could read and change what is sent; "
            f"right would be tls://{where} with a certificate, tcp://127.0.0.1:{address.port} for "
            f"this machine only, or insecure=True (--insecure) where the network is trusted"
        )


def check_is_safe_for_tokens(address: Address) -> None:
    """Raise AddressError where a client would say its token in the clear beyond this machine."""
    if _is_open_to_others(address):
        where = host_and_port(address.host, address.port)
        raise AddressError(
            f"cannot show a token to {address} without TLS: others could read it and use it; "
            f"right would be tls://{where}, or insecure=True (--insecure) where the network is "
            f"trusted"
        )


def _is_open_to_others(address: Address) -> bool:
    return address.scheme == "tcp" and not address.is_loopback


def _parse_path(text: str, path: str) -> str:
    if not path:
        _refuse(text, "the path of the socket is missing", "unix:///run/telex.sock")
    if path == "@":
        _refuse(text, "the abstract name of the socket is missing", "unix://@telex")
    if "\0" in path:
        _refuse(text, "a path cannot contain a NUL character", "unix:///run/telex.sock")
    return path


def _parse_host_and_port(text: str, scheme: str, rest: str) -> tuple[str, int]:
    if rest.endswith("/"):
        _refuse(text, "nothing may follow the port", f"{scheme}://{rest.rstrip('/')}")
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        _refuse(text, "the port is missing", f"{scheme}://{rest or '127.0.0.1'}:7766")
    if not _is_port(port):
        _refuse(text, f"the port must be a number from 0 to {_LARGEST_PORT:,}, not {port!r}")
    return _parse_host(text, scheme, host, port), int(port)


def _is_port(port: str) -> bool:
    is_short_number = port.isascii() and port.isdecimal() and len(port) <= len(str(_LARGEST_PORT))
    return is_short_number and int(port) <= _LARGEST_PORT


def _parse_host(text: str, scheme: str, host: str, port: str) -> str:
    if host in ("", "*"):
        _refuse(
            text,
            "the host is missing",
            f"{scheme}://127.0.0.1:{port} for this machine only, {scheme}://0.0.0.0:{port} for "
            f"every IPv4 interface, {scheme}://[::]:{port} for every interface",
        )
    if host.startswith("[") and host.endswith("]"):
        if not _is_ip_address(host[1:-1], _IP_6):
            _refuse(text, f"{host!r} is not an IPv6 address", f"{scheme}://[::1]:{port}")
        return host[1:-1]
    if ":" in host:
        _refuse(text, "an IPv6 address needs brackets", f"{scheme}://[{host.strip('[]')}]:{port}")
    if not _is_host_name(host):
        _refuse(text, f"{host!r} is not a host name or an IP address")
    return host


def _is_host_name(host: str) -> bool:
    if not all(character.isalnum() or character in "-_." for character in host):
        return False
    only_numbers = host.isascii() and host.replace(".", "").isdecimal()
    return not only_numbers or _is_ip_address(host, _IP_4)


def _is_ip_address(host: str, version: int) -> bool:
    address = _ip_address(host)
    return address is not None and address.version == version


def _ip_address(host: str) -> IPv4Address | IPv6Address | None:
    import ipaddress  # here, because it would be a good part of what it takes to import telex

    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _with_scheme(text: str) -> str:
    """Guess what an address without a scheme was meant to be."""
    if "/" in text:
        return f"unix://{text.removeprefix('unix:')}"
    return f"tcp://{text}" if ":" in text else _EXAMPLE


def _refuse(text: str, problem: str, right: str = _EXAMPLE) -> NoReturn:
    raise AddressError(f"address {text!r}: {problem}; right would be {right}")
