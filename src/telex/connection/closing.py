"""How far the end of one connection has come.

It keeps the steps of the end and takes the next one when that is due. Bytes, reading and the times
before the end belong to ``connection``. Times are seconds of a clock that never goes back.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from telex.connection.ending import Ending, what_was_cut
from telex.connection.output import Output
from telex.conversation.batch import BATCH_SIZE
from telex.conversation.conversation import Conversation
from telex.conversation.states import Phase
from telex.errors import ConnectionClosedError

if TYPE_CHECKING:
    from mypy_extensions import i64

LINGER_SECONDS: Final = 5.0
"""How long a peer may take nothing of the rest of the output, and how long it may take to end."""

SILENT_SECONDS: Final = 1.0
"""How long the end of a peer is awaited that has everything and need not end: this side shuts down,
or gave up what the peer may be working on."""

UNWANTED_SECONDS: Final = 0.1
"""The same where the peer is known to have read all plain messages, and may work only on what this
side gave up. A peer that ends in this time meets no reset."""

MOST_BEFORE_REFUSAL: Final = 2 * BATCH_SIZE
"""Bytes of output that are sent before the error that ends everything. More would keep memory, and
keep the peer from the error for long."""

LINGER_BYTES: Final = 64 * 1024 * 1024
"""Bytes that a peer may send after the end. To close while the peer sends would reset the
connection, and the reset would overtake the last message to the peer."""

_NEVER: Final = math.inf

# Members of Phase, found once: to look one up costs as much as a call.
_OPEN: Final = Phase.OPEN
_GREETING: Final = Phase.GREETING
_CLOSING: Final = Phase.CLOSING
_FINISHING: Final = Phase.FINISHING
_CLOSED: Final = Phase.CLOSED
_FAILED: Final = Phase.FAILED


class Closing:
    """The steps of the end of one connection. Each attribute is a step that was taken.

    ``is_leaving``: this side shuts down. ``is_closing``: its program has closed. ``is_refused``:
    the peer was told an error that ends everything. ``is_cut``: nothing more is waited for.
    ``input_ended``, ``output_ended``, ``output_lost``: what is over of the network's two streams.
    """

    __slots__ = (
        "_conversation",
        "_ending",
        "_ignored",
        "_moved_at",
        "_output",
        "_seen_sent",
        "input_ended",
        "is_closing",
        "is_cut",
        "is_leaving",
        "is_refused",
        "linger_until",
        "output_ended",
        "output_lost",
    )

    def __init__(self, conversation: Conversation, output: Output) -> None:
        self._conversation: Final = conversation
        self._output: Final = output
        self._ending: Ending | None = None
        self._ignored: i64 = 0
        self._seen_sent: i64 = -1
        self._moved_at: float = 0.0
        self.input_ended: bool = False
        self.output_ended: bool = False
        self.output_lost: bool = False
        self.is_leaving: bool = False
        self.is_closing: bool = False
        self.is_refused: bool = False
        self.is_cut: bool = False
        self.linger_until: float = _NEVER
        """When the peer is waited for no longer."""

    @property
    def ending(self) -> Ending:
        """Why it ends. Made when it is first needed: a connection that goes on has none."""
        if self._ending is None:
            self._ending = Ending(self._conversation, self._output)
        return self._ending

    @property
    def has_broken(self) -> bool:
        """Whether the connection broke below its conversation, or was cut off."""
        return self.is_cut or (self._ending is not None and self._ending.broken is not None)

    @property
    def has_begun(self) -> bool:
        """Whether the end has begun, in whatever way."""
        phase = self._conversation.phase
        if phase is not _OPEN and phase is not _GREETING:
            return True
        return self.is_leaving or self.input_ended or self.output_lost or self.is_cut

    @property
    def is_last_said(self) -> bool:
        """Whether this side has said its last, so that the output ends with what is unsent."""
        phase = self._conversation.phase
        return phase is _CLOSING or phase is _CLOSED or phase is _FAILED

    @property
    def may_receive(self) -> bool:
        """Whether messages or answers may still come that the program would get."""
        return self._conversation.is_open and not (self.input_ended or self.is_cut)

    @property
    def can_answer(self) -> bool:
        """Whether anybody receives an answer that is sent now."""
        return not (self.output_lost or self.is_cut or self._conversation.is_over)

    @property
    def is_served(self) -> bool:
        """Whether there is more to do for the peer than to wait for its end."""
        return not (self.output_ended or self.is_cut)

    @property
    def ignores_input(self) -> bool:
        """Whether what comes is only received to see its end."""
        return self._conversation.is_over or (self.is_leaving and self.output_ended)

    @property
    def unsent(self) -> i64:
        """Bytes of the output that the network has not taken."""
        return self._output.size

    @property
    def has_unsent(self) -> bool:
        """Whether the network has yet to take output."""
        return self._output.size > 0

    @property
    def has_unsent_after_goodbye(self) -> bool:
        """Whether the peer has said its last, and has yet to take what it is sent."""
        phase = self._conversation.phase
        return (phase is _FINISHING or phase is _CLOSED) and self._output.size > 0

    @property
    def is_lost(self) -> bool:
        """Whether the network is lost in both directions."""
        return self.output_lost and self.input_ended

    @property
    def _was_lost(self) -> bool:
        """Whether the network was lost before anything else went wrong."""
        return self.is_lost and self.ending.broken is not None

    def is_finished(self, is_idle: bool) -> bool:
        """Whether nothing more can come or go; ``is_idle``: every message that came is handled."""
        if self.is_cut:
            return True
        if not self.input_ended or not (self.output_ended or self.output_lost):
            return False
        return is_idle or self._conversation.is_over

    def advance(self, is_idle: bool, has_begun_all: bool, now: float) -> None:
        """Take the next steps that are due: the goodbye where all is answered, the refusal.

        A lost connection ends when the handling of all that came has begun (``has_begun_all``):
        nobody is there to receive what handlers return.
        """
        conversation = self._conversation
        if has_begun_all and self.is_lost and not conversation.is_over:
            self.ending.end_conversation()
            return
        if is_idle and not conversation.is_over:
            if self.is_leaving:
                conversation.close("shutting-down", "the server is shutting down")
            elif conversation.phase is _FINISHING:
                conversation.close("closed", "everything is answered")
        if self.output_ended and self._only_given_up_is_open:
            self.linger_until = min(self.linger_until, now + UNWANTED_SECONDS)
        if conversation.phase is _FAILED and not (self.is_refused or self._was_lost):
            self.is_refused = True
            self.linger_until = now + LINGER_SECONDS
            what_was_cut(conversation.processor)  # which lets go of a message that has begun

    def close(self) -> None:
        """Say goodbye for the program, and ask a peer that may be at work whether it has read."""
        conversation = self._conversation
        if conversation.calls.count + conversation.calls.abandoned:
            self.ending.gave_up = True
            if conversation.unconfirmed and conversation.is_open:
                conversation.ping()
        conversation.close("closed", "close() was called")

    def end_input(self) -> None:
        """End the conversation's input: the peer sends no more, and may still receive."""
        if not self.input_ended:
            self.input_ended = True
            if not self.has_broken:
                self._conversation.receive_eof()

    def lose_output(self, error: ConnectionClosedError) -> None:
        """Drop the output, which cannot be sent any more, for this reason."""
        if self.is_cut:
            return
        self.output_lost = True
        self._output.discard()
        if self._conversation.is_over:
            self.input_ended = True
        else:
            self.ending.break_with(error)

    def refuse(self, error: ConnectionClosedError, *, has_layer: bool) -> None:
        """Fail with this error, or end at once where the peer cannot be told so.

        The peer reads the error behind the messages that are on their way, so that only a little
        output can stay before it. The rest is lost, except for what a layer has wrapped, which can
        only be sent as it is.
        """
        conversation, output = self._conversation, self._output
        if not conversation.is_over and self._has_little_output(has_layer):
            conversation.fail(error)
            return
        if output.size:
            self.ending.break_with(error)
        self.is_cut = True

    def _has_little_output(self, has_layer: bool) -> bool:
        """Lose what is not on its way, where that helps; return whether little output is left."""
        conversation, output = self._conversation, self._output
        if output.size + conversation.bytes_to_send <= MOST_BEFORE_REFUSAL:
            return True
        if has_layer:
            if output.size - output.unwrapped > MOST_BEFORE_REFUSAL:
                return False
            output.lose_unwrapped()
        elif not output.shorten(MOST_BEFORE_REFUSAL):
            return False
        output.lose(conversation.data_to_send())
        return True

    def cut_off(self, error: ConnectionClosedError, *, can_tell: bool) -> None:
        """Wait for nothing more. The reason is ``error``, unless the end has its own.

        The peer is told where messages can be sent (``can_tell``) and nothing is unsent before it.
        """
        if not can_tell or self.output_lost or self._output.size:
            if not self.ignores_input:
                self.ending.break_with(error)
        elif not self.output_ended:
            self._conversation.fail(error)
        self.is_cut = True

    def finish(self) -> None:
        """End the connection: the reason becomes final, and unsent bytes are lost."""
        conversation, ending = self._conversation, self.ending
        is_behind = ending.unsent or conversation.unanswered or conversation.bytes_buffered
        if self.is_leaving and is_behind:
            reason = "the server was shut down"
            ending.break_with(ConnectionClosedError("us", reason, code="shutting-down"))
        self.is_cut = True
        ending.reach()
        conversation.data_to_send()
        self._output.discard()

    def note_output_ended(self, now: float) -> None:
        """Wait for the peer's end from now on, though not for ever."""
        self.output_ended = True
        if self.is_refused:
            return
        if self._only_given_up_is_open:
            self.linger_until = now + UNWANTED_SECONDS
        elif self.is_leaving or (self.is_closing and self.ending.gave_up):
            self.linger_until = now + SILENT_SECONDS
        elif not self.is_closing:
            self.linger_until = now + LINGER_SECONDS

    @property
    def _only_given_up_is_open(self) -> bool:
        """Whether the peer has read all plain messages, and may work on what nobody wants."""
        return self.is_closing and self.ending.gave_up and not self._conversation.unconfirmed

    def leave(self, now: float, *, can_tell: bool) -> None:
        """Begin this side's shutting down, which waits no longer than it allows.

        Where no message can be sent (``can_tell``), the connection ends at once.
        """
        self.is_leaving = True
        if not can_tell:
            error = ConnectionClosedError("us", "the server is shutting down", code="shutting-down")
            self.cut_off(error, can_tell=False)
        elif self.output_ended:
            self.linger_until = min(self.linger_until, now + SILENT_SECONDS)

    def ignore(self, size: i64, now: float) -> None:
        """Count bytes that came after the end; a peer that still sends is waited for."""
        self._ignored += size
        if self.is_leaving and not self.is_refused:
            self.linger_until = now + SILENT_SECONDS
        if self._ignored > LINGER_BYTES:
            self.is_cut = True

    def note_reading(self) -> None:
        """Begin anew to measure how long the peer takes nothing."""
        self._seen_sent = -1

    def has_stopped_reading(self, now: float) -> bool:
        """Whether the peer took nothing of the rest of the output for ``LINGER_SECONDS``."""
        sent = self._output.sent
        if sent != self._seen_sent:
            self._seen_sent = sent
            self._moved_at = now
        return now - self._moved_at >= LINGER_SECONDS
