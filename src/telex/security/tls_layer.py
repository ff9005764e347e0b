"""TLS as a layer of a connection, see ``connection.layer``.

It works on memory alone. So all bytes stay in the batches of the connection, no bytes hide from a
wait for sockets, and one direction can end before the other. It never touches a socket, and decides
nothing.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Final

from telex.connection.layer import Layer
from telex.errors import ConnectionClosedError
from telex.network.os_errors import reason_of
from telex.security.tls import identity_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_SLICE: Final = 64 * 1024
"""Bytes per call of OpenSSL: each connection keeps buffers of this size."""

_NOT_TLS: Final = "the client does not speak TLS, as this address demands; right would be tls://"

_RENEGOTIATION: Final = (
    "the peer asks to agree on TLS anew, which is not supported; "
    "right would be TLS 1.3, or ssl.OP_NO_RENEGOTIATION in its context"
)

_HANDSHAKE_RECORD: Final = 0x16
"""The first byte of every TLS connection (RFC 8446, 5.1)."""


class TlsLayer(Layer):
    """One side of TLS on one connection (RFC 8446).

    With a ``server_name``, which is verified, it is the client's side and opens the handshake;
    without one it is the server's.
    """

    __slots__ = ("_has_begun", "_incoming", "_is_ending", "_is_server", "_outgoing", "_tls")

    error: ConnectionClosedError | None
    has_ended: bool
    identity: str | None

    def __init__(self, context: ssl.SSLContext, server_name: str | None = None) -> None:
        super().__init__()
        self._incoming: Final = ssl.MemoryBIO()
        self._outgoing: Final = ssl.MemoryBIO()
        self._is_server: Final = server_name is None
        self._tls: Final = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=self._is_server,
            server_hostname=server_name,
        )
        self._has_begun = False
        self._is_ending = False
        if not self._is_server:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()

    def receive(self, data: bytes | memoryview) -> bytes:
        """Take bytes that came from the network; return the conversation's bytes in them."""
        if not self._has_begun:
            self._has_begun = True
            if self._is_server and not begins_tls(data):
                self.mismatch = _NOT_TLS
                return b""
        said: list[bytes] = []
        for start in range(0, len(data), _SLICE):
            self._incoming.write(data[start : start + _SLICE])
            try:
                self._read(said)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                self._break(error)
            break
        return said[0] if len(said) == 1 else b"".join(said)

    def encode(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Return the bytes to send for these bytes of the conversation."""
        encrypted: list[bytes] = []
        left = memoryview(b"".join(pieces))
        while left:
            try:
                left = left[self._tls.write(left[:_SLICE]) :]
            except ssl.SSLError as error:
                self._break(error)
                break
            encrypted.append(self._outgoing.read())
        return encrypted

    def data_to_send(self) -> bytes:
        """Return the bytes of TLS itself: handshakes, alerts and its end."""
        return self._outgoing.read()

    def end(self) -> None:
        """Announce the end of the output; bytes of the peer can still be received."""
        if self._is_ending or not self.is_established or self.error is not None:
            return
        self._is_ending = True
        with contextlib.suppress(ssl.SSLError):  # the peer has not announced its own end yet
            self._tls.unwrap()

    def error_at_eof(self) -> ConnectionClosedError | None:
        """Return the error if the stream of the network ends now; None if this is a correct end.

        Anybody on the way can end a TCP stream. Only the peer can announce, within TLS, that it has
        ended its output (RFC 8446, 6.1).
        """
        if self.has_ended or not self.is_established:
            return None
        return ConnectionClosedError("peer", "it cut the connection without ending TLS")

    def _read(self, said: list[bytes]) -> None:
        """Read until there is no more; raises SSLWantReadError then, and SSLError."""
        if not self.is_established:
            self._tls.do_handshake()
            self.is_established = True
            self.identity = identity_of(self._tls.getpeercert())
        while data := self._tls.read(_SLICE):
            said.append(data)
        self.has_ended = True

    def _break(self, error: ssl.SSLError) -> None:
        if isinstance(error, ssl.SSLZeroReturnError):
            self.has_ended = True
            return
        by = "peer" if "ALERT" in (error.reason or "") else "us"
        is_incomplete = isinstance(error, ssl.SSLWantReadError)
        reason = _RENEGOTIATION if is_incomplete else reason_of(error)
        self.error = ConnectionClosedError(by, reason)
        self.error.__cause__ = error


def begins_tls(data: bytes | memoryview) -> bool:
    """Say whether the first bytes of a connection may be those of TLS."""
    return data[0] == _HANDSHAKE_RECORD
