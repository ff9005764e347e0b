"""Moves bytes between a socket that does not block and a connection; messages are not known here.

The operating system's errors become those of Telex here.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final, Protocol

from telex.network.os_errors import ended_by_peer

if TYPE_CHECKING:
    from telex.errors import ConnectionClosedError

RECEIVE_SIZE: Final = 64 * 1024
"""Bytes taken from a socket at once. More would be memory that comes from the system anew each
time, which costs more than the system calls that it saves."""

MAX_BYTES: Final = 1024 * 1024 * 1024
"""Bytes offered in one system call: macOS refuses 2 GiB and more."""


class Sender(Protocol):
    """Has bytes to send, see ``Connection``."""

    @property
    def wants_to_end_output(self) -> bool:
        """Whether the output is to be ended now."""

    def data_to_send(self) -> list[bytes | memoryview]:
        """Return the unsent bytes."""

    def data_sent(self, size: int) -> None:
        """Take note that so many of them have gone."""

    def output_ended(self, now: float) -> None:
        """Take note that the output has been ended."""

    def output_lost(self, error: ConnectionClosedError, now: float) -> None:
        """Take note that nothing more can be sent."""


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


def transmit(sock: socket.socket, sender: Sender, now: float) -> None:
    """Send what the socket takes now, and end the output where that is due; raises nothing."""
    try:
        while pieces := sender.data_to_send():
            if len(pieces) == 1 and len(pieces[0]) <= MAX_BYTES:
                offered = len(pieces[0])
                sent = sock.send(pieces[0])
            else:
                pieces = _bounded(pieces, MAX_BYTES)
                offered = sum(map(len, pieces))
                sent = sock.sendmsg(pieces)
            sender.data_sent(sent)
            if sent < offered:
                return
    except BlockingIOError:
        return
    except OSError as error:
        sender.output_lost(ended_by_peer(error), now)
        return
    if sender.wants_to_end_output:
        end_output(sock)
        sender.output_ended(now)


def transmit_some(sock: socket.socket, sender: Sender, most: int, now: float) -> None:
    """Send at most ``most`` bytes with one system call; else as ``transmit``."""
    pieces = _bounded(sender.data_to_send(), most)
    try:
        if pieces:
            sender.data_sent(sock.sendmsg(pieces))
    except BlockingIOError:
        return
    except OSError as error:
        sender.output_lost(ended_by_peer(error), now)


def end_output(sock: socket.socket) -> None:
    """Tell the peer that nothing follows; what it sends can still be received."""
    with contextlib.suppress(OSError):  # a connection that has ended already needs no telling
        sock.shutdown(socket.SHUT_WR)


def _bounded(pieces: list[bytes | memoryview], most: int) -> list[bytes | memoryview]:
    """Return as many pieces, and of the last one as much, as ``most`` bytes are."""
    bounded: list[bytes | memoryview] = []
    room = most
    for piece in pieces:
        if len(piece) >= room:
            bounded.append(memoryview(piece)[:room])
            break
        bounded.append(piece)
        room -= len(piece)
    return bounded
