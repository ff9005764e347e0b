"""The parts of one answer, as an iterator.

What a part is, and when there are no more, is the conversation's to decide.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from telex.application.session import about
from telex.errors import RequestTimeoutError
from telex.sync.deadlines import moment_in

if TYPE_CHECKING:
    from typing import Self

    from telex.conversation.conversation import Call
    from telex.sync.link import Link
    from telex.wire.message import Message


class Parts:
    """The parts of the answer to a request; made by ``Connection.request_parts()``.

    Whoever loses interest lets go of it, or calls ``close()``: parts that still come are dropped.
    """

    def __init__(self, link: Link, request: Message, timeout: float | None) -> None:
        self._link: Final = link
        self._request: Final = request
        self._timeout: Final = timeout
        self._answer: _Answer | None = None
        self._has_begun = False
        self._is_closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        deadline = moment_in(self._timeout)
        if self._is_closed:
            raise StopIteration
        answer = self._answer
        if answer is None:
            answer = self._answer = _Answer(self._link)
            try:
                self._link.say(answer.ask, self._request)
            except Exception:
                self.close()
                raise
        if not self._link.wait(answer.has_progressed, deadline):
            self.close()
            self._link.check_usable()
            which = "the next part of the answer" if self._has_begun else "the answer"
            raise RequestTimeoutError(f"{which} to {about(self._request)}", self._timeout or 0.0)
        if not answer.parts:
            self.close()
            answer.raise_error()
            raise StopIteration
        self._has_begun = True
        return answer.take()

    def close(self) -> None:
        """Want no more of it; harmless when repeated."""
        self._is_closed = True
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.give_up()

    def __del__(self) -> None:
        # Whoever collects the garbage may be in the midst of the link's work, or of another one's.
        if self._answer is not None:
            self._link.do_later(self._answer.give_up)


class _Answer:
    """The parts that have come, apart from whoever takes them: that one may go away."""

    def __init__(self, link: Link) -> None:
        self.parts: Final[deque[Message]] = deque()
        self._link: Final = link
        self._call: Call | None = None

    def ask(self, request: Message) -> None:
        """Send the request."""
        call = self._call = self._link.conversation.request(request)
        call.on_progress = self._note_progress

    def has_progressed(self) -> bool:
        """Whether a part is here, or none will come."""
        return bool(self.parts) or self._call is None or self._call.is_done

    def raise_error(self) -> None:
        """Raise the error with which the answer has ended, if it has."""
        if self._call is not None:
            self._link.raise_error_of(self._call)

    def take(self) -> Message:
        """Take the next part."""
        part = self.parts.popleft()
        self._link.hold_parts(-part.memory_size)
        return part

    def give_up(self) -> None:
        """Want no more of it."""
        if self._call is not None:
            self._link.give_up(self._call, self.parts)

    def _note_progress(self) -> None:
        assert self._call is not None
        new = self._call.take_parts()
        self.parts.extend(new)
        self._link.hold_parts(sum([part.memory_size for part in new]))
