"""The client's end of a connection: what has come and was not taken, what may go, how it ended.

It keeps everything that a task may wait for, so that a task that is cancelled takes nothing with
it. What users call is ``client``'s.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from telex.asyncio.waiting import Waiters
from telex.connection.inbox import Inbox
from telex.conversation.batch import BATCH_SIZE
from telex.conversation.conversation import Conversation, Greeting, Phase
from telex.conversation.error_content import read_problem
from telex.errors import ConnectionClosedError, RequestTimeoutError
from telex.log import safe_logger
from telex.network.os_errors import GOOD_ENDINGS, ended_by_peer, reason_of, what_was_cut

if TYPE_CHECKING:
    from telex.asyncio.channel import Channel
    from telex.conversation.conversation import Call
    from telex.limits import Limits
    from telex.wire.message import Message

INBOX_SIZE: Final = 16 * 1024 * 1024
"""Bytes that may have come and not been taken before nothing more is read."""

_MOST_INBOXES: Final = 4
"""How many times that size may be here while somebody waits for an answer that comes after it."""

STALL_SECONDS: Final = 5.0
"""How long answers are waited for when not even that is enough, and nothing is taken."""

_SWEEP_SECONDS: Final = 0.25

logger: Final = safe_logger("telex.client")


class Link:
    """What happens to a connection, whoever waits for it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channel: Channel,
        limits: Limits,
        greeting: Greeting,
    ) -> None:
        self.loop: Final = loop
        self.channel: Final = channel
        self.conversation: Final = Conversation(
            limits, greeting, serves=False, now=time.monotonic()
        )
        self.conversation.wants_keepalive = greeting.keepalive
        self.inbox: Final = Inbox()
        self.arrivals: Final = Waiters(loop)
        self.ending: ConnectionClosedError | None = None
        """Why the connection has ended, or is ending; None while it goes on."""
        self.ended_well: bool = False
        """Whether the peer ended as it should, with nothing lost."""
        self.was_told: bool = False
        """Whether somebody was told of the ending by an error."""
        self.is_closing: bool = False
        """Whether this side has closed: what still comes is dropped."""
        self.problem: ConnectionClosedError | None = None
        """The first thing that the peer complained of in what was dropped."""
        self._room: Final = Waiters(loop)
        self._gone: Final = Waiters(loop)
        self._is_welcome = self.conversation.phase is Phase.OPEN
        self._unread_parts = 0
        self._expected: set[Call] = set()
        self._stall: asyncio.TimerHandle | None = None
        self._stall_was_told = False
        self._timer: asyncio.TimerHandle | None = None
        self._looked_at = time.monotonic()

    async def be_welcomed(self, deadline: float | None) -> bool:
        """Wait until the server has said welcome, if it was greeted; return whether it was in time.

        Raises ConnectionClosedError when it says something else.
        """
        while not self._is_welcome:
            if self.ending is not None:
                raise self.closed_error()
            if not await self.arrivals.wait(deadline):
                return False
            self._is_welcome = self.conversation.phase is Phase.OPEN
        return True

    @property
    def must_wait(self) -> bool:
        """Whether whoever wants to send should wait in ``room()`` before that."""
        return self.channel.is_backed_up or self.conversation.bytes_to_send >= BATCH_SIZE

    async def room(self, deadline: float | None = None) -> bool:
        """Wait until more may be sent; return whether that was before ``deadline``."""
        if not self.channel.is_backed_up:
            self.channel.flush()
            await asyncio.sleep(0)
        while self.channel.is_backed_up and self.ending is None:
            if not await self._room.wait(deadline):
                return False
        return True

    async def gone(self, deadline: float | None) -> bool:
        """Wait until the connection is gone; return whether that was before ``deadline``."""
        while not self.channel.is_lost:
            if not await self._gone.wait(deadline):
                return False
        return True

    def take_message(self) -> Message:
        """Take the next message out of the inbox, which must have one."""
        message = self.inbox.messages.popleft()
        if not self.channel.is_reading:
            self._read_if_wise()
        return message

    def hold_parts(self, size: int) -> None:
        """Take note of ``size`` bytes of parts that came to be taken; negative when they were."""
        self._unread_parts += size
        if not self.channel.is_reading:
            self._read_if_wise()

    def expect(self, call: Call) -> None:
        """Take note that a task waits for a call, perhaps the one that would take what is here."""
        self._expected.add(call)
        if not self.channel.is_reading:
            self._read_if_wise()

    def expect_no_more(self, call: Call) -> None:
        """Take note that it waits no more."""
        self._expected.discard(call)

    def drop_messages(self) -> None:
        """Drop what nobody has received, but remember the first problem among it."""
        for message in self.inbox.messages:
            self._remember_problem(message)
        self.inbox.messages.clear()

    # What the channel tells

    def opened(self) -> None:
        """Begin: say hello, if that is wanted."""
        self.channel.flush()
        if self.conversation.wants_keepalive:
            self._check_time()

    def shook_hands(self) -> None:
        """Say hello now, if that is wanted."""
        self.channel.flush()

    def received(self, messages: list[Message], size: int) -> None:
        """Keep what has come until somebody takes it."""
        if messages and self.is_closing:
            for message in messages:
                self._remember_problem(message)
        elif messages:
            self.inbox.add(messages)
        self.channel.flush()
        self.channel.look_at_output()
        phase = self.conversation.phase
        if phase is not Phase.OPEN and phase is not Phase.GREETING:
            self._note_ending()
        elif messages or not self._is_welcome:
            self.arrivals.wake()
        self._read_if_wise()

    def input_ended(self) -> None:
        """Take note that the peer has ended."""
        self._note_ending()

    def writable(self) -> None:
        """Let those go on who wanted to send."""
        self._room.wake()

    def lost(self, error: Exception | None) -> None:
        """Take note that the connection is gone, and tell everybody who waits."""
        conversation = self.conversation
        unsent = self.channel.unsent
        if not conversation.is_over:
            reason = "it closed the connection" if error is None else reason_of(error)
            if isinstance(error, OSError):
                reason = ended_by_peer(error).reason
            conversation.lose(reason + what_was_cut(conversation.processor))
        if self.ending is None:
            failure = conversation.error
            if not isinstance(failure, ConnectionClosedError):
                failure = conversation.closed_error()
            failure.__cause__ = error or self._cause()
            self.ending = failure
            self.ended_well = self.is_closing and conversation.error is None
        if error is not None and unsent:
            self.ending.unsent = unsent
            self.ended_well = False
        for timer in (self._timer, self._stall):
            if timer is not None:
                timer.cancel()
        for waiters in (self.arrivals, self._room, self._gone):
            waiters.wake()

    def check_open(self) -> None:
        """Raise the error for whatever cannot be sent any more."""
        if self.ending is not None or self.is_closing:
            raise self.closed_error()

    def closed_error(self) -> ConnectionClosedError:
        """Return the error that says why the connection has ended, which is then known."""
        self.was_told = True
        ending = self.ending
        if ending is None:
            return self.conversation.closed_error()
        error = ConnectionClosedError(
            ending.by, ending.reason, code=ending.code, unsent=ending.unsent
        )
        error.__cause__ = ending.__cause__
        return error

    def raise_error_of(self, call: Call) -> None:
        """Raise the error with which a call has ended, if it has."""
        error = call.error
        if error is not None:
            if isinstance(error, ConnectionClosedError):
                self.was_told = True
            raise error.with_traceback(None)

    def note_closing(self) -> None:
        """Take note that this side closes."""
        self.is_closing = True
        self.drop_messages()
        self.channel.read(True)
        self.arrivals.wake()

    def _note_ending(self) -> None:
        """Take note of an ending, and bring it to its end."""
        conversation = self.conversation
        if self.ending is None and not self.is_closing:
            self.ending = conversation.closed_error()
            self.ending.__cause__ = self._cause()
            self.ended_well = conversation.error is None and self.ending.code in GOOD_ENDINGS
        if conversation.phase is not Phase.CLOSING:
            conversation.close("closed", "so does this side")
            self.channel.flush()
            self.channel.close()
        self.arrivals.wake()
        self._room.wake()

    def _cause(self) -> BaseException | None:
        return None if self.channel.error is None else self.channel.error.__cause__

    def _read_if_wise(self) -> None:
        """Stop reading when too much waits to be taken; go on when half of that is gone.

        While somebody waits for an answer it takes more than that to stop reading.
        """
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        unread = self._unread
        most = _MOST_INBOXES * INBOX_SIZE if self._expected else INBOX_SIZE // 2
        if unread <= most or self.is_closing:
            self.channel.read(True)
        elif unread > INBOX_SIZE:
            self.channel.read(False)
            if self._expected:
                self._complain_of_stall(unread)
                self._stall = self.loop.call_later(STALL_SECONDS, self._end_stall)

    @property
    def _unread(self) -> int:
        return self.inbox.size() + self._unread_parts

    def _complain_of_stall(self, unread: int) -> None:
        if not self._stall_was_told:
            self._stall_was_told = True
            logger.warning(
                "answers have to wait until messages and parts of answers are taken: "
                "%d bytes of them are here",
                unread,
            )

    def _end_stall(self) -> None:
        """Give up the answers that are waited for: nothing was taken, and so they cannot come."""
        what = f"{self._unread:,} bytes of messages and parts of answers to be taken before it"
        for call in [call for call in self._expected if not call.is_done]:
            self.conversation.abandon(call)
            call.end(RequestTimeoutError(what, STALL_SECONDS))

    def _remember_problem(self, message: Message) -> None:
        if message.kind == "error" and self.problem is None:
            problem = read_problem(message, "error")
            self.problem = ConnectionClosedError("peer", str(problem), code=problem.code)

    def _check_time(self) -> None:
        """Look at the clock, a few times a second, for as long as the connection lasts.

        A time in which the loop was kept from listening is not held against the peer.
        """
        self._timer = self.loop.call_later(_SWEEP_SECONDS, self._check_time)
        now = time.monotonic()
        was_here = now - self._looked_at < 4 * _SWEEP_SECONDS
        self._looked_at = now
        is_reading = self.channel.is_reading and was_here
        self.conversation.check_time(now, is_reading=is_reading)
        self.channel.flush()
        if self.conversation.is_over and self.ending is None:
            self._note_ending()
            self.channel.abort()
