"""TLS as a layer: bytes of a socket in, bytes of a conversation out, and back.

It works on memory alone, so that what is received and sent stays in the batches of the connection,
nothing is left where the loop's wait for sockets cannot see it, and the end of one direction is not
the end of both. It never touches a socket, and decides nothing.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Any, Final

from telex.errors import ConnectionClosedError
from telex.network.os_errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_SLICE: Final = 64 * 1024
"""Bytes put through at once: a connection keeps buffers of this size, however much goes through."""

_HANDSHAKE_RECORD: Final = 0x16
"""The first byte of every TLS connection (RFC 8446, 5.1)."""


class Encryption:
    """One side of TLS on one connection, which began at ``begun_at``.

    It is the server's side, or the client's when there is a ``server_name`` to be verified.
    """

    __slots__ = (
        "_incoming",
        "_outgoing",
        "_tls",
        "begun_at",
        "error",
        "has_begun",
        "has_ended",
        "is_ending",
        "is_established",
    )

    def __init__(
        self, context: ssl.SSLContext, begun_at: float, server_name: str | None = None
    ) -> None:
        self._incoming: Final = ssl.MemoryBIO()
        self._outgoing: Final = ssl.MemoryBIO()
        self._tls: Final = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_name is None,
            server_hostname=server_name,
        )
        self.begun_at: Final = begun_at
        self.has_begun: bool = False
        """Whether anything has come."""
        self.is_established: bool = False
        """Whether the handshake is done."""
        self.has_ended: bool = False
        """Whether the peer has said that it sends no more."""
        self.is_ending: bool = False
        """Whether this side has."""
        self.error: ConnectionClosedError | None = None
        """What broke it; what ``data_to_send`` returns then tells the peer."""

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The peer's certificate, if it showed one and it was verified."""
        return self._tls.getpeercert()

    def begin(self) -> None:
        """Begin the handshake, as clients do."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()

    def receive(self, data: bytes | memoryview) -> bytes:
        """Take what came from the socket; return what it says, which may be nothing yet."""
        self.has_begun = True
        said: list[bytes] = []
        for start in range(0, len(data), _SLICE):
            self._incoming.write(data[start : start + _SLICE])
            try:
                self._take_in(said)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                self._break(error)
            break
        return said[0] if len(said) == 1 else b"".join(said)

    def encrypt(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Return pieces for the socket that say these; the handshake must be done."""
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

    def end(self) -> bool:
        """Say that nothing follows; return whether there was that to say.

        What the peer says can still be received.
        """
        if self.is_ending or not self.is_established or self.error is not None:
            return False
        self.is_ending = True
        with contextlib.suppress(ssl.SSLError):  # the peer has not said so yet
            self._tls.unwrap()
        return True

    def error_at_end_of_stream(self) -> ConnectionClosedError | None:
        """Return what is wrong when the socket says now that nothing follows, if anything is.

        Anybody on the way can end a stream of TCP; that the peer has ended what it says, only the
        peer can say, within TLS (RFC 8446, 6.1).
        """
        if self.has_ended or not self.is_established:
            return None
        return ConnectionClosedError("peer", "it cut the connection without ending TLS")

    def data_to_send(self) -> bytes:
        """Return what TLS itself has to say: handshakes, alerts, and its end."""
        return self._outgoing.read()

    def _take_in(self, said: list[bytes]) -> None:
        """Read until there is no more; raises SSLWantReadError then, and SSLError."""
        if not self.is_established:
            self._tls.do_handshake()
            self.is_established = True
        while data := self._tls.read(_SLICE):
            said.append(data)
        self.has_ended = True

    def _break(self, error: ssl.SSLError) -> None:
        if isinstance(error, ssl.SSLZeroReturnError):
            self.has_ended = True
            return
        by = "peer" if "ALERT" in (error.reason or "") else "us"
        self.error = ConnectionClosedError(by, reason_of(error))
        self.error.__cause__ = error


def begins_tls(data: bytes | memoryview) -> bool:
    """Say whether the first bytes of a connection may be those of TLS."""
    return data[0] == _HANDSHAKE_RECORD
