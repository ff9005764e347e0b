"""The parts of one answer, as an iterator.

What a part is, and when there are no more, is the conversation's to decide.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from telex.client.answers import raise_error_of
from telex.client.deadlines import moment_in
from telex.client.parts import PartsOfAnswer
from telex.uncopied import Uncopied

if TYPE_CHECKING:
    from typing import Self

    from telex.sync.shared_connection import SharedConnection
    from telex.wire.message import Message


class Parts(Uncopied):
    """The parts of the answer to a request; made by ``Connection.request_parts()``.

    Whoever loses interest lets go of it, or calls ``close()``: parts that still come are dropped.
    """

    def __init__(self, driver: SharedConnection, request: Message, timeout: float | None) -> None:
        self._driver: Final = driver
        self._timeout: Final = timeout
        self._answer: Final = PartsOfAnswer(driver.connection, request, timeout)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        deadline = moment_in(self._timeout)
        answer, driver = self._answer, self._driver
        if answer.is_closed:
            raise StopIteration
        driver.check_owner()
        if answer.call is None:
            try:
                driver.say(answer.ask)
            except Exception:
                self.close()
                raise
        if not driver.wait(answer.has_progressed, deadline, answer.call):
            self.close()
            driver.check_usable()
            raise answer.late_error()
        if not answer.parts:
            self.close()
            if answer.call is not None:
                raise_error_of(answer.call, driver.connection)
            raise StopIteration
        part = answer.take()
        driver.consumed(part.memory_size)
        return part

    def close(self) -> None:
        """Want no more of it; harmless when repeated."""
        self._answer.is_closed = True
        self._driver.give_up(self._answer)

    def __del__(self) -> None:
        # Whoever collects the garbage may be in the midst of the driver's work, or of another's.
        if self._answer.is_wanted():
            self._driver.do_later(partial(self._driver.give_up, self._answer))
