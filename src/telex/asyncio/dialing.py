"""Makes a connection: everything that an address stands for is tried in turn.

The one place that knows how connecting and shaking hands fail. What is said over the connection is
not known here.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from typing import TYPE_CHECKING, Final

from telex.asyncio.channel import Channel
from telex.errors import AddressError, ConnectError
from telex.network.os_errors import reason_of
from telex.network.resolver import name_of, resolve
from telex.network.sockets import prepare
from telex.security.encryption import Encryption
from telex.security.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.address import Address
    from telex.asyncio.channel import User
    from telex.limits import Limits
    from telex.network.resolver import Endpoint

_PLAIN_WORDS: Final = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS; right may be tcp://",
    "UNEXPECTED_EOF_WHILE_READING": "it ended the connection instead of agreeing on TLS",
}

_ABOUT_CERTIFICATES: Final = ("CERTIFICATE", "UNKNOWN_CA")
"""What the reasons of OpenSSL hold when a peer refuses a certificate."""


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

    async def open(self, make_user: Callable[[Channel], User], deadline: float | None) -> None:
        """Open a channel before ``deadline``; raises ConnectError, with every reason."""
        loop = asyncio.get_running_loop()
        address = self._address
        try:
            async with asyncio.timeout_at(deadline):
                endpoints = await loop.run_in_executor(None, resolve, address)
        except (OSError, UnicodeError) as error:
            raise ConnectError(str(address), _reason(error)) from error
        failures: dict[str, Exception] = {}
        for position, endpoint in enumerate(endpoints):
            until = None
            if deadline is not None:
                until = loop.time() + (deadline - loop.time()) / (len(endpoints) - position)
            try:
                async with asyncio.timeout_at(until):
                    await self._open(endpoint, make_user)
            except OSError as error:
                failures[name_of(endpoint.address)] = error
            else:
                return
        raise _connect_error(address, failures)

    async def _open(self, endpoint: Endpoint, make_user: Callable[[Channel], User]) -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            prepare(sock)
            await loop.sock_connect(sock, endpoint.address)
            if sock.family != socket.AF_UNIX and sock.getsockname() == sock.getpeername():
                # TCP can connect a port to itself where nobody listens, if it happens to be chosen.
                raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
            encryption = None
            if self._tls is not None:
                encryption = Encryption(self._tls, time.monotonic(), self._server_hostname)
            channel = Channel(loop, self._limits, make_user, encryption)
            if sock.family == socket.AF_UNIX:
                await loop.create_unix_connection(lambda: channel, sock=sock)
            else:
                await loop.create_connection(lambda: channel, sock=sock)
        except BaseException:
            sock.close()
            raise
        try:
            async with asyncio.timeout(self._limits.handshake_timeout):
                await channel.shake_hands()
        except BaseException:
            channel.close()
            raise


def is_about_certificates(error: BaseException | None) -> bool:
    """Say whether one side does not trust the other's certificate, or misses it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return True
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return any(word in (reason or "") for word in _ABOUT_CERTIFICATES)


def _connect_error(address: Address, failures: dict[str, Exception]) -> ConnectError:
    """Make one error of all that was tried; where it was one thing, its name is the address.

    What caused it is the first failure, or the first that is about certificates: those do not pass.
    """
    reasons = [f"{name}: {_reason(error)}" for name, error in failures.items()]
    if len(failures) == 1:
        reasons = [_reason(error) for error in failures.values()]
    failure = ConnectError(str(address), "; ".join(reasons))
    causes = list(failures.values())
    failure.__cause__ = next(filter(is_about_certificates, causes), causes[0])
    return failure


def _reason(error: Exception) -> str:
    known = _PLAIN_WORDS.get(getattr(error, "reason", None) or "")
    return known or reason_of(error) or "timed out"
