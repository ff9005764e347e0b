"""A plain socket with TLS around it, for tests: it may be read and written by two threads at once.

The standard library's TLS sockets may not, and they close both directions together.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Any, Self

_AT_ONCE = 50_000


class EncryptedSocket:
    """As much of a socket as tests need; made when the handshake is done."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        piece: int = 100_000,
        name: str = "localhost",
    ) -> None:
        self.bare = sock
        self._piece = piece
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._lock = threading.Lock()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        try:
            while not self._is_established():
                self._incoming.write(self._receive())
            self._flush()
        except BaseException:
            sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bare.close()

    def getsockname(self) -> tuple[str, int]:
        """Return what the socket is bound to."""
        name: tuple[str, int] = self.bare.getsockname()
        return name

    def getpeercert(self) -> dict[str, Any]:
        """Return the certificate of the server."""
        certificate: dict[str, Any] | None = self._tls.getpeercert()
        assert certificate is not None
        return certificate

    def settimeout(self, seconds: float) -> None:
        """Do not wait longer than this for the socket."""
        self.bare.settimeout(seconds)

    def sendall(self, data: bytes) -> None:
        """Send all of this."""
        for start in range(0, len(data), _AT_ONCE):
            with self._lock:
                self._tls.write(data[start : start + _AT_ONCE])
                encrypted = self._outgoing.read()
            self._send(encrypted)

    def recv(self, size: int) -> bytes:
        """Return what has come; nothing at the end."""
        while True:
            with self._lock:
                try:
                    return self._tls.read(size)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLZeroReturnError:
                    return b""
            data = self._receive()
            with self._lock:
                self._incoming.write(data)

    def shutdown(self, how: int) -> None:
        """Say that nothing follows."""
        assert how == socket.SHUT_WR
        with self._lock, contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()

    def close(self) -> None:
        """Close the socket, without a word."""
        self.bare.close()

    def _is_established(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()
        return True

    def _flush(self) -> None:
        self._send(self._outgoing.read())

    def _send(self, data: bytes) -> None:
        for start in range(0, len(data), self._piece):
            self.bare.sendall(data[start : start + self._piece])

    def _receive(self) -> bytes:
        data = self.bare.recv(100_000)
        if not data:
            raise EOFError("the stream ended without the end of TLS")
        return data
