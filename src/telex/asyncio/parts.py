"""The parts of one answer, as an asynchronous iterator that a cancelled task can come back to.

What a part is, and when there are no more, is the conversation's to decide.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

from telex.asyncio.answers import raise_error_of
from telex.asyncio.waiting import Waiters, moment_in
from telex.client.answers import late_part_error

if TYPE_CHECKING:
    from typing import Self

    from telex.asyncio.client_driver import ClientDriver
    from telex.conversation.calls import Call
    from telex.errors import RequestTimeoutError
    from telex.wire.message import Message


class Parts:
    """The parts of an answer, as an iterator; made by ``Connection.request_parts()``.

    Several tasks may take parts; each part goes to one of them. A caller that needs no more parts
    drops the iterator or calls ``close()``: parts that arrive later are dropped.
    """

    def __init__(self, driver: ClientDriver, request: Message, timeout: float | None) -> None:
        self._driver: Final = driver
        self._request: Final = request
        self._timeout: Final = timeout
        self._answer: _Answer | None = None
        self._has_begun = False
        self._is_closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        deadline = moment_in(self._timeout)
        answer = self._answer
        if answer is None:
            answer = await self._ask(deadline)
        while not answer.parts:
            if self._is_closed or answer.call.is_done:
                raise_error_of(answer.call, self._driver)
                raise StopAsyncIteration
            if not await answer.progress(deadline):
                raise self._late()
        self._has_begun = True
        return answer.take()

    def close(self) -> None:
        """Stop waiting for parts; harmless when repeated."""
        self._is_closed = True
        if self._answer is not None:
            self._answer.give_up()

    def __del__(self) -> None:
        # The last reference may be dropped, or the garbage be collected, in another thread.
        answer = self._answer
        if answer is not None and (answer.parts or not answer.call.is_done):
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nothing comes
                self._driver.loop.call_soon_threadsafe(answer.give_up)

    async def _ask(self, deadline: float | None) -> _Answer:
        """Send the request, when there is room for it."""
        driver = self._driver
        if driver.must_wait and not await driver.room(deadline):
            raise self._late()
        if self._is_closed:
            raise StopAsyncIteration
        driver.check_open()
        if self._answer is None:
            call = driver.connection.conversation.request(self._request)
            self._answer = _Answer(driver, call)
            driver.turn_soon()
        return self._answer

    def _late(self) -> RequestTimeoutError:
        self.close()
        return late_part_error(self._request.subject, self._timeout, has_begun=self._has_begun)


class _Answer:
    """The parts that have come, apart from the iterator, which may be dropped."""

    def __init__(self, driver: ClientDriver, call: Call) -> None:
        self.call: Final = call
        self.parts: deque[Message] = deque()
        self._driver: Final = driver
        self._progress: Final = Waiters(driver.loop)
        call.on_progress = self._note_progress

    async def progress(self, deadline: float | None) -> bool:
        """Wait until a part is here or none will come; return whether that was in time."""
        self._driver.expect(self.call)
        try:
            return await self._progress.wait(deadline)
        finally:
            self._driver.connection.unread.expect_no_more(self.call)

    def take(self) -> Message:
        """Take the next part."""
        part = self.parts.popleft()
        self._driver.consumed(part.memory_size)
        return part

    def give_up(self) -> None:
        """Want no more of the answer."""
        self._driver.connection.conversation.abandon(self.call)
        self._driver.consumed(sum(part.memory_size for part in self.parts))
        self.parts.clear()
        self._progress.wake()

    def _note_progress(self) -> None:
        new = self.call.take_parts()
        self.parts.extend(new)
        self._driver.connection.unread.hold(sum(part.memory_size for part in new))
        self._progress.wake()
