"""Moves bytes between a transport of asyncio and a connection; both ends derive their driver.

The transport receives. What is sent goes straight to the socket, without a copy, and never through
the transport. What bytes mean, when to read and when to end is decided by the connection, and not
here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from typing import TYPE_CHECKING, Final, cast

from telex.asyncio.room_watch import RoomWatch
from telex.network.os_errors import ended_by
from telex.network.transfer import REST_CALLS, transmit
from telex.wire.processor import State

if TYPE_CHECKING:
    import socket

    from telex.connection.connection import Connection
    from telex.wire.message import Message

RECEIVE_SIZE: Final = 256 * 1024
"""Bytes taken from a socket at once."""

_PIECE: Final = 64 * 1024
"""Bytes handled at a time. Memory for more than that comes from the system anew each time."""

_CONTENT: Final = State.CONTENT

_buffers: Final[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview]] = (
    weakref.WeakKeyDictionary()
)
"""One for each event loop: what is received is taken out before anybody else receives."""


class Driver(asyncio.BufferedProtocol):
    """Moves the bytes of one connection; ``sock`` is the socket that the transport is made for.

    Derive, and supply ``opened``, ``received``, ``turn`` and ``lost``.
    """

    __slots__ = (
        "_buffer",
        "_is_reading",
        "_piece",
        "_room_watch",
        "_transport",
        "connection",
        "is_lost",
        "loop",
        "socket",
    )

    _transport: asyncio.Transport

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, connection: Connection
    ) -> None:
        self.connection: Connection = connection
        self.is_lost: bool = False
        """Whether the transport is gone."""
        self.loop: Final = loop
        self.socket: socket.socket = sock
        self._buffer: Final = _buffer_of(loop)
        self._piece: Final = self._buffer[:_PIECE]
        self._is_reading = True
        # There while the network takes no more.
        self._room_watch: RoomWatch | None = None

    # What a derived driver supplies

    def opened(self) -> None:
        """Begin: the transport is there."""

    def received(self, size: int, messages: list[Message]) -> None:
        """Take the messages that ``size`` bytes completed, and take a turn."""

    def turn(self) -> None:
        """Send, and decide what to wait for."""

    def lost(self) -> None:
        """Handle the loss of the transport."""

    # What it may use

    def transmit(self) -> None:
        """Send what the network takes now."""
        connection = self.connection
        if self._room_watch is not None or self._transport.is_closing():
            connection.data_to_send()  # what was said is counted as unsent
            return
        transmit(self.socket, connection, time.monotonic())
        if connection.wants_to_write:
            self._room_watch = RoomWatch(self.loop, self.socket, self._go_on_sending)

    def read_if_wanted(self) -> None:
        """Read on, or leave what comes to wait in the network."""
        is_wanted = self.connection.wants_to_read
        if is_wanted is not self._is_reading and not (self.is_lost or self._transport.is_closing()):
            if is_wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
            self._is_reading = is_wanted

    def look_for_end(self) -> None:
        """Take what has come, in case it is an end, which the transport tells in a later turn."""
        try:
            for _ in range(REST_CALLS):
                if (
                    self.is_lost
                    or self._transport.is_closing()
                    or not self.connection.wants_to_read
                ):
                    return
                size = self.socket.recv_into(self._buffer, _PIECE)
                if not size:
                    self.eof_received()
                    return
                self.buffer_updated(size)
        except BlockingIOError:
            return
        except OSError as error:
            self.connection.lost(ended_by(error), time.monotonic())

    def abort(self) -> None:
        """Close the transport at once; what was not sent is lost."""
        self._wait_for_no_room()
        self._transport.abort()

    def leave_room_watch_to_owner(self) -> None:
        """In a forked process, leave what waits for room to the process that it was forked from."""
        if self._room_watch is not None:
            self._room_watch.leave_to_owner()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a transport that is there."""
        self._transport = cast("asyncio.Transport", transport)  # not by inheritance, on uvloop
        self.opened()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to receive: a piece, or more where long content is coming."""
        is_content = self.connection.conversation.processor.state is _CONTENT
        return self._buffer if is_content else self._piece

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come, and tell what it completes."""
        now = time.monotonic()
        begin = 0
        while begin < nbytes:
            begin += self._receive(self._buffer[begin:nbytes], now)
        if nbytes >= _PIECE:
            self._let_others_have_a_turn()

    def eof_received(self) -> bool:
        """Handle the end of the peer's output; the peer can still be sent to."""
        self.connection.receive_eof(time.monotonic())
        self.turn()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the loss of the transport."""
        self.is_lost = True
        if isinstance(exc, OSError):
            self._receive_rest()
        self._wait_for_no_room()
        self.connection.lost(ended_by(exc), time.monotonic())
        self.lost()

    def _let_others_have_a_turn(self) -> None:
        """Receive no more in this pass of the loop: uvloop would, as long as there is more."""
        if self._is_reading and not (self.is_lost or self._transport.is_closing()):
            self._is_reading = False
            self._transport.pause_reading()
            self.loop.call_soon(self.turn)

    def _go_on_sending(self) -> None:
        """Send on: the network takes more."""
        self._room_watch = None
        self.turn()

    def _wait_for_no_room(self) -> None:
        if self._room_watch is not None:
            self._room_watch.cancel()
            self._room_watch = None

    def _receive(self, data: memoryview, now: float) -> int:
        """Take the first part of what has come, and tell what it completes; return its size.

        What belongs to long content is copied to where it belongs. A loop may hold its buffer while
        it calls, so that this cannot be the content's own. The rest is looked at after that was
        told, so that the next content takes the memory of this one.
        """
        connection = self.connection
        content = connection.content_buffer(least=1)
        if content is None:
            data = data[:_PIECE]
            messages = connection.receive_data(bytes(data), now)
        else:
            with content:
                data = data[: len(content)]
                content[: len(data)] = data
            messages = connection.content_received(len(data), now)
        self.received(len(data), messages)
        return len(data)

    def _receive_rest(self) -> None:
        """Take what had come before sending failed, with ``REST_CALLS`` at most.

        While the connection does not want to read, the rest waits in the network. That cannot be
        where the transport is lost: asyncio closes the socket then. Where the loop has closed the
        socket already, there is no more to take.
        """
        if self.socket.fileno() >= 0:
            with contextlib.suppress(OSError):
                for _ in range(REST_CALLS):
                    is_wanted = self.is_lost or self.connection.wants_to_read
                    if not (is_wanted and (size := self.socket.recv_into(self._buffer, _PIECE))):
                        return
                    self.buffer_updated(size)


def _buffer_of(loop: asyncio.AbstractEventLoop) -> memoryview:
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(RECEIVE_SIZE))
    return buffer
