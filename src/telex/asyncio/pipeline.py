"""Many requests under way at once, for one task, and their answers in the order of the requests.

What goes wrong with one of them is given in the place of its answer, and costs the others nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from telex.asyncio.answers import answer_of, late, progress_of
from telex.asyncio.waiting import moment_in
from telex.errors import TelexError
from telex.wire.factory import message_from

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from telex.asyncio.link import Link
    from telex.conversation.conversation import Call
    from telex.wire.message import Message

_END: Final = object()


class Pipeline:
    """The requests of one call of ``Connection.request_many()``."""

    def __init__(
        self,
        link: Link,
        requests: Iterable[object] | AsyncIterable[object],
        timeout: float | None,
        most: int,
    ) -> None:
        self._link: Final = link
        self._is_async: Final = isinstance(requests, AsyncIterable)
        self._requests: Final[Any] = (
            aiter(requests) if isinstance(requests, AsyncIterable) else iter(requests)
        )
        self._timeout: Final = timeout
        self._most: Final = most
        self._under_way: Final[deque[Call]] = deque()
        # Of each batch under way the id of its last call, and until when its answers may come.
        self._deadlines: Final[deque[tuple[int, float | None]]] = deque()
        self._has_more = True
        self._failure: Exception | None = None

    async def answers(self) -> AsyncGenerator[Message | TelexError, None]:
        """Send requests and give their answers; see ``Connection.request_many``."""
        link, under_way = self._link, self._under_way
        fewest = self._most // 2
        try:
            while True:
                if self._is_time_to_ask():
                    await self._ask_more()
                if not under_way:
                    break
                yield under_way[0].reply or await self._answer_to(under_way[0])
                under_way.popleft()
                while len(under_way) > fewest and (reply := under_way[0].reply) is not None:
                    yield reply
                    under_way.popleft()
        finally:
            for call in under_way:
                link.conversation.abandon(call)
        if self._failure is not None:
            raise self._failure

    def _is_time_to_ask(self) -> bool:
        """Say whether to send more requests.

        Half of them are sent while the other half is answered, so that nobody idles.
        """
        under_way = self._under_way
        return self._has_more and (len(under_way) <= self._most // 2 or not under_way[0].is_done)

    async def _ask_more(self) -> None:
        """Send as many requests as may wait."""
        link = self._link
        try:
            while self._has_more and (room := self._most - len(self._under_way)) > 0:
                if link.must_wait:
                    await link.room()
                link.check_open()
                batch: list[Message] = []
                try:
                    if self._is_async:
                        await self._take_next(batch)
                    else:
                        row = islice(self._requests, room)
                        is_full = link.conversation.fill(batch, row, as_requests=True)
                        self._has_more = is_full or len(batch) == room
                except Exception:
                    self._ask(batch)
                    raise
                self._ask(batch)
        except Exception as failure:  # noqa: BLE001 - raised when the others have their answers
            self._failure = failure
            self._has_more = False

    async def _take_next(self, batch: list[Message]) -> None:
        """Put the next request into an empty batch, unless there is none."""
        item = await anext(self._requests, _END)
        if item is _END:
            self._has_more = False
        else:
            batch.append(message_from(item, {}))

    def _ask(self, batch: list[Message]) -> None:
        """Send requests together."""
        calls: list[Call] = []
        try:
            self._link.conversation.request_many(batch, calls)
        finally:
            if calls:
                self._under_way.extend(calls)
                self._deadlines.append((calls[-1].id, moment_in(self._timeout)))
                self._deadline_of(self._under_way[0])  # forgets those that are over
            self._link.channel.flush_soon()

    async def _answer_to(self, call: Call) -> Message | TelexError:
        """Wait for an answer; return it, or what went wrong instead."""
        if not await progress_of(call, self._link, self._deadline_of(call)):
            return late(call.subject, self._timeout)
        try:
            return answer_of(call, self._link)
        except TelexError as error:
            return error.with_traceback(None)

    def _deadline_of(self, call: Call) -> float | None:
        """Return until when the first call under way is waited for; forget what is over."""
        deadlines = self._deadlines
        while deadlines[0][0] < call.id:
            deadlines.popleft()
        return deadlines[0][1]
