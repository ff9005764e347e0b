"""How a client's connection has ended, and whether anybody was told.

It makes the errors that say so, out of what the conversation knows and what the channel has
noticed. It does no input or output, and is asked and told under the lock of the link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.conversation.conversation import Phase
from telex.conversation.error_content import read_problem
from telex.errors import ConnectionClosedError, ProtocolError
from telex.network.os_errors import GOOD_ENDINGS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from telex.conversation.conversation import Conversation
    from telex.wire.message import Message


class Ending:
    """What is known of the end of a connection."""

    def __init__(self, conversation: Conversation) -> None:
        self.is_good: bool = False
        """Whether the peer ended as it should, with nothing lost."""
        self.unsent: int = 0
        """Bytes that were handed over and not given to the network, when the connection ended."""
        self._conversation: Final = conversation
        self._cause: BaseException | None = None
        self._problem: ConnectionClosedError | None = None
        self._was_told = False

    def note(self, unsent: int, cause: BaseException | None) -> None:
        """Take note of how the conversation ends, and what was unsent then."""
        conversation = self._conversation
        self.unsent = unsent
        if cause is not None:
            self._cause = cause
        if isinstance(conversation.error, ProtocolError):
            self._cause = conversation.error
        if conversation.phase is Phase.FINISHING:
            self.is_good = conversation.closed_error().code in GOOD_ENDINGS and not unsent

    def note_dropped(self, messages: Iterable[Message]) -> None:
        """Remember the first problem among messages that nobody will receive."""
        for message in messages:
            if message.kind == "error" and self._problem is None:
                problem = read_problem(message, "error")
                self._problem = ConnectionClosedError("peer", str(problem), code=problem.code)

    def closed_error(self) -> ConnectionClosedError:
        """Return the error that says why the connection has ended, which is then known."""
        failure = self._conversation.error
        if isinstance(failure, ConnectionClosedError):
            error = ConnectionClosedError(failure.by, failure.reason, code=failure.code)
        elif isinstance(failure, ProtocolError):
            error = ConnectionClosedError("us", str(failure), code=failure.code)
        else:
            error = self._conversation.closed_error()
        self.tell(error)
        return error

    def interrupted_error(self, unsent: int) -> ConnectionClosedError:
        """Return the error for a connection that was left half-way, which is then known."""
        self._was_told = True
        reason = "it was interrupted while bytes were on their way"
        return ConnectionClosedError("us", reason, unsent=unsent)

    def unseen_error(self, *, is_gone: bool) -> ConnectionClosedError | None:
        """Return what nobody was told yet, and somebody should be told when all is over."""
        farewell = self._conversation.farewell
        if self._problem is not None or self._was_told:
            return self._problem
        if farewell is not None and farewell.code not in GOOD_ENDINGS:
            error = ConnectionClosedError(
                "peer", farewell.detail or farewell.title, code=farewell.code
            )
        elif self._conversation.error is not None:
            return self.closed_error()
        elif self.unsent and is_gone:
            error = ConnectionClosedError("peer", "it ended before it had read all")
        else:
            return None
        self.tell(error)
        return error

    def tell(self, error: ConnectionClosedError) -> None:
        """Add to an error what only this side knows; somebody is told by it."""
        self._was_told = True
        error.unsent = self.unsent
        error.__cause__ = self._cause
