"""The client's driver: one transport, one connection, one timer, and the tasks that wait.

A task that is cancelled while it waits takes nothing with it: what has come stays with the
connection. What users call is ``client``'s.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from telex.asyncio.driver import Driver
from telex.asyncio.timer import Timer
from telex.asyncio.waiting import Waiters, check_loop, until, wake
from telex.client.answers import raise_error_of
from telex.network.fork import belongs_to_this_process, give_up_connection, lead_nowhere

if TYPE_CHECKING:
    import socket

    from telex.connection.connection import Connection
    from telex.conversation.calls import Call
    from telex.wire.message import Message


class ClientDriver(Driver):
    """Moves the bytes of a client's connection, and wakes the tasks that wait for something.

    ``arrivals`` are the tasks that wait for messages, or for a change of the connection's state.
    """

    __slots__ = (
        "__weakref__",
        "_gone",
        "_has_received_rest",
        "_is_plain",
        "_room",
        "_timer",
        "arrivals",
        "is_closing",
        "is_inherited",
        "is_opening",
        "is_turn_due",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, connection: Connection
    ) -> None:
        super().__init__(loop, sock, connection)
        self.arrivals: Final = Waiters(loop)
        self.is_closing: bool = False
        """Whether the program has closed the connection."""
        self.is_inherited: bool = False
        """Whether the connection belongs to the process that this one was forked from."""
        self.is_opening: bool = True
        """Whether somebody waits in ``established`` or ``welcomed``, or is about to."""
        self.is_turn_due: bool = False
        """Whether a turn follows in this pass of the loop, which sends what was said."""
        self._room: Final = Waiters(loop)
        self._gone: Final = Waiters(loop)
        self._has_received_rest = False
        # Where there is a layer, it may have to answer what has come.
        self._is_plain: Final = connection.is_established
        self._timer: Final = Timer(loop, self._look)
        belongs_to_this_process(self)

    # What tasks wait for

    async def room(self, deadline: float | None = None) -> bool:
        """Wait until more may be sent; return whether that was before ``deadline``.

        To be called where the connection ``must_send_first``.
        """
        check_loop(self.loop, "connection")
        connection = self.connection
        if not connection.is_backed_up:
            self.turn()
            await asyncio.sleep(0)
        while connection.is_backed_up and connection.is_open:
            if not await self._room.wait(deadline):
                return False
        return True

    async def wait_for(self, call: Call, deadline: float | None, *, gives_up: bool = True) -> bool:
        """Wait until something of an answer is here; abandon the call if that is not all of it.

        Returns whether something came before ``deadline``. A call of which nothing came goes on
        unless the caller ``gives_up``.
        """
        if call.is_done:
            return True
        future = self.loop.create_future()
        call.on_progress = partial(wake, future)
        self.expect(call)
        try:
            if call.is_in_parts:
                return True
            return await (future if deadline is None else until(future, deadline))
        finally:
            connection = self.connection
            connection.unread.expect_no_more(call)
            if call.reply is None and (gives_up or call.is_in_parts):
                connection.conversation.abandon(call)

    async def established(self) -> None:
        """Wait until messages can be sent, or the connection ends before that."""
        while self.connection.is_open and not self.connection.is_established:
            await self.arrivals.wait()

    async def welcomed(self, deadline: float | None) -> bool:
        """Wait until the server has answered the greeting; return whether that was in time.

        Raises ConnectionClosedError when the connection ends instead.
        """
        connection = self.connection
        while connection.is_open and connection.awaits_welcome:
            if not await self.arrivals.wait(deadline):
                return False
        self.check_open()
        self.is_opening = False
        return True

    async def gone(self, deadline: float | None) -> bool:
        """Wait until the transport is gone; return whether that was before ``deadline``."""
        return self.is_lost or await self._gone.wait(deadline)

    # What tasks do

    def check_open(self) -> None:
        """Raise ConnectionClosedError when nothing more can be sent."""
        if not self.connection.is_open:
            raise self.connection.ending.closed_error()

    def check_owner(self) -> None:
        """Raise ConnectionClosedError where the connection belongs to another process."""
        if self.is_inherited:
            raise self.connection.ending.closed_error()

    async def ready_to_say(self) -> None:
        """Wait until more may be said, all of which is sent in this turn of the loop.

        Raises ConnectionClosedError when nothing more can be sent.
        """
        if self.connection.must_send_first:
            await self.room()
        self.check_open()
        self.turn_soon()

    def turn_soon(self) -> None:
        """Send what is said, when all tasks that are ready now have said theirs.

        Call it before something is said: it raises RuntimeError in another event loop.
        """
        if not self.is_turn_due:
            check_loop(self.loop, "connection")
            self.loop.call_soon(self.turn)
            self.is_turn_due = True

    def take_message(self) -> Message:
        """Take the next message, of which there must be one."""
        message = self.connection.unread.take()
        if not self._is_reading:
            self._look()
        return message

    def consumed(self, size: int) -> None:
        """Subtract ``size`` bytes of parts that were taken or dropped."""
        self.connection.unread.consumed(size)
        if not self._is_reading:
            self._look()

    def expect(self, call: Call) -> None:
        """Read further while a task waits for the answer to a call."""
        self.connection.unread.expect(call)
        if not self._is_reading:
            self._look()

    def raise_error_of(self, call: Call) -> None:
        """Raise the error with which a call has ended, if it has."""
        raise_error_of(call, self.connection)

    def close(self) -> None:
        """Say goodbye; ``gone()`` waits for the end, and ``end()`` does not."""
        self.is_closing = True
        self.look_for_end()  # an end that has come is no answer to this side's goodbye
        self.connection.close(time.monotonic())
        self.turn()

    def end(self) -> None:
        """Close the transport at once; nothing more is sent or received."""
        self.connection.finish()
        self.abort()

    def leave_to_owner(self, why: str) -> None:
        """Leave the connection to the process that this one was forked from."""
        self.is_inherited = self.is_lost = True
        lead_nowhere((self.socket.fileno(),))
        self.leave_room_watch_to_owner()
        give_up_connection(self.connection, why)

    # What the transport tells

    def opened(self) -> None:
        """Begin: the layer, or the conversation, may have something to say."""
        self.transmit()
        self._decide()

    def received(self, size: int, messages: list[Message]) -> None:
        """Keep what has come until a task takes it."""
        if messages:
            self.connection.unread.add(messages)
            self.arrivals.wake()
        elif self.is_opening:
            self.arrivals.wake()
        if not (self._is_plain and self._is_reading and self.connection.is_quiet):
            self.transmit()
            self._decide()

    def turn(self) -> None:
        """Send what was said, and decide what to wait for where something has begun."""
        self.is_turn_due = False
        self.transmit()
        connection = self.connection
        if self._is_reading and connection.is_quiet:
            return
        if connection.closing.output_lost and not self._has_received_rest:
            self._has_received_rest = True  # what the peer sent before that may say why
            self._receive_rest()
        self._decide()

    def lost(self) -> None:
        """Tell everybody who waits that the connection has ended."""
        self.connection.finish()
        self._timer.cancel()
        for waiters in (self.arrivals, self._room, self._gone):
            waiters.wake()

    # Inside

    def _decide(self) -> None:
        """Wake whoever need not wait, and set what is waited for."""
        connection = self.connection
        if connection.is_finished:
            self.end()
            return
        if not connection.is_open:
            self._room.wake()
            self.arrivals.wake()
        elif not connection.is_backed_up:
            self._room.wake()
        self.read_if_wanted()
        deadline = connection.next_deadline
        if deadline < self._timer.moment:
            self._timer.set(deadline)

    def _look(self) -> None:
        """Do what is due by the clock."""
        if self.is_lost:
            return
        self._timer.cancel()
        self.connection.handle_deadline(time.monotonic())
        self.transmit()
        self._decide()
