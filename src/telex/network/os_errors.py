"""Translates the errors of sockets and of TLS into errors of Telex, and into plain words.

The original error is kept as the cause.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Final

from telex.errors import ConnectionClosedError

_PLAIN_WORDS: Final = {
    errno.ECONNRESET: "it reset the connection",
    errno.EPIPE: "it receives no more",
    errno.ETIMEDOUT: "it does not answer any more",
}

_ALERTS: Final = {
    "CERTIFICATE_REQUIRED": "it wants a certificate of this side, and got none",
    "UNKNOWN_CA": "it does not trust this side's certificate",
    "BAD_CERTIFICATE": "it does not accept this side's certificate",
    "UNSUPPORTED_CERTIFICATE": "it does not accept certificates such as this side's",
    "CERTIFICATE_REVOKED": "this side's certificate was revoked",
    "CERTIFICATE_EXPIRED": "this side's certificate has expired",
    "CERTIFICATE_UNKNOWN": "it does not accept this side's certificate",
}
"""What a peer objects to in a certificate, by the name of its alert (RFC 8446, 6.2)."""


def reason_of(error: Exception) -> str:
    """Return in plain words what the operating system, the resolver or TLS reports."""
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved: {error.strerror}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        _version, is_alert, alert = (error.reason or "").partition("_ALERT_")
        if is_alert and alert in _ALERTS:
            return _ALERTS[alert]
        return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.errno is not None:
        if hasattr(error, "winerror"):  # Windows, whose own numbers strerror does not know
            return str(error.strerror).lower()
        return os.strerror(error.errno).lower()
    return str(error)


def ended_by(error: Exception | None) -> ConnectionClosedError:
    """Return the Telex error for a connection that was lost, with its cause; None: an end."""
    if isinstance(error, OSError):
        return ended_by_peer(error)
    if error is None:
        return ConnectionClosedError("peer", "it closed the connection")
    ended = ConnectionClosedError("us", f"ended by a fault of this side: {error!r}")
    ended.__cause__ = error
    return ended


def ended_by_peer(error: OSError, unsent: int = 0) -> ConnectionClosedError:
    """Return the Telex error for a connection that broke while it was in use, with its cause."""
    words = _PLAIN_WORDS.get(error.errno or 0) or reason_of(error)
    ended = ConnectionClosedError("peer", words, unsent=unsent)
    ended.__cause__ = error
    return ended
