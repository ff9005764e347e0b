"""Many requests under way at once: which are sent when, and until when each answer may come.

The rules of ``request_many()`` on every front-end. How somebody waits, and how bytes move, is the
front-end's: it takes a batch, asks with it, sends, waits for the first answer, and takes that.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from telex.client.answers import answer_of, late_error
from telex.errors import TelexError
from telex.seconds import timeout_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.connection.connection import Connection
    from telex.conversation.calls import Call
    from telex.wire.message import Message


class Pipeline:
    """The requests of one ``request_many()`` that are under way, ``most`` of them at a time.

    An answer may take ``timeout`` seconds from the moment its batch was asked with. Moments are
    those of the connection's clock.
    """

    def __init__(self, connection: Connection, timeout: float | None, most: int) -> None:
        if most < 1:
            raise ValueError(f"most must be at least 1, not {most}")
        self.under_way: Final[deque[Call]] = deque()
        """The calls whose answers were not taken, in the order of their requests."""
        self.has_more: bool = True
        """Whether there may be more requests to send."""
        self.failure: Exception | None = None
        """What kept the rest from being sent: to be raised when all others have their answers."""
        self._connection: Final = connection
        self._timeout: Final = timeout_of(timeout)
        self._most: Final = most
        self._half: Final = most // 2
        # Of each batch under way the id of its last call, and until when its answers may come.
        self._deadlines: Final[deque[tuple[int, float | None]]] = deque()

    # Sending

    @property
    def is_time_to_ask(self) -> bool:
        """Whether to send more requests before the next answer is taken.

        Half of them are sent while the other half is answered, so that nobody idles.
        """
        under_way = self.under_way
        return self.has_more and (len(under_way) <= self._half or not under_way[0].is_done)

    @property
    def room(self) -> int:
        """How many requests may be sent now; 0 when there are no more."""
        return self._most - len(self.under_way) if self.has_more else 0

    def next_batch(self, requests: Iterator[object]) -> list[Message]:
        """Take as many requests as may be sent together; there is ``room`` for them.

        Where the iterator raises, or something cannot be sent, that becomes the ``failure``, and
        what came before it is returned.
        """
        batch: list[Message] = []
        room = self.room
        try:
            row = islice(requests, room)
            is_full = self._connection.conversation.fill(batch, row, as_requests=True)
            self.has_more = is_full or len(batch) == room
        except Exception as failure:  # noqa: BLE001 - raised when the others have their answers
            self.fail(failure)
        return batch

    def ask(self, batch: list[Message], now: float) -> None:
        """Have the conversation ask with these messages; the bytes are to be sent afterwards.

        Raises ConnectionClosedError, ContentError and TooLargeError; those before it are asked.
        """
        calls: list[Call] = []
        try:
            self._connection.conversation.request_many(batch, calls)
        finally:
            if calls:
                self.under_way.extend(calls)
                until = None if self._timeout is None else now + self._timeout
                self._deadlines.append((calls[-1].id, until))
                self._forget_past_deadlines()

    def fail(self, failure: Exception) -> None:
        """Send no more requests, for this reason."""
        self.failure = failure
        self.has_more = False

    def raise_failure(self) -> None:
        """Raise what kept the rest from being sent, if anything did, and keep it no longer."""
        failure, self.failure = self.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # a frame that refers to its own error would stay alive

    # Answers

    @property
    def deadline(self) -> float | None:
        """Until when the answer of the first call may come; None where it may take for ever."""
        self._forget_past_deadlines()
        return self._deadlines[0][1]

    def take_answer(self) -> Message | TelexError:
        """Take the answer of the first call, which was waited for, or what went wrong instead.

        Whoever waited has the conversation abandon a call that is not done.
        """
        call = self.under_way.popleft()
        if call.reply is not None:
            return call.reply
        if not (call.is_done or call.is_in_parts):
            return late_error(call.subject, self._timeout)
        try:
            return answer_of(call, self._connection)
        except TelexError as error:
            return error.with_traceback(None)

    def ready_replies(self) -> Iterator[Message]:
        """Take the next replies that are here, until it is time to look for more requests."""
        under_way, half = self.under_way, self._half
        while len(under_way) > half and (reply := under_way[0].reply) is not None:
            under_way.popleft()
            yield reply

    def _forget_past_deadlines(self) -> None:
        first, deadlines = self.under_way[0].id, self._deadlines
        while deadlines[0][0] < first:
            deadlines.popleft()
