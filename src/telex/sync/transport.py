"""A non-blocking socket as Telex uses it: received from, sent to, and ended.

What it does not take at once is remembered by ``output``. Nothing here knows messages.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Final

from telex.network.os_errors import ended_by_peer

RECEIVE_SIZE: Final = 64 * 1024
"""Bytes taken from a socket at once. More would be memory that comes from the system anew each
time, which costs more than the system calls that it saves."""


def receive(sock: socket.socket) -> bytes | None:
    """Return what has come; nothing at the end of the stream, None when nothing is there yet.

    Raises ConnectionClosedError when the connection is broken.
    """
    try:
        return sock.recv(RECEIVE_SIZE)
    except BlockingIOError:
        return None
    except OSError as error:
        raise ended_by_peer(error) from error


def receive_into(sock: socket.socket, buffer: memoryview) -> int | None:
    """Put what has come into ``buffer`` and return how much; else as ``receive``."""
    try:
        return sock.recv_into(buffer)
    except BlockingIOError:
        return None
    except OSError as error:
        raise ended_by_peer(error) from error


def send(sock: socket.socket, data: bytes) -> int:
    """Send what the socket takes now; return how many bytes those are.

    Raises ConnectionClosedError when the connection is broken.
    """
    try:
        return sock.send(data)
    except BlockingIOError:
        return 0
    except OSError as error:
        raise ended_by_peer(error, len(data)) from error


def end_sending(sock: socket.socket) -> None:
    """Tell the peer that nothing follows; what it sends can still be received."""
    with contextlib.suppress(OSError):  # a connection that has ended already needs no telling
        sock.shutdown(socket.SHUT_WR)
