"""Makes a connection: everything that an address stands for is tried in turn.

The one place that knows how connecting and shaking hands fail. What is said over the connection is
not known here.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from telex.errors import AddressError, ConnectError
from telex.network.os_errors import reason_of
from telex.network.resolver import name_of, resolve
from telex.network.sockets import prepare
from telex.security.encryption import Encryption
from telex.security.tls import client_context
from telex.sync.deadlines import moment_in, seconds_until

if TYPE_CHECKING:
    from telex.address import Address
    from telex.limits import Limits
    from telex.network.resolver import Endpoint

_HANDSHAKE_SIZE: Final = 16 * 1024

_LEAST_SECONDS: Final = 0.001
"""A timeout of 0 would not wait, but say that it would have to."""

_NOT_TLS: Final = "WRONG_VERSION_NUMBER"


class Dialed(NamedTuple):
    """A connected socket that does not block, where it leads, and TLS if that was wanted."""

    socket: socket.socket
    peer_address: str
    encryption: Encryption | None
    early: bytes
    """What was said to us before TLS was agreed on completely."""


class Dialing:
    """How to connect to an address: with which limits, certificates and name."""

    def __init__(
        self,
        address: Address,
        limits: Limits,
        tls: ssl.SSLContext | None,
        server_hostname: str | None,
    ) -> None:
        if address.scheme != "tls" and (tls is not None or server_hostname is not None):
            raise AddressError(f"{address} is without TLS; right would be tls://HOST:PORT")
        self._address: Final = address
        self._limits: Final = limits
        self._tls: Final = client_context() if address.scheme == "tls" and tls is None else tls
        self._server_hostname: Final = server_hostname or address.host

    def open(self, deadline: float | None) -> Dialed:
        """Open a connection before ``deadline``; raises ConnectError, with every reason."""
        try:
            endpoints = resolve(self._address)
        except (OSError, UnicodeError) as error:
            raise ConnectError(str(self._address), reason_of(error)) from error
        failures: dict[str, OSError] = {}
        for position, endpoint in enumerate(endpoints):
            left = seconds_until(deadline)
            until = moment_in(None if left is None else left / (len(endpoints) - position))
            try:
                return self._open(endpoint, until)
            except OSError as error:
                failures[name_of(endpoint.address)] = error
        raise _connect_error(self._address, failures)

    def _open(self, endpoint: Endpoint, deadline: float | None) -> Dialed:
        """Connect a socket; raises OSError when that fails or takes too long."""
        sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            _give_time(sock, deadline)
            sock.connect(endpoint.address)
            if sock.family != socket.AF_UNIX and sock.getsockname() == sock.getpeername():
                # TCP can connect a port to itself where nobody listens, if it happens to be chosen.
                raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
            encryption, early = None, b""
            if self._tls is not None:
                encryption = Encryption(self._tls, time.monotonic(), self._server_hostname)
                limit = time.monotonic() + self._limits.handshake_timeout
                until = limit if deadline is None else min(limit, deadline)
                early = _shake_hands(sock, encryption, until)
            prepare(sock)
        except BaseException:
            sock.close()
            raise
        return Dialed(sock, name_of(endpoint.address), encryption, early)


def _shake_hands(sock: socket.socket, encryption: Encryption, deadline: float) -> bytes:
    """Agree on TLS; return what the peer has said by then. Raises OSError."""
    buffer = memoryview(bytearray(_HANDSHAKE_SIZE))
    early = b""
    encryption.begin()
    while not encryption.is_established:
        _give_time(sock, deadline)
        sock.sendall(encryption.data_to_send())
        size = sock.recv_into(buffer)
        if size == 0:
            raise ConnectionError("it ended the connection instead of agreeing on TLS")
        early += encryption.receive(buffer[:size])
        if encryption.error is not None:
            _give_time(sock, deadline)
            sock.sendall(encryption.data_to_send())
            raise encryption.error.__cause__ or encryption.error
    sock.sendall(encryption.data_to_send())
    return early


def _give_time(sock: socket.socket, deadline: float | None) -> None:
    """Have a socket wait for anything until ``deadline``; raises TimeoutError when that is over."""
    left = seconds_until(deadline)
    sock.settimeout(None if left is None else max(left, _LEAST_SECONDS))


def _connect_error(address: Address, failures: dict[str, OSError]) -> ConnectError:
    """Make one error of all that was tried; where it was one thing, its name is the address."""
    reasons = [f"{name}: {_reason(error)}" for name, error in failures.items()]
    if len(failures) == 1:
        reasons = [_reason(error) for error in failures.values()]
    failure = ConnectError(str(address), "; ".join(reasons))
    failure.__cause__ = next(iter(failures.values()))
    return failure


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == _NOT_TLS:
        return "it does not speak TLS; right may be tcp://"
    return reason_of(error)
