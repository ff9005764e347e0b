"""One end of a connection, plain or with TLS, for blocking code that speaks the format by hand.

One thread may send while another one receives, and the output can be ended alone: a TLS socket of
the standard library can do neither.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Final

from telex.errors import ConnectError
from telex.network.os_errors import reason_of
from telex.network.resolver import resolve
from telex.security.tls import certified_name

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from telex.address import Address

_AT_ONCE: Final = 64 * 1024
"""Bytes that are received, or encrypted, at a time."""


class Channel:
    """A connected socket; ``timeout``, in seconds, is for each system call that sends or agrees.

    With ``tls`` the handshake is done by the constructor, which raises OSError if it fails.
    """

    def __init__(
        self,
        sock: socket.socket,
        tls: ssl.SSLContext | None = None,
        *,
        timeout: float,
        server_hostname: str | None = None,
        is_server: bool = False,
    ) -> None:
        self._socket: Final = sock
        self._timeout: Final = timeout
        self._lock: Final = threading.Lock()
        self._incoming: Final = ssl.MemoryBIO()
        self._outgoing: Final = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        sock.settimeout(timeout)
        if tls is not None:
            self._tls = tls.wrap_bio(
                self._incoming, self._outgoing, is_server, server_hostname=server_hostname
            )
            try:
                self._shake_hands(self._tls)
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
        self.close()

    def send(self, data: bytes) -> None:
        """Send all of this; raises OSError when that fails, or takes longer than the timeout."""
        if self._tls is None:
            self._socket.sendall(data)
            return
        for start in range(0, len(data), _AT_ONCE):
            with self._lock:
                self._tls.write(data[start : start + _AT_ONCE])
                encrypted = self._outgoing.read()
            self._socket.sendall(encrypted)  # without the lock: receiving must go on meanwhile

    def receive(self, timeout: float | None = None) -> bytes | None:
        """Return what has come: nothing at the end of the stream, and None after ``timeout``.

        A connection that was reset counts as ended. Without ``timeout`` it waits as long as it
        takes.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                if self._tls is not None and (plain := _decrypted(self._tls)) is not None:
                    return plain
            data = self._receive_raw(deadline)
            if not data or self._tls is None:
                return data
            with self._lock:
                self._incoming.write(data)

    def end(self) -> None:
        """End the output; what the peer sends can still be received."""
        with contextlib.suppress(OSError):  # the connection has ended already
            if self._tls is None:
                self._socket.shutdown(socket.SHUT_WR)
                return
            with self._lock:
                with contextlib.suppress(ssl.SSLError):  # the peer's own end has not come
                    self._tls.unwrap()
                self._socket.sendall(self._outgoing.read())

    def let_read(self, seconds: float) -> None:
        """Wait so long for the peer's end: what it still sends would reset the connection."""
        until = time.monotonic() + seconds
        while self.receive(max(0.0, until - time.monotonic())):
            pass

    def close(self) -> None:
        """Close the connection; whoever waits in another thread is woken."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _receive_raw(self, deadline: float | None) -> bytes | None:
        try:
            with contextlib.suppress(OSError):  # closed by another thread: recv says so
                left = None if deadline is None else max(deadline - time.monotonic(), 0.001)
                self._socket.settimeout(left)
            return self._socket.recv(_AT_ONCE)
        except TimeoutError:
            return None
        except OSError:
            return b""
        finally:
            with contextlib.suppress(OSError):
                self._socket.settimeout(self._timeout)

    def _shake_hands(self, tls: ssl.SSLObject) -> None:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self._socket.sendall(self._outgoing.read())
                data = self._socket.recv(_AT_ONCE)
                if not data:
                    raise ConnectionResetError("the peer ended the TLS handshake") from None
                self._incoming.write(data)
            else:
                self._socket.sendall(self._outgoing.read())
                return


def connect(address: Address, tls: ssl.SSLContext | None, timeout: float) -> Channel:
    """Connect to a server; raises ConnectError with the reason."""
    failure: Exception | None = None
    try:
        for endpoint in resolve(address):
            sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout)
                sock.connect(endpoint.address)
                name = None if tls is None else certified_name(address.host)
                return Channel(sock, tls, timeout=timeout, server_hostname=name)
            except OSError as error:
                sock.close()
                failure = error
    except (OSError, UnicodeError) as error:
        failure = error
    reason = "no address" if failure is None else reason_of(failure)
    raise ConnectError(str(address), reason) from failure


def _decrypted(tls: ssl.SSLObject) -> bytes | None:
    """Return decrypted bytes, none at the end, and None while more must come."""
    try:
        return tls.read(_AT_ONCE)
    except ssl.SSLWantReadError:
        return None
    except (ssl.SSLZeroReturnError, ssl.SSLError):
        return b""
