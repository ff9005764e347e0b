"""The parts of one answer that have come, and what may be asked of them; on every front-end.

What a part is, and when there are no more, is the conversation's to decide. How somebody waits is
the front-end's.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from telex.client.answers import late_part_error

if TYPE_CHECKING:
    from telex.connection.connection import Connection
    from telex.conversation.calls import Call
    from telex.errors import RequestTimeoutError
    from telex.wire.message import Message


class PartsOfAnswer:
    """The parts that have come and nobody has taken, apart from the iterator over them.

    The iterator may be dropped at any time, and what has come is counted as unread until then.
    """

    def __init__(self, connection: Connection, request: Message, timeout: float | None) -> None:
        self.parts: Final[deque[Message]] = deque()
        self.call: Call | None = None
        """The request, when it was asked."""
        self.is_closed: bool = False
        """Whether no more parts are wanted."""
        self._connection: Final = connection
        self._request: Final = request
        self._timeout: Final = timeout
        self._has_begun = False

    def ask(self) -> None:
        """Have the conversation ask; the bytes are to be sent afterwards."""
        self.call = self._connection.conversation.request(self._request)
        self.call.keeps_parts = True
        self.call.on_progress = self.note_progress

    def has_progressed(self) -> bool:
        """Say whether a part is here, or none will come."""
        return bool(self.parts) or self.call is None or self.call.is_done

    def is_wanted(self) -> bool:
        """Say whether there is anything to give up."""
        return bool(self.parts) or (self.call is not None and not self.call.is_done)

    def note_progress(self) -> None:
        """Keep the parts that have come."""
        assert self.call is not None
        new = self.call.take_parts()
        self.parts.extend(new)
        self._connection.unread.hold(sum([part.memory_size for part in new]))

    def take(self) -> Message:
        """Take the next part, of which there must be one; then its bytes are consumed."""
        self._has_begun = True
        return self.parts.popleft()

    def drop(self) -> int:
        """Drop all parts; return how many bytes are consumed by that."""
        size = sum([part.memory_size for part in self.parts])
        self.parts.clear()
        return size

    def late_error(self) -> RequestTimeoutError:
        """Return the error for a part that did not come in time."""
        return late_part_error(self._request.subject, self._timeout, has_begun=self._has_begun)
