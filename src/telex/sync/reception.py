"""What has come for the users of a client's connection and was not taken, and if there is room.

The channel brings it; the threads that take it, and what they wait for, are the link's. It does no
input or output. Messages may be taken at any time, everything else is done under the link's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.connection.inbox import Inbox
from telex.conversation.conversation import Phase
from telex.log import safe_logger

if TYPE_CHECKING:
    from telex.conversation.conversation import Conversation
    from telex.sync.ending import Ending
    from telex.wire.message import Message

INBOX_SIZE: Final = 16 * 1024 * 1024
"""Bytes that may have come and not been taken before nothing more is read."""

logger: Final = safe_logger("telex.client")


class Reception:
    """The user of a channel: it keeps the messages, and hands what ends them to ``ending``."""

    def __init__(self, conversation: Conversation, ending: Ending) -> None:
        self.inbox: Final = Inbox()
        self.unread_parts: int = 0
        """Bytes of parts of answers that have come and were not taken."""
        self.is_closing: bool = False
        """Whether this side has closed: what still comes is dropped."""
        self._conversation: Final = conversation
        self._ending: Final = ending
        self._stall_was_told = False

    # What the channel tells

    def received(self, messages: list[Message]) -> None:
        """Keep what has come until somebody takes it."""
        if self.is_closing:
            self._ending.note_dropped(messages)
        else:
            self.inbox.add(messages)

    def ended(self, unsent: int, cause: BaseException | None) -> None:
        """Take note of how the conversation ends; where only the peer has ended it, so do we."""
        self._ending.note(unsent, cause)
        if self._conversation.phase is Phase.FINISHING:
            self._conversation.close("closed", "so does this side")

    # What the link asks

    def has_room(self) -> bool:
        """Whether more may be received; where much waits to be taken, that has to come first."""
        if not self.inbox.messages and not self.unread_parts:
            return True
        return self.size() < INBOX_SIZE or self.is_closing

    def size(self) -> int:
        """Return how many bytes wait to be taken."""
        return self.inbox.size() + self.unread_parts

    def drop(self) -> None:
        """Drop what nobody has received."""
        messages = self.inbox.messages
        self._ending.note_dropped(tuple(messages))  # other threads may take some meanwhile
        messages.clear()

    def complain_of_stall(self) -> None:
        """Say aloud, once, that nothing is read because nobody takes what has come."""
        if not self._stall_was_told:
            self._stall_was_told = True
            logger.warning(
                "nothing is read until messages are received: %d bytes of them are here",
                self.size(),
            )
