"""The options of ``connect()``, checked before anything is dialed: the same on every front-end.

Who is connected to, over which layer, and what this side says of itself. It knows no socket.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from telex.address import Address, check_is_safe_for_tokens, meant_by
from telex.arguments import check_type
from telex.connection.connection import Connection
from telex.conversation.greeting import Greeting, check_room
from telex.errors import AddressError, ConnectError, ConnectionClosedError, TelexError
from telex.limits import Limits
from telex.network.os_errors import reason_of
from telex.security.tls import certified_name, client_context
from telex.security.tls_layer import TlsLayer
from telex.version import __version__
from telex.wire.received import with_body

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN_WORDS: Final = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS; right may be tcp://",
    "UNEXPECTED_EOF_WHILE_READING": "it ended the connection instead of agreeing on TLS",
}
"""What OpenSSL's reasons mean where a connection is opened."""

_ABOUT_CERTIFICATES: Final = ("CERTIFICATE", "UNKNOWN_CA")
"""What OpenSSL's reasons contain when a peer refuses a certificate."""


class ClientOptions:
    """Where to connect to, and how.

    Raises AddressError for a malformed address, for options that do not go with the address, and
    for one where others could read the token; ContentError for a token that cannot be written,
    ValueError where the limits have no room for a greeting, and TypeError for a wrong type.
    """

    def __init__(
        self,
        address: str | Address,
        *,
        limits: Limits | None = None,
        token: str | None = None,
        keepalive: bool = False,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        insecure: bool = False,
    ) -> None:
        self.address: Final = meant_by(address)
        check_type(limits, Limits | None, "limits", "a telex.Limits")
        check_type(token, str | None, "token", "text")
        check_type(tls, ssl.SSLContext | None, "tls", "made by telex.tls.client_context()")
        self.limits: Final = limits or Limits()
        if token is not None and not insecure:
            check_is_safe_for_tokens(self.address)
        is_encrypted = self.address.scheme == "tls"
        if not is_encrypted and (tls is not None or server_hostname is not None):
            raise AddressError(f"{self.address} is without TLS; right would be tls://HOST:PORT")
        self._greeting: Final = Greeting(f"telex/{__version__}", token=token, keepalive=keepalive)
        check_room(self._greeting, self.limits)
        if self._greeting.is_wanted:
            with_body(self._greeting.hello(self.limits))
        self._tls: Final = client_context() if is_encrypted and tls is None else tls
        self._server_name: Final = (
            certified_name(server_hostname or self.address.host) if is_encrypted else ""
        )

    def connection(self, now: float) -> Connection:
        """Make this side's end of a connection that was opened."""
        layer = None if self._tls is None else TlsLayer(self._tls, self._server_name)
        return Connection(self.limits, self._greeting, serves=False, now=now, layer=layer)

    def no_welcome_error(self, timeout: float | None) -> ConnectError:
        """Make the error for a server that did not answer the hello within ``timeout`` seconds."""
        return ConnectError(str(self.address), f"no welcome came within {timeout or 0.0:g} s")

    def lookup_error(self, error: Exception) -> ConnectError:
        """Make the error for a name that the resolver does not know, or not in time."""
        if isinstance(error, TimeoutError):
            error = TimeoutError("timed out waiting for the name to be resolved")
        return self.connect_error({str(self.address): error})

    def connect_error(self, failures: Mapping[str, Exception]) -> ConnectError:
        """Make one error of all that was tried, by the name of what was tried.

        Its cause is the first failure that is about certificates, for those do not pass, else the
        first one.
        """
        reasons = [f"{name}: {_reason(error)}" for name, error in failures.items()]
        causes = list(failures.values())
        if len(failures) == 1:
            reasons = [_reason(causes[0])]
        error = ConnectError(str(self.address), "; ".join(reasons))
        error.__cause__ = next(filter(is_about_certificates, causes), causes[0])
        return error


def handshake_error(connection: Connection) -> Exception:
    """Return what went wrong where both sides have not agreed on the layer, TLS."""
    broken = connection.ending.broken
    if broken is None:
        return ConnectionError("it ended the connection instead of agreeing on TLS")
    if broken.code == "timeout":
        return TimeoutError(broken.reason)
    cause = broken.__cause__
    return cause if isinstance(cause, Exception) else broken


def is_fatal(error: TelexError) -> bool:
    """Say whether another attempt to connect would fail in the same way."""
    if isinstance(error, AddressError):
        return True
    if isinstance(error, ConnectionClosedError) and error.code == "unauthorized":
        return True
    return is_about_certificates(error.__cause__)


def is_about_certificates(error: BaseException | None) -> bool:
    """Say whether one side does not trust the other's certificate, or misses it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return True
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return any(word in (reason or "") for word in _ABOUT_CERTIFICATES)


def _reason(error: Exception) -> str:
    known = _PLAIN_WORDS.get(getattr(error, "reason", None) or "")
    return known or reason_of(error) or "timed out"
