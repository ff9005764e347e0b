"""Many requests under way at once: which are sent when, and until when each answer may come.

The rules of ``request_many()`` on every front-end. How somebody waits, and how bytes move, is the
front-end's: it takes a batch, asks with it, sends, waits for the first answer, and gives that.
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


FIRST_PATIENCE: Final = 0.01
"""Seconds that the first answer is waited for before a source, which may be slow, is used again."""

SLOW_SECONDS: Final = 0.005
"""Seconds that a batch may take to come from its source before smaller batches are better."""


class Pipeline:
    """The requests of one ``request_many()`` that are under way, ``most`` of them at a time.

    An answer may take ``timeout`` seconds from the moment its batch was asked with. Moments are
    those of the connection's clock. Where the requests are not ``at_hand``, as those in a list are,
    their source may be slow: while it is used, nobody gets the answers that have come.
    """

    def __init__(
        self, connection: Connection, timeout: float | None, most: int, *, at_hand: bool = True
    ) -> None:
        if most < 1:
            raise ValueError(f"most must be at least 1, not {most}")
        self.under_way: Final[deque[Call]] = deque()
        """The calls whose answers were not taken, in the order of their requests."""
        self.has_more: bool = True
        """Whether there may be more requests to send."""
        self.failure: BaseException | None = None
        """What kept the rest from being sent: to be raised when all others have their answers."""
        self.patience: float = 0.0 if at_hand else FIRST_PATIENCE
        """Seconds to wait for the first answer before the source is used again."""
        self._connection: Final = connection
        self._timeout: Final = timeout_of(timeout)
        self._most: Final = most
        self.half: Final = most // 2
        """How many requests are under way at least while there are more."""
        self._at_hand: Final = at_hand
        self._largest_batch = most if at_hand else 1
        self._is_first_batch = True
        # What was taken from the source and not asked: something may interrupt the source.
        self._batch: list[Message] = []
        # Of each batch under way the id of its last call, and until when its answers may come.
        self._deadlines: Final[deque[tuple[int, float | None]]] = deque()

    # Sending

    @property
    def is_time_to_ask(self) -> bool:
        """Whether to send more requests before the next answer is given.

        Half of them are sent while the other half is answered, so that nobody idles. Where the
        source takes its time, answers that are here are given first.
        """
        if not self.has_more:
            return False
        under_way = self.under_way
        count = len(under_way)
        if not count:
            return True
        if count <= self.half and not self.patience:
            return True
        return not self.is_full and not has_come(under_way[0])

    @property
    def is_full(self) -> bool:
        """Whether as many requests are under way as may be."""
        return len(self.under_way) >= self._most

    def next_batch(self, requests: Iterator[object]) -> list[Message]:
        """Take as many requests as may be sent together; there must be room for them.

        Where the iterator raises, or something cannot be sent, that becomes the ``failure``, and
        what came before it is returned. What is no error, such as Ctrl-C, is raised; then the next
        call returns what was taken before.
        """
        batch = self._batch
        room = min(self._most - len(self.under_way), self._largest_batch)
        try:
            row = islice(requests, max(0, room - len(batch)))
            is_full = self._connection.conversation.fill(batch, row, as_requests=True)
            self.has_more = is_full or len(batch) >= room
        except Exception as failure:  # noqa: BLE001 - raised when the others have their answers
            self.fail(failure)
        return batch

    def ask(self, batch: list[Message], now: float, took: float = 0.0) -> None:
        """Have the conversation ask with these messages; the bytes are to be sent afterwards.

        ``took`` is how many seconds the source needed for them. Raises ConnectionClosedError,
        ContentError and TooLargeError; those before it are asked.
        """
        calls: list[Call] = []
        try:
            self._connection.conversation.request_many(batch, calls)
        finally:
            self._batch = []
            if calls:
                self.under_way.extend(calls)
                until = None if self._timeout is None else now + self._timeout
                self._deadlines.append((calls[-1].id, until))
                self._forget_past_deadlines()
        if not self._at_hand:
            self._adapt_to_source(len(batch), took)

    def _adapt_to_source(self, count: int, took: float) -> None:
        """Choose the size of the next batch, and for how long to look for answers before it.

        Waiting for as long as the source takes makes nothing more than twice as slow.
        """
        if took > SLOW_SECONDS:
            self.patience = took
            self._largest_batch = max(1, int(count * SLOW_SECONDS / took))
        elif not self._is_first_batch:  # of which the first item may be there at once
            self.patience = 0.0
            self._largest_batch = min(2 * self._largest_batch, self._most)
        self._is_first_batch = False

    def fail(self, failure: BaseException) -> None:
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

    def first_answer(self) -> Message | TelexError:
        """Return the answer of the first call, which was waited for, or what went wrong instead.

        The call stays under way: whoever gives the answer takes the call away. Whoever waited has
        the conversation abandon a call that is not done.
        """
        call = self.under_way[0]
        if call.reply is not None:
            return call.reply
        if not has_come(call):
            return late_error(call.subject, self._timeout)
        try:
            return answer_of(call, self._connection)
        except TelexError as error:
            return error.with_traceback(None)

    def give_up(self) -> list[Call]:
        """Want no more answers; return the calls for the conversation to abandon."""
        calls = [call for call in self.under_way if not call.is_done]
        self.under_way.clear()
        self.has_more = False
        self.failure = None
        return calls

    def _forget_past_deadlines(self) -> None:
        first, deadlines = self.under_way[0].id, self._deadlines
        while deadlines[0][0] < first:
            deadlines.popleft()


def has_come(call: Call) -> bool:
    """Say whether something of an answer is here, or none will come."""
    return call.is_done or call.is_in_parts


def is_at_hand(requests: object) -> bool:
    """Say whether an iterable gives its items without working for them."""
    return isinstance(requests, (list, tuple, range, set, frozenset))
