"""Why a connection ended: the one reason, what was lost with it, and the errors that say so.

Made when a connection begins to end; a connection that goes on has none. The conversation knows why
it ended itself; what broke below it (the network, the layer, this side's patience) is kept here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeVar

from telex.connection.output import Output
from telex.conversation.conversation import Conversation
from telex.conversation.error_content import GOOD_ENDINGS, read_problem
from telex.conversation.reasons import reason_of
from telex.errors import (
    ConnectionClosedError,
    IncompleteMessageError,
    ProtocolError,
    RemoteError,
    TelexError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from telex.wire.message import Message
    from telex.wire.processor import MessageProcessor

Error = TypeVar("Error", bound=BaseException)


class Ending:
    """The end of one connection.

    ``broken`` is what ended the connection below its conversation, if that came first. ``dropped``
    counts messages that were received and not handled. ``was_told`` says that somebody was told the
    reason by an error. ``is_final`` says that the connection has ended: nothing changes any more.
    """

    __slots__ = (
        "_conversation",
        "_cut",
        "_output",
        "_problem",
        "_unsent",
        "broken",
        "dropped",
        "gave_up",
        "is_final",
        "was_told",
    )

    def __init__(self, conversation: Conversation, output: Output) -> None:
        self._conversation: Final = conversation
        self._output: Final = output
        self._cut = ""
        self._problem: RemoteError | None = None
        self._unsent = 0
        self.broken: ConnectionClosedError | None = None
        self.dropped: int = 0
        self.gave_up: bool = False
        """Whether this side closed while the peer may be at work on what was given up."""
        self.is_final: bool = False
        self.was_told: bool = False

    def break_with(self, error: ConnectionClosedError, *, explains: bool = False) -> None:
        """Take this as the reason, unless there is one already.

        What the peer told (``explains``) says more than that nothing can be sent to it any more.
        """
        if self.is_final or self._conversation.error is not None:
            return
        if self.broken is None or explains:
            self.broken = without_frames(error)

    @property
    def _failure(self) -> TelexError | None:
        """What went wrong, if anything did that the peer has not explained."""
        farewell = self._conversation.farewell
        if farewell is not None and farewell.code not in GOOD_ENDINGS:
            return self._conversation.error
        return self.broken or self._conversation.error

    def end_conversation(self) -> None:
        """Tell the conversation that the connection has broken, if it has."""
        broken, conversation = self.broken, self._conversation
        if broken is not None and broken is self._failure and not conversation.is_over:
            self._note_cut()
            conversation.lose(broken.reason + self._cut, by=broken.by, code=broken.code)

    def note_dropped(self, messages: Iterable[Message]) -> None:
        """Remember the first error that the peer told in messages that nobody will receive."""
        for message in messages:
            if message.kind == "error" and self._problem is None:
                self._problem = without_frames(read_problem(message, "error"))

    def reach(self) -> None:
        """Make the end final: bytes that are unsent now are lost."""
        self.end_conversation()
        self._note_cut()
        self._unsent = self.unsent
        self.is_final = True
        self._conversation.end()
        for error in (self._conversation.error, self._conversation.processor.error):
            if error is not None:
                without_frames(error)

    @property
    def unsent(self) -> int:
        """Bytes that were handed over and that the network never took."""
        if self.is_final:
            return self._unsent
        return self._output.size + self._output.lost + self._conversation.bytes_to_send

    @property
    def is_good(self) -> bool:
        """Whether the connection ended as it should, with nothing lost."""
        conversation = self._conversation
        if self.broken is not None or conversation.error is not None or self.unsent:
            return False
        return conversation.closed_error().code in GOOD_ENDINGS

    @property
    def is_own_choice(self) -> bool:
        """Whether this side's program closed the connection first, and nothing went wrong."""
        conversation = self._conversation
        if self.broken is not None or conversation.error is not None:
            return False
        return conversation.closed_error().by == "us"

    @property
    def has_loss(self) -> bool:
        """Whether something of either side was lost by this end, or refused.

        Nothing is where a peer just leaves: without an end of its stream, as probes do, or behind
        its goodbye without reading the answers. That depends on what is unsent, unanswered, or
        received and not handled.
        """
        conversation = self._conversation
        error = self.broken or conversation.error
        if not isinstance(error, ConnectionClosedError):
            return error is not None
        farewell = conversation.farewell
        if farewell is not None and farewell.code not in GOOD_ENDINGS:
            return True
        cause = error.__cause__
        if error.by != "peer" or not (cause is None or isinstance(cause, ConnectionError)):
            return True
        self._note_cut()
        if self.dropped or conversation.processor.error is not None:  # a message was cut
            return True
        return farewell is None and (self.unsent > 0 or conversation.unanswered > 0)

    @property
    def final_error(self) -> TelexError | None:
        """The error for whoever observes the connection; None for an end as it should be."""
        conversation = self._conversation
        error = self.broken or conversation.error
        if error is None or not isinstance(error, ConnectionClosedError):
            return error
        lost = self._cut if self.broken is not None else ""
        if self.dropped:
            lost += f"; {not_handled(self.dropped)}"
        final = ConnectionClosedError(
            error.by,
            error.reason + lost,
            code=error.code,
            unsent=self.unsent,
            unanswered=conversation.unanswered,
            unconfirmed=conversation.unconfirmed,
        )
        final.__cause__ = error.__cause__
        return final

    def closed_error(self) -> ConnectionClosedError:
        """Return a new error that says why the connection ended, which is told by that."""
        failure = self._failure
        if failure is None:
            error = self._conversation.closed_error()
        else:
            error = reason_of(failure)
            if failure is self.broken:
                error.reason += self._cut
        return self.complete(error)

    def interrupted_error(self) -> ConnectionClosedError:
        """Return the error for a connection that an exception has left half-way, which is told."""
        self.was_told = True
        reason = "it was interrupted while bytes were on their way"
        unconfirmed = self._conversation.unconfirmed
        return ConnectionClosedError("us", reason, unsent=self.unsent, unconfirmed=unconfirmed)

    def reason(self) -> ConnectionClosedError:
        """Return a new error that says why the connection ended; nobody is told by that."""
        was_told = self.was_told
        error = self.closed_error()
        self.was_told = was_told
        return error

    def complete(self, error: ConnectionClosedError) -> ConnectionClosedError:
        """Add to an error about this end what was lost, and the cause; return the error."""
        self.was_told = True
        error.unsent = self.unsent
        error.unconfirmed = self._conversation.unconfirmed
        failure = self._failure
        if isinstance(failure, ProtocolError):
            error.__cause__ = failure
        elif failure is not None and failure.__cause__ is not None:
            error.__cause__ = failure.__cause__
        return error

    def unseen_error(self) -> TelexError | None:
        """Return what somebody should be told at the end, and nobody was told yet.

        Whether something was never sent is known when the end is final.
        """
        if self._problem is not None or self.was_told:
            return self._problem
        farewell = self._conversation.farewell
        if farewell is not None and farewell.code not in GOOD_ENDINGS:
            reason = farewell.detail or farewell.title
            return self.complete(ConnectionClosedError("peer", reason, code=farewell.code))
        if self.broken is None and self._conversation.error is None:
            if self._ended_unasked:
                return self.closed_error()
            if not (self.is_final and self.unsent):
                return None
            error = ConnectionClosedError("peer", "it ended before it had read all")
            return self.complete(error)
        return self.closed_error()

    @property
    def _ended_unasked(self) -> bool:
        """Whether the peer's stream ended first, without a goodbye, and plain messages may be lost.

        The end of a process that was killed looks like that. A peer that says why it ends is
        believed.
        """
        conversation = self._conversation
        if conversation.farewell is not None or not conversation.unconfirmed:
            return False
        return conversation.closed_error().by == "peer"

    def overdue_error(self, timeout: float) -> TelexError | None:
        """Return what to tell whoever closed and waited ``timeout`` seconds for the peer's end.

        None where nothing is unsent, and the peer may be busy with what was given up.
        """
        if self.unsent:
            reason = f"the peer did not read on for {timeout:g} s"
            return self.complete(ConnectionClosedError("us", reason))
        if self.gave_up:
            return None
        return WaitTimeoutError("the peer to end the connection; it may not have read all", timeout)

    def _note_cut(self) -> None:
        """Note which message was cut by the end."""
        processor = self._conversation.processor
        if not self._cut and self.broken is not None:
            self._cut = what_was_cut(processor)


def not_handled(count: int) -> str:
    """Say how many messages were received and never handled."""
    return "1 message was not handled" if count == 1 else f"{count:,} messages were not handled"


def what_was_cut(processor: MessageProcessor) -> str:
    """Say which message was cut by an end, as the rest of a sentence; empty when none was."""
    if processor.error is None:
        try:
            processor.receive_eof()
        except IncompleteMessageError as incomplete:
            return f", {without_frames(incomplete)}"  # the processor keeps it
    return ""


def without_frames(error: Error) -> Error:
    """Return an error that is to be kept, without the frames that it came through.

    The frames of a server hold its connections, those that have ended among them.
    """
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error
