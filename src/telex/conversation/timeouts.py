"""Timeouts: how long a peer may take for what it has begun, and for a sign of life.

Looks at how far the bytes have come, a few times a second, and says what has taken too long. It
costs nothing for each message. The clock is the caller's, and so is what happens to the peer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from telex.errors import WaitTimeoutError
from telex.limits import Limits
from telex.wire.processor import MessageProcessor, State

if TYPE_CHECKING:
    from mypy_extensions import i64

_RATE_WINDOW: Final = 10.0
"""Seconds over which the rate of content is measured."""

PROBE_SECONDS: Final = 0.5
"""How often a watched peer that has ended its input is sent a ping. Nothing answers the ping, but
the network tells when nobody is there any more."""

_NONE: Final = -1


class Timeouts:
    """What a peer was seen to have sent, and when. Times are in seconds, and never go back."""

    __slots__ = (
        "_begin",
        "_begun_at",
        "_buffered",
        "_busy_at",
        "_has_ended",
        "_heard_at",
        "_limits",
        "_moved_at",
        "_opened_at",
        "_pinged_at",
        "_processor",
        "_received",
        "_seen_sent",
        "_sent",
        "_was_pinged",
        "_was_working",
    )

    def __init__(self, processor: MessageProcessor, limits: Limits, now: float) -> None:
        self._processor: Final = processor
        self._limits: Final = limits
        self._opened_at: Final[float] = now
        # Where the message begins that is coming in, since when that or its content has been
        # coming, and how much of it there was then: less than none while its header is coming.
        self._begin: i64 = _NONE
        self._begun_at: float = now
        self._buffered: i64 = _NONE
        self._received: i64 = 0
        self._heard_at: float = now
        self._busy_at: float = now
        self._was_working = False
        self._was_pinged = False
        self._pinged_at: float = now
        self._sent: i64 = _NONE
        self._seen_sent: i64 = _NONE
        self._moved_at: float = now
        self._has_ended = False

    def overdue(
        self,
        now: float,
        *,
        awaits_hello: bool,
        is_reading: bool,
        sent: i64,
        is_unsent: bool,
        is_watched: bool,
        is_speaking: bool,
        has_ended: bool,
        is_working: bool,
    ) -> WaitTimeoutError | None:
        """Return the error for a peer that takes too long now, or None.

        A hello that is awaited (``awaits_hello``) has its time in any case. While this side does
        not read (``is_reading``), the peer has to take the output that waits (``is_unsent``):
        ``sent`` counts the bytes taken so far.
        Else the peer has to go on with a message that has begun, and, until one side has said its
        last (``is_speaking``), to show a sign of life. To a peer that sends nothing more
        (``has_ended``), something has to be sent. ``is_watched`` says that the peer is pinged while
        it is silent. ``is_working`` says that the peer waits for an answer of this side; one that
        takes nothing of what it is sent does not wait.
        """
        if has_ended:
            return self.with_end(now, sent, is_watched=is_watched)
        is_stuck = is_unsent and sent == self._seen_sent
        self._seen_sent = sent
        error = self.with_hello(now) if awaits_hello else None
        if not is_reading:
            self.start_over(now)
            waiting: i64 = sent if is_unsent else _NONE
            return error or self.with_output(now, waiting, is_watched=is_watched)
        if error is None:
            error = self.with_message(now)
        if error is None and is_speaking:
            error = self.with_silence(now, is_working=is_working and not is_stuck)
        return error

    def start_over(self, now: float) -> None:
        """Hold nothing against the peer: what it has sent is not being read."""
        self._begin = _NONE
        self._heard_at = now
        self._busy_at = now
        self._was_pinged = False

    def with_output(self, now: float, sent: i64, *, is_watched: bool) -> WaitTimeoutError | None:
        """Say whether a peer takes nothing of what it is sent, as long as it may be silent.

        ``sent`` counts the bytes taken so far, and is -1 where nothing waits.
        A peer that is watched (``is_watched``) would have been pinged, and could not be now.
        """
        is_moving = sent == _NONE or sent != self._sent
        self._sent = sent
        if is_moving:
            self._moved_at = now
            return None
        longest = self._longest_silence(is_watched)
        if now - self._moved_at < longest:
            return None
        return WaitTimeoutError("the peer to take what it is sent", longest)

    def with_end(self, now: float, sent: i64, *, is_watched: bool) -> WaitTimeoutError | None:
        """Say whether a peer that sends nothing more was sent nothing, as long as it may be silent.

        Such a peer can show no sign of life. A ping that tests the network does not count.
        """
        if not self._has_ended:
            self._has_ended = True
            self._moved_at = self._pinged_at = now
        elif sent != self._seen_sent and not self._was_pinged:
            self._moved_at = now
        self._seen_sent = sent
        self._was_pinged = False
        longest = self._longest_silence(is_watched)
        if now - self._moved_at < longest:
            return None
        return WaitTimeoutError("an answer for a peer that has ended its input", longest)

    def with_hello(self, now: float) -> WaitTimeoutError | None:
        """Say whether a hello has been waited for too long."""
        if now - self._opened_at < self._limits.handshake_timeout:
            return None
        return WaitTimeoutError("hello", self._limits.handshake_timeout)

    def with_message(self, now: float) -> WaitTimeoutError | None:
        """Say whether the rest of a message that has begun takes too long.

        Its header block has its time from the message's first byte on; its content has a rate.
        """
        self._sent = _NONE
        processor, limits = self._processor, self._limits
        buffered: i64 = processor.bytes_buffered
        if not buffered:
            self._begin = _NONE
            return None
        begin: i64 = processor.message_offset
        is_content = processor.state is State.CONTENT
        if begin != self._begin or is_content != (self._buffered != _NONE):
            self._begin = begin
            self._begun_at = now
            self._buffered = buffered if is_content else _NONE
            return None
        passed = now - self._begun_at
        if not is_content:
            if passed < limits.header_timeout:
                return None
            return WaitTimeoutError("the rest of a header block", limits.header_timeout)
        if passed < _RATE_WINDOW:
            return None
        if float(buffered - self._buffered) < limits.min_rate * passed:
            return WaitTimeoutError(f"content at {limits.min_rate:,} bytes a second", _RATE_WINDOW)
        self._begun_at = now
        self._buffered = buffered
        return None

    def with_silence(self, now: float, *, is_working: bool) -> WaitTimeoutError | None:
        """Say whether too long nothing has come, not even the answer to a ping.

        A peer that waits for an answer (``is_working``) is not idle. Nor is one that did so when
        this was last looked at: that may be long ago, and it was answered in between.
        """
        received: i64 = self._processor.bytes_received
        if received != self._received:
            self._received = received
            self._heard_at = now
            self._busy_at = now
            self._was_pinged = False
        elif is_working or self._was_working:
            self._busy_at = now
        self._was_working = is_working
        limits = self._limits
        if limits.idle_timeout is not None and now - self._busy_at >= limits.idle_timeout:
            return WaitTimeoutError("any message", limits.idle_timeout)
        if self._was_pinged and now - self._pinged_at >= limits.ping_timeout:
            return WaitTimeoutError("the answer to a ping", limits.ping_timeout)
        return None

    def must_ping(self, now: float) -> bool:
        """Say whether a silent peer must be asked for a sign of life now; the caller asks it."""
        if self._has_ended:
            if now - self._pinged_at < PROBE_SECONDS:
                return False
        elif self._was_pinged or now - self._heard_at < self._limits.ping_interval:
            return False
        self._was_pinged = True
        self._pinged_at = now
        return True

    def _longest_silence(self, is_watched: bool) -> float:
        """Return how long a peer may show no sign of life, in seconds."""
        limits = self._limits
        longest = limits.ping_interval + limits.ping_timeout if is_watched else math.inf
        return longest if limits.idle_timeout is None else min(longest, limits.idle_timeout)
