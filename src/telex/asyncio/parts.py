"""The parts of one answer, as an asynchronous iterator that a cancelled task can come back to.

What a part is, and when there are no more, is the conversation's to decide.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from telex.asyncio.waiting import Waiters
from telex.client.deadlines import moment_in
from telex.client.parts import PartsOfAnswer
from telex.uncopied import Uncopied

if TYPE_CHECKING:
    from typing import Self

    from telex.asyncio.client_driver import ClientDriver
    from telex.conversation.calls import Call
    from telex.errors import RequestTimeoutError
    from telex.wire.message import Message


class Parts(Uncopied):
    """The parts of an answer, as an iterator; made by ``Connection.request_parts()``.

    Several tasks may take parts; each part goes to one of them. A caller that needs no more parts
    drops the iterator or calls ``close()``: parts that arrive later are dropped.
    """

    def __init__(self, driver: ClientDriver, request: Message, timeout: float | None) -> None:
        self._driver: Final = driver
        self._timeout: Final = timeout
        self._answer: Final = _Answer(driver, request, timeout)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        deadline = moment_in(self._timeout)
        self._driver.check_owner()
        answer = self._answer
        call = answer.call or await self._ask(deadline)
        while not answer.parts:
            if answer.is_closed or call.is_done:
                self._driver.raise_error_of(call)
                raise StopAsyncIteration
            if not await answer.progress(call, deadline):
                raise self._late()
        part = answer.take()
        self._driver.consumed(part.memory_size)
        return part

    def close(self) -> None:
        """Stop waiting for parts; harmless when repeated."""
        self._answer.give_up()

    def __del__(self) -> None:
        # The last reference may be dropped, or the garbage be collected, in another thread.
        if self._answer.is_wanted():
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nothing comes
                self._driver.loop.call_soon_threadsafe(self._answer.give_up)

    async def _ask(self, deadline: float | None) -> Call:
        """Send the request, when there is room for it."""
        driver, answer = self._driver, self._answer
        if driver.connection.must_send_first and not await driver.room(deadline):
            raise self._late()
        if answer.is_closed:
            raise StopAsyncIteration
        driver.check_open()
        if answer.call is None:
            driver.turn_soon()
            answer.ask()
        assert answer.call is not None
        return answer.call

    def _late(self) -> RequestTimeoutError:
        self.close()
        return self._answer.late_error()


class _Answer(PartsOfAnswer):
    """The parts that have come, and the tasks that wait for more."""

    def __init__(self, driver: ClientDriver, request: Message, timeout: float | None) -> None:
        super().__init__(driver.connection, request, timeout)
        self._driver: Final = driver
        self._progress: Final = Waiters(driver.loop)

    async def progress(self, call: Call, deadline: float | None) -> bool:
        """Wait until a part is here or none will come; return whether that was in time."""
        self._driver.expect(call)
        try:
            return await self._progress.wait(deadline)
        finally:
            self._driver.connection.unread.expect_no_more(call)

    def note_progress(self) -> None:
        """Keep the parts that have come, and wake those who wait for them."""
        super().note_progress()
        self._progress.wake()

    def give_up(self) -> None:
        """Want no more of the answer."""
        self.is_closed = True
        if self.call is not None:
            self._driver.connection.conversation.abandon(self.call)
        self._driver.consumed(self.drop())
        self._progress.wake()
