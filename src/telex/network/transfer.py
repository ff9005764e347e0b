"""Sends to and receives from non-blocking sockets, without waiting.

Here the errors of the operating system become errors of Telex.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final, Protocol

from telex.network.os_errors import ended_by_peer
from telex.network.sockets import NO_SIGNAL

if TYPE_CHECKING:
    from telex.errors import ConnectionClosedError

RECEIVE_SIZE: Final = 64 * 1024
"""Bytes received at most in one system call. A larger buffer would be allocated anew each time,
which costs more than the system calls that it saves."""

MAX_BYTES: Final = 1024 * 1024 * 1024
"""Bytes sent at most in one system call: macOS refuses 2 GiB and more."""


REST_CALLS: Final = 256
"""System calls at most that receive what had come before sending failed: 16 MiB, more than waits
in a socket. Without a bound, a peer that goes on sending would decide how long they take."""


class Sender(Protocol):
    """The sending side of a ``Connection``; see there."""

    @property
    def wants_to_end_output(self) -> bool:
        """Whether the output must be ended now."""

    def data_to_send(self) -> list[bytes | memoryview]:
        """Return the unsent bytes."""

    def data_sent(self, size: int) -> None:
        """Remove ``size`` bytes from the unsent bytes: they were sent."""

    def output_ended(self, now: float) -> None:
        """Record that the output was ended."""

    def output_lost(self, error: ConnectionClosedError, now: float) -> None:
        """Record that nothing more can be sent, and why."""


def receive(sock: socket.socket) -> bytes | None:
    """Return received bytes: none at the end of the stream, and None if there are none yet.

    Raises ConnectionClosedError when the connection is broken.
    """
    try:
        return sock.recv(RECEIVE_SIZE)
    except BlockingIOError:
        return None
    except OSError as error:
        raise ended_by_peer(error) from error


def receive_into(sock: socket.socket, buffer: memoryview) -> int | None:
    """Receive into ``buffer``, and return the number of bytes; otherwise as ``receive``."""
    try:
        return sock.recv_into(buffer)
    except BlockingIOError:
        return None
    except OSError as error:
        raise ended_by_peer(error) from error


def transmit(sock: socket.socket, sender: Sender, now: float) -> None:
    """Send what the socket takes now, and end the output if that is due; raises nothing."""
    try:
        while pieces := sender.data_to_send():
            if len(pieces) == 1 and len(pieces[0]) <= MAX_BYTES:
                sent = offered = len(pieces[0])
            else:
                pieces = _bounded(pieces, MAX_BYTES)
                sent = offered = sum(map(len, pieces))
            try:
                if len(pieces) == 1:
                    sent = sock.send(pieces[0], NO_SIGNAL)
                else:
                    sent = sock.sendmsg(pieces, (), NO_SIGNAL)
            except OSError:
                sent = 0
                raise
            finally:  # Ctrl-C may come before a call returns: then all has most likely gone
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
    """Send at most ``most`` bytes with one system call; never end the output; raises nothing."""
    pieces = _bounded(sender.data_to_send(), most)
    try:
        if pieces:
            sender.data_sent(sock.sendmsg(pieces, (), NO_SIGNAL))
    except BlockingIOError:
        return
    except OSError as error:
        sender.output_lost(ended_by_peer(error), now)


def end_output(sock: socket.socket) -> None:
    """End the output of a connection; bytes of the peer can still be received."""
    with contextlib.suppress(OSError):  # the connection has ended already
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
