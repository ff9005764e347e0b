"""Which time of a connection runs out next, and what follows when it does.

What a peer may take for a message, a sign of life or an answer to a ping is measured by the
conversation; how long its end is awaited, by ``closing``. Times are seconds of a clock that never
goes back, and are handed in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from telex.connection.closing import LINGER_SECONDS, Closing
from telex.connection.unread import STALL_SECONDS, Unread
from telex.conversation.conversation import Conversation
from telex.conversation.states import Phase
from telex.errors import ConnectionClosedError, RequestTimeoutError
from telex.limits import Limits
from telex.log import safe_logger

if TYPE_CHECKING:
    from mypy_extensions import i64

LOOK_SECONDS: Final = 0.25
"""How often the times of the peer are looked at while one of them runs."""

MOST_BETWEEN_LOOKS: Final = 1.0
"""Seconds; after a longer time without a look, this end was held up: by a program of its own, or
because the machine had no time for it."""

_GREETING: Final = Phase.GREETING  # found once: to look it up costs as much as a call

logger: Final = safe_logger("telex.client")


class Times:
    """The times of one connection, which began at ``now``."""

    __slots__ = (
        "_closing",
        "_conversation",
        "_held_up",
        "_limits",
        "_looked_at",
        "_opened_at",
        "_serves",
        "_stall_was_told",
        "_unread",
        "stall",
    )

    def __init__(
        self,
        conversation: Conversation,
        closing: Closing,
        unread: Unread,
        limits: Limits,
        *,
        serves: bool,
        now: float,
    ) -> None:
        self._conversation: Final = conversation
        self._closing: Final = closing
        self._unread: Final = unread
        self._limits: Final = limits
        self._serves: Final = serves
        self._opened_at: Final[float] = now
        self._looked_at: float = now
        self._held_up: float = 0.0  # seconds that are not held against the peer
        self._stall_was_told = False
        self.stall: i64 = 0
        """At a server: unsent bytes of which nothing was taken for long, until that is told."""

    def next_deadline(self, *, is_established: bool) -> float:
        """Return when something is due next; infinity where nothing is waited for."""
        closing = self._closing
        if closing.is_cut:
            return math.inf
        deadline = min(self._unread.stall_at, closing.linger_until)
        if not is_established and not self._conversation.is_over:
            if self._serves:
                return min(deadline, self._looked_at + LOOK_SECONDS)
            return min(deadline, self._opened_at + self._limits.handshake_timeout)
        if self._is_timed:
            return min(deadline, self._looked_at + LOOK_SECONDS)
        return deadline

    def late_handshake(self, now: float) -> ConnectionClosedError | None:
        """Return the error for a handshake of the layer that takes too long; None before that."""
        timeout = self._limits.handshake_timeout
        if self._conversation.is_over or self._patient(now) < self._opened_at + timeout:
            return None
        reason = f"timed out after {timeout:g} s waiting for the TLS handshake"
        return ConnectionClosedError("us", reason, code="timeout")

    def look(self, now: float, *, is_reading: bool, sent: i64, is_unsent: bool) -> None:
        """Do what is due by ``now``: ping, end a stall, or give the peer up.

        ``is_reading`` says whether the peer is being read from, and ``is_unsent`` whether output
        waits; ``sent`` counts the bytes that the network has taken so far.
        """
        if self._unread.has_stalled(now):
            self._end_stall()
        if now < self._looked_at + LOOK_SECONDS:
            return
        is_late = now > self._looked_at + MOST_BETWEEN_LOOKS
        patient = self._patient(now)
        self._conversation.check_time(
            patient, is_reading=is_reading, sent=sent, is_unsent=is_unsent
        )
        closing = self._closing
        # A blocking client may have been away, and has sent nothing meanwhile.
        if not closing.has_unsent or (is_late and not self._serves):
            closing.note_reading()
        elif closing.has_stopped_reading(now):
            if closing.has_unsent_after_goodbye:
                closing.ending.break_with(ConnectionClosedError("peer", "it does not read on"))
                closing.is_cut = True
            else:
                self._note_output_stall()

    def _patient(self, now: float) -> float:
        """Return by which time the peer of this look is judged, which never goes back.

        A time in which a server was held up counts as the time between two looks: the peer may have
        done its part, and what it sent, or has to answer, waits for this server.
        """
        passed = now - self._looked_at
        self._looked_at = now
        if self._serves and passed > MOST_BETWEEN_LOOKS:
            self._held_up += passed - LOOK_SECONDS
        return now - self._held_up

    @property
    def _is_timed(self) -> bool:
        """Whether a time of the peer runs, or may begin to run without a call of the driver."""
        conversation = self._conversation
        if conversation.wants_keepalive or self._closing.has_unsent:
            return True
        if not self._serves:
            return False
        if self._limits.idle_timeout is not None or conversation.bytes_buffered:
            return True
        return conversation.phase is _GREETING

    def _note_output_stall(self) -> None:
        """Say once that the peer takes nothing: whoever waits to send would wait unexplained."""
        if self._stall_was_told:
            return
        self._stall_was_told = True
        self.stall = self._closing.unsent
        if not self._serves:  # a server tells with the peer's address
            logger.warning("%s", what_stalls(self.stall))

    def _end_stall(self) -> None:
        """Say that nothing is taken; the answers that are awaited behind it cannot come."""
        unread = self._unread
        size = f"{unread.size:,}"
        if not unread.stall_was_told:
            unread.stall_was_told = True
            logger.warning(
                "nothing is read until somebody takes what has come: "
                "%s bytes of messages and parts of answers wait",
                size,
            )
        waiting = f"{size} bytes of messages and parts of answers"
        for call in unread.awaited:
            if not call.is_done:
                call.end(RequestTimeoutError(f"{waiting} to be taken before it", STALL_SECONDS))
                self._conversation.abandon(call)


def what_stalls(unsent: int) -> str:
    """Say that the peer takes nothing of so many unsent bytes."""
    return f"the peer has taken nothing for {LINGER_SECONDS:g} s: {unsent:,} bytes are unsent"
