"""Moves bytes between one socket and the client's connection on it, in one thread at a time.

Which thread that is, and when, is decided by ``client_driver``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telex.errors import ConnectionClosedError
from telex.network.transfer import REST_CALLS, receive, receive_into, transmit, transmit_some

if TYPE_CHECKING:
    import socket

    from telex.connection.connection import Connection


def take(sock: socket.socket, connection: Connection, now: float) -> bool:
    """Hand in what has come, as much as one system call takes; return whether more may come."""
    buffer = connection.content_buffer()
    data: bytes | int | None
    try:
        if buffer is None:
            data = receive(sock)
            messages = connection.receive_data(data, now) if data else None
        else:
            with buffer:
                data = receive_into(sock, buffer)
            messages = connection.content_received(data, now) if data else None
    except ConnectionClosedError as error:
        connection.lost(error, now)
        return False
    if messages:
        connection.unread.add(messages)
    elif not data and data is not None:
        connection.receive_eof(now)
    return bool(data)


def take_rest(sock: socket.socket, connection: Connection, now: float) -> None:
    """Hand in what has come, while the connection wants to read, with ``REST_CALLS`` at most."""
    for _ in range(REST_CALLS):
        if not (connection.wants_to_read and take(sock, connection, now)):
            return


def give(sock: socket.socket, connection: Connection, now: float, most: int | None) -> bool:
    """Send what the socket takes now, at most ``most`` bytes; return whether all is over.

    When sending fails, why may have come, and is handed in.
    """
    if most is None:
        transmit(sock, connection, now)
    else:
        transmit_some(sock, connection, most, now)
    if not connection.closing.has_begun:
        return False
    if connection.closing.output_lost:
        take_rest(sock, connection, now)
        transmit(sock, connection, now)
    if not connection.is_finished:
        return False
    connection.finish()
    return True
