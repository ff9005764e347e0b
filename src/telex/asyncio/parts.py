"""The parts of one answer, as an asynchronous iterator that a cancelled task can come back to.

What a part is, and when there are no more, is the conversation's to decide.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

from telex.application.session import about
from telex.asyncio.waiting import Waiters, moment_in
from telex.errors import RequestTimeoutError

if TYPE_CHECKING:
    from typing import Self

    from telex.asyncio.link import Link
    from telex.conversation.conversation import Call
    from telex.wire.message import Message


class Parts:
    """The parts of the answer to a request; made by ``Connection.request_parts()``.

    Several tasks may take parts; each part goes to one of them. Whoever loses interest lets go of
    it, or calls ``close()``: parts that still come are dropped.
    """

    def __init__(self, link: Link, request: Message, timeout: float | None) -> None:
        self._link: Final = link
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
                self._link.raise_error_of(answer.call)
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
        # Whoever lets go of it last, or collects the garbage, may do so in another thread.
        answer = self._answer
        if answer is not None and (answer.parts or not answer.call.is_done):
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nothing comes
                self._link.loop.call_soon_threadsafe(answer.give_up)

    async def _ask(self, deadline: float | None) -> _Answer:
        """Send the request, when there is room for it."""
        link = self._link
        if link.must_wait and not await link.room(deadline):
            raise self._late()
        if self._is_closed:
            raise StopAsyncIteration
        link.check_open()
        if self._answer is None:
            self._answer = _Answer(link, link.conversation.request(self._request))
            link.channel.flush_soon()
        return self._answer

    def _late(self) -> RequestTimeoutError:
        self.close()
        which = "the next part of the answer" if self._has_begun else "the answer"
        return RequestTimeoutError(f"{which} to {about(self._request)}", self._timeout or 0.0)


class _Answer:
    """The parts that have come, apart from whoever takes them: that one may go away."""

    def __init__(self, link: Link, call: Call) -> None:
        self.call: Final = call
        self.parts: deque[Message] = deque()
        self._link: Final = link
        self._progress: Final = Waiters(link.loop)
        call.on_progress = self._note_progress

    async def progress(self, deadline: float | None) -> bool:
        """Wait until a part is here or none will come; return whether that was in time."""
        self._link.expect(self.call)
        try:
            return await self._progress.wait(deadline)
        finally:
            self._link.expect_no_more(self.call)

    def take(self) -> Message:
        """Take the next part."""
        part = self.parts.popleft()
        self._link.hold_parts(-part.memory_size)
        return part

    def give_up(self) -> None:
        """Want no more of it."""
        self._link.conversation.abandon(self.call)
        self._link.hold_parts(-sum(part.memory_size for part in self.parts))
        self.parts.clear()
        self._progress.wake()

    def _note_progress(self) -> None:
        new = self.call.take_parts()
        self.parts.extend(new)
        self._link.hold_parts(sum(part.memory_size for part in new))
        self._progress.wake()
