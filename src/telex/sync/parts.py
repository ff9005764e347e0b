"""The parts of one answer, as an iterator.

What a part is, and when there are no more, is the conversation's to decide.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from telex.client.answers import late_part_error, raise_error_of
from telex.sync.deadlines import moment_in

if TYPE_CHECKING:
    from typing import Self

    from telex.conversation.calls import Call
    from telex.sync.shared_connection import SharedConnection
    from telex.wire.message import Message


class Parts:
    """The parts of the answer to a request; made by ``Connection.request_parts()``.

    Whoever loses interest lets go of it, or calls ``close()``: parts that still come are dropped.
    """

    def __init__(self, driver: SharedConnection, request: Message, timeout: float | None) -> None:
        self._driver: Final = driver
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
        driver = self._driver
        answer = self._answer
        if answer is None:
            answer = self._answer = _Answer(driver)
            try:
                driver.say(answer.ask, self._request)
            except Exception:
                self.close()
                raise
        if not driver.wait(answer.has_progressed, deadline, answer.call):
            self.close()
            driver.check_usable()
            subject = self._request.subject
            raise late_part_error(subject, self._timeout, has_begun=self._has_begun)
        if not answer.parts:
            self.close()
            if answer.call is not None:
                raise_error_of(answer.call, driver.connection)
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
        # Whoever collects the garbage may be in the midst of the driver's work, or of another's.
        if self._answer is not None:
            self._driver.do_later(self._answer.give_up)


class _Answer:
    """The parts that have come, apart from whoever takes them: that one may go away."""

    def __init__(self, driver: SharedConnection) -> None:
        self.parts: Final[deque[Message]] = deque()
        self.call: Call | None = None
        self._driver: Final = driver

    def ask(self, request: Message) -> None:
        """Send the request."""
        call = self.call = self._driver.connection.conversation.request(request)
        call.on_progress = self._note_progress

    def has_progressed(self) -> bool:
        """Whether a part is here, or none will come."""
        return bool(self.parts) or self.call is None or self.call.is_done

    def take(self) -> Message:
        """Take the next part."""
        part = self.parts.popleft()
        self._driver.consumed(part.memory_size)
        return part

    def give_up(self) -> None:
        """Want no more of it, and drop the parts that came."""
        if self.call is not None:
            self._driver.give_up(self.call, self.parts)

    def _note_progress(self) -> None:
        assert self.call is not None
        new = self.call.take_parts()
        self.parts.extend(new)
        self._driver.connection.unread.hold(sum([part.memory_size for part in new]))
