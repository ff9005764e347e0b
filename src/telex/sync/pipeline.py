"""Many requests under way at once, for one thread, and their answers in the order of the requests.

Requests are sent as answers come, many with each system call, and only so many wait at a time. What
goes wrong with one of them is given in the place of its answer, and costs the others nothing.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from telex.errors import TelexError
from telex.sync.answers import answer_to
from telex.sync.deadlines import moment_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from telex.conversation.conversation import Call
    from telex.sync.link import Link
    from telex.wire.message import Message


class Pipeline:
    """The requests of one call of ``Connection.request_many()``."""

    def __init__(
        self, link: Link, requests: Iterable[object], timeout: float | None, most: int
    ) -> None:
        self._link: Final = link
        self._requests: Final = iter(requests)
        self._timeout: Final = timeout
        self._most: Final = most
        self._under_way: Final[deque[Call]] = deque()
        # Of each batch under way the id of its last call, and until when its answers may come.
        self._deadlines: Final[deque[tuple[int, float | None]]] = deque()
        self._has_more = True
        self._failure: Exception | None = None

    def answers(self) -> Iterator[Message | TelexError]:
        """Send requests and give their answers; see ``Connection.request_many``."""
        under_way = self._under_way
        fewest = self._most // 2
        try:
            while self._ask_more():
                yield under_way[0].reply or self._answer_to(under_way[0])
                under_way.popleft()
                while len(under_way) > fewest and (reply := under_way[0].reply) is not None:
                    yield reply
                    under_way.popleft()
        finally:
            for call in under_way:
                if not call.is_done:
                    self._link.abandon(call)
        if self._failure is not None:
            raise self._failure

    def _ask_more(self) -> bool:
        """Send requests if it is time to; return whether an answer is still to be given.

        Half of the requests are sent while the other half is answered, so that nobody idles.
        """
        under_way = self._under_way
        if self._has_more and (len(under_way) <= self._most // 2 or not under_way[0].is_done):
            try:
                self._fill()
            except Exception as failure:  # noqa: BLE001 - raised when the others have their answers
                self._failure = failure
                self._has_more = False
        return bool(under_way)

    def _fill(self) -> None:
        """Send as many requests as may wait."""
        conversation = self._link.conversation
        while self._has_more and (room := self._most - len(self._under_way)) > 0:
            batch: list[Message] = []
            try:
                row = islice(self._requests, room)
                is_full = conversation.fill(batch, row, as_requests=True)
            except Exception:
                self._ask(batch)
                raise
            self._has_more = is_full or len(batch) == room
            self._ask(batch)

    def _ask(self, batch: list[Message]) -> None:
        """Send requests together."""
        calls: list[Call] = []
        try:
            self._link.gather(self._link.conversation.request_many, batch, calls)
        finally:
            if calls:
                self._under_way.extend(calls)
                self._deadlines.append((calls[-1].id, moment_in(self._timeout)))
                self._deadline_of(self._under_way[0])  # forgets those that are over
        if calls:
            self._link.flush()

    def _answer_to(self, call: Call) -> Message | TelexError:
        try:
            return answer_to(call, self._link, self._timeout, self._deadline_of(call))
        except TelexError as error:
            return error.with_traceback(None)

    def _deadline_of(self, call: Call) -> float | None:
        """Return until when the first call under way is waited for; forget what is over."""
        deadlines = self._deadlines
        while deadlines[0][0] < call.id:
            deadlines.popleft()
        return deadlines[0][1]
