"""One connection of a server: from its channel to the handlers, and back.

``settle`` alone decides what happens next: sending, going on, reading or not, and the steps of the
ending. It never runs in the context (``contextvars``) of a handler: whatever it begins, such as
reading on, would keep that. It knows neither the wire format nor other connections, and it must
never wait.
"""

from __future__ import annotations

import asyncio
import copy
import time
from typing import TYPE_CHECKING, Final

from telex.application.session import (
    LINGER_BYTES,
    LINGER_SECONDS,
    SILENT_SECONDS,
    TOO_SLOW,
    Session,
)
from telex.asyncio.runs import Runs
from telex.asyncio.waiting import Waiters
from telex.conversation.conversation import Conversation, Phase
from telex.errors import ConnectionClosedError, TelexError
from telex.log import safe_logger
from telex.network.os_errors import ended_by_peer, not_handled, reason_of, what_was_cut
from telex.security.tls import identity_of
from telex.wire.factory import message_from

if TYPE_CHECKING:
    from typing import Unpack

    from telex.application.peer import MessageKeywords
    from telex.application.session import Run
    from telex.asyncio.channel import Channel
    from telex.asyncio.service import Service
    from telex.wire.message import Message

_ENOUGH: Final = 64 * 1024
"""Bytes of output after which a generator that never waits lets others have a turn."""

_NEVER: Final = float("inf")

logger: Final = safe_logger("telex.server")


class ServerConnection(Session):
    """A connection on the server's side; to handlers it is their ``Peer``."""

    __slots__ = (
        "_began_at",
        "_channel",
        "_dropped",
        "_ending",
        "_has_ended",
        "_ignored",
        "_is_cut",
        "_is_leaving",
        "_is_refused",
        "_linger_until",
        "_room",
        "_runs",
        "_service",
        "_settle_is_due",
        "_unsent_seen",
        "bytes_held",
    )

    def __init__(self, service: Service, channel: Channel, address: str) -> None:
        self._began_at: Final = time.monotonic()
        conversation = Conversation(
            service.limits, service.greeting, serves=True, now=self._began_at
        )
        super().__init__(service.application, conversation, service.limits, address)
        self.bytes_held: int = 0
        """What the server counts for this connection."""
        self._service: Final = service
        self._channel: Final = channel
        self._runs: Runs | None = None
        self._room: Waiters | None = None
        self._settle_is_due = False
        # What is over already on the way to the end, and why it comes.
        self._is_cut = False
        self._is_leaving = False
        self._is_refused = False
        self._linger_until = _NEVER
        self._unsent_seen = 0
        self._ignored = 0
        self._dropped = 0
        self._has_ended = False
        self._ending: TelexError | None = None

    # What a handler may do

    def send(self, content: object, **keywords: Unpack[MessageKeywords]) -> None:
        """Send a message, or content with the keywords of ``Message``; any thread may call this.

        Raises ConnectionClosedError when the connection has ended, or ends now because the peer
        reads far too slowly.
        """
        message = message_from(content, keywords)
        if self._service.is_own_thread():
            self._send(message)
            return
        message = copy.copy(message)  # which may be changed before its turn comes
        message.to_buffers(self._service.limits)  # what is wrong with it is raised here
        self._check_open()
        self._service.post(self._send_posted, message)

    def _send(self, message: Message) -> None:
        self._check_open()
        self.conversation.send(message)
        if self.conversation.is_full:
            self._service.context.copy().run(self._relieve)
            self._check_open()
        self.settle_soon()

    def _relieve(self) -> None:
        """Send what handlers have sent unasked, or end when that is far too much."""
        self._channel.flush()
        if self._channel.unsent > self._service.limits.high_water * TOO_SLOW:
            self.end(ConnectionClosedError("us", "it reads far too slowly", code="overloaded"))

    def _send_posted(self, message: Message) -> None:
        """Send a message for another thread, which can no longer be told when it comes too late."""
        try:
            self._send(message)
        except TelexError as error:
            logger.warning("%s: a message was not sent: %s", self.address, error)

    def _check_open(self) -> None:
        ending = self._ending
        if isinstance(ending, ConnectionClosedError):
            raise ConnectionClosedError(ending.by, ending.reason, code=ending.code)
        if self._channel.is_lost:
            raise self.conversation.closed_error()

    # What the channel tells

    def opened(self) -> None:
        """Begin: from now on the connection receives."""
        logger.debug("%s: connected", self.address)
        service = self._service
        most = service.limits.max_connections
        is_too_many = len(service.connections) >= most
        service.add(self)
        if service.observer is not None:
            self._tell(service.observer.connected)
        if is_too_many:
            self.refuse(f"the server has {most:,} connections, its most", "overloaded")
        elif service.is_ending:
            self.leave()

    def shook_hands(self) -> None:
        """Take note of who the peer is by its certificate."""
        self.conversation.identity = identity_of(self._channel.certificate)

    def received(self, messages: list[Message], size: int) -> None:
        """Have messages handled; what comes after the end is dropped."""
        if self._linger_until != _NEVER:
            self._ignore(size)
            return
        observer = self._service.observer
        if observer is not None:
            self._tell_of_arrival(observer, size, messages)
        if messages:
            self.take(messages)
        self.settle()

    def input_ended(self) -> None:
        """Go towards the end, because the peer sends no more; it is still answered."""
        self.settle()

    def writable(self) -> None:
        """Go on with what waited for the network."""
        if self._room is not None:
            self._room.wake()
        self.settle()

    def lost(self, error: Exception | None) -> None:
        """Take note that the connection is gone; what had come before is still handled."""
        self._ending = self._final_reason(error)
        if self._runs is not None:
            self._runs.end_streams()
        if self._room is not None:
            self._room.wake()
        self.settle()

    # What happens next

    def settle_soon(self) -> None:
        """Settle when those who are ready now have done what they do."""
        if not self._settle_is_due:
            self._settle_is_due = True
            service = self._service
            service.loop.call_soon(self.settle, context=service.context.copy())

    def settle(self) -> None:
        """Send, go on with what was held, and decide what to wait for: the one place that does."""
        self._settle_is_due = False
        if self._has_ended:
            return
        channel = self._channel
        conversation = self.conversation
        channel.flush()
        if self.is_holding and not channel.is_backed_up:
            self.advance()
            if conversation.bytes_to_send:
                self.settle_soon()
        if channel.is_lost:
            if self.is_idle or self._is_cut:
                self._let_go()
            return
        phase = conversation.phase
        if self._is_leaving or (phase is not Phase.OPEN and phase is not Phase.GREETING):
            self._conclude()
        channel.read(self._is_heard())
        self._account()

    def _is_heard(self) -> bool:
        """Whether what the peer sends can be handled, or is only read to see its end."""
        if self._linger_until != _NEVER:
            return True
        if self._is_leaving or self._channel.is_backed_up:
            return False
        if self._stalled is not None or self.is_holding_much:
            return False
        return not self.conversation.is_saturated

    # Endings

    def refuse(self, reason: str, code: str) -> None:
        """Tell the peer why it is not served, and end as soon as it knows."""
        self.conversation.fail(ConnectionClosedError("us", reason, code=code))
        self.settle()

    def overload(self, total: int) -> None:
        """End, because the server holds too much, and most of it for this connection."""
        reason = f"the server holds {total:,} bytes, and most of them for this connection"
        if self._channel.unsent:  # a word of it would come after all that waits
            self.end(ConnectionClosedError("us", reason, code="overloaded"))
        else:
            self.refuse(reason, "overloaded")

    def leave(self) -> None:
        """Receive no more, and say goodbye when all that was received is handled and answered."""
        self._is_leaving = True
        if self._channel.is_shaking_hands:
            self.end(ConnectionClosedError("us", "the server is shutting down"))
        else:
            self.settle_soon()

    @property
    def is_served(self) -> bool:
        """Whether there is more to do for it than to wait until it closes."""
        return self._linger_until == _NEVER or bool(self._channel.unsent)

    def cut_off(self) -> tuple[int, int]:
        """End at once, because the server does; return unanswered requests and unsent bytes.

        The peer is told as far as the network takes it now.
        """
        self._channel.look_at_output()
        lost = self.conversation.unanswered, self._channel.unsent
        cut = ConnectionClosedError("us", "the server was shut down", code="shutting-down")
        self.conversation.fail(cut)
        self._channel.flush()
        self.end(cut)
        return lost

    def end(self, reason: ConnectionClosedError) -> None:
        """End the connection at once, for this reason unless there was one before."""
        if self._ending is None and self._linger_until == _NEVER:
            self._ending = reason
        self._is_cut = True
        self._drop_held()
        self._channel.abort()
        self._account()

    def check_time(self, now: float, is_late: bool) -> None:
        """Hold the peer to its times, unless the loop was too late to hear it; end what lingers."""
        channel = self._channel
        if self.bytes_held:
            channel.look_at_output()
            self._account()
        if self._linger_until == _NEVER and channel.is_shaking_hands:
            timeout = self._service.limits.handshake_timeout
            if now - self._began_at >= timeout:
                reason = f"timed out after {timeout:g} s waiting for the TLS handshake"
                self.end(ConnectionClosedError("us", reason, code="timeout"))
        elif self._linger_until == _NEVER:
            unsent = channel.unsent if channel.is_backed_up else 0
            is_reading = channel.is_reading and not is_late
            self.conversation.check_time(now, is_reading=is_reading, unsent=unsent)
            if self.conversation.bytes_to_send or self.conversation.is_over:
                self.settle_soon()
        elif now >= self._linger_until and not self._is_still_sent_to(now):
            channel.abort()

    def _conclude(self) -> None:
        """Take the ending as far as it goes now: goodbye, the end of the output, the end."""
        conversation = self.conversation
        if self.is_idle and not conversation.is_over:
            if self._is_leaving:
                conversation.close("shutting-down", "the server is shutting down")
            elif conversation.phase is Phase.FINISHING:
                conversation.close("closed", "everything is answered")
            self._channel.flush()
        phase = conversation.phase
        if phase is Phase.FAILED and not self._is_refused:
            self._note_refusal()
        if phase is Phase.FAILED or phase is Phase.CLOSED or phase is Phase.CLOSING:
            self._end_output()

    def _note_refusal(self) -> None:
        """Let go of what a peer that is refused has sent."""
        self._is_refused = True
        what_was_cut(self.conversation.processor)
        self._drop_held()
        lost = f"; {not_handled(self._dropped)}" if self._dropped else ""
        logger.warning("%s: %s%s", self.address, self.conversation.error, lost)

    def _end_output(self) -> None:
        """Tell the peer that nothing follows; wait a bounded time for its end, if it has one."""
        channel = self._channel
        if self.conversation.phase is Phase.CLOSED or channel.is_input_ended:
            channel.close()
        elif not channel.is_shaking_hands:
            channel.end_output()
        if self._linger_until == _NEVER:
            patience = LINGER_SECONDS if self._is_refused else SILENT_SECONDS
            self._linger_until = time.monotonic() + patience

    def _is_still_sent_to(self, now: float) -> bool:
        """Say whether a peer that is not refused still takes what is its own; it is given time."""
        before, self._unsent_seen = self._unsent_seen, self._channel.unsent
        if self._is_refused or not self._unsent_seen:
            return False
        if self._unsent_seen == before and not self._is_leaving:
            return False
        # How long a server that shuts down waits for all of them, it knows itself.
        self._linger_until = now + LINGER_SECONDS
        return True

    def _ignore(self, size: int) -> None:
        """Drop what comes after the end, and wait on for the peer's, though not for ever."""
        self._ignored += size
        if not self._is_refused:
            self._linger_until = time.monotonic() + SILENT_SECONDS
        if self._ignored > LINGER_BYTES:
            self._channel.abort()

    def _drop_held(self) -> None:
        """Forget the messages that were not handled yet, but not how many."""
        self._dropped += self.drop()

    def _let_go(self) -> None:
        """Leave: the connection is gone, and everything is handled."""
        self._has_ended = True
        self._is_cut = True
        self._runs = None
        self._account()
        self._service.remove(self)
        if isinstance(self._ending, ConnectionClosedError) and not self._is_refused:
            logger.warning("%s: %s", self.address, self._ending)
        else:
            logger.debug("%s: closed", self.address)
        if self._service.observer is not None:
            self._tell(self._service.observer.disconnected, self._ending)

    # What handlers need that take longer than a call

    def yielded(self, run: Run, part: object) -> bool:
        """Take one part of an answer; nobody receives it when the connection is over."""
        return not self.conversation.is_over and super().yielded(run, part)

    def go_on(self) -> None:
        """Handle what was held, now that an ordered handler is done."""
        if not self._channel.is_backed_up:
            self.advance()

    def go_on_with(self, run: Run) -> None:
        """Ask a generator for its next part, now or when there is room for it."""
        self._next_part(run)

    async def make_room(self) -> None:
        """Wait until a generator may yield its next part."""
        if self.conversation.bytes_to_send >= _ENOUGH:
            self._service.context.copy().run(self._channel.flush)
            await asyncio.sleep(0)
        else:
            self.settle_soon()
        while self._channel.is_backed_up:
            if self._room is None:
                self._room = Waiters(self._service.loop)
            await self._room.wait()

    def _run_elsewhere(self, run: Run) -> None:
        if self._runs is None:
            self._runs = Runs(self, self._service)
        self._runs.start(run)

    def _is_backed_up(self) -> bool:
        return self._channel.is_backed_up

    # What it holds

    def _account(self) -> None:
        """Tell the server when this connection holds more or less than it did."""
        held = self.bytes_at_work
        if not self._is_cut:
            held = self._memory_with(self._channel.unsent)
        if held != self.bytes_held:
            before, self.bytes_held = self.bytes_held, held
            self._service.account(held - before)

    # How it ended

    def _final_reason(self, error: Exception | None) -> TelexError | None:
        """Say why the connection ended, and what was lost by it; None for a good end."""
        conversation = self.conversation
        unsent, unanswered = self._channel.unsent, conversation.unanswered
        if self._ending is None and not conversation.is_over:
            words = "it closed the connection" if error is None else reason_of(error)
            if isinstance(error, OSError):
                words = ended_by_peer(error).reason
            conversation.lose(words + what_was_cut(conversation.processor))
        reason: TelexError | None = self._ending or conversation.error
        if reason is None and (unsent or unanswered):
            words = "it does not read on" if error is None else reason_of(error)
            reason = ConnectionClosedError("peer", words)
        if not isinstance(reason, ConnectionClosedError):
            return reason
        lost = f"; {not_handled(self._dropped)}" if self._dropped else ""
        final = ConnectionClosedError(
            reason.by, reason.reason + lost, code=reason.code, unsent=unsent, unanswered=unanswered
        )
        final.__cause__ = error
        return final
