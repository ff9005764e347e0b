"""The answers of ``request_many()``, as an iterator: sends, and waits for the answers.

How many requests are under way, and until when each may be answered, is decided by
``telex.client.pipeline``.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from telex.client.pipeline import has_come
from telex.errors import ConnectionClosedError
from telex.uncopied import Uncopied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from telex.client.pipeline import Pipeline
    from telex.conversation.calls import Call
    from telex.errors import TelexError
    from telex.sync.shared_connection import SharedConnection
    from telex.wire.message import Message


class Answers(Uncopied):
    """The answers of many requests, in order; made by ``Connection.request_many()``.

    If an exception of a signal handler, such as Ctrl-C, interrupts the iteration, the next call
    goes on with the next answer. A caller that needs no more answers drops the iterator or calls
    ``close()``: answers that arrive later are dropped. It is for one thread at a time.
    """

    def __init__(
        self, driver: SharedConnection, requests: Iterator[object], pipeline: Pipeline
    ) -> None:
        self._driver: Final = driver
        self._requests: Final = requests
        self._pipeline: Final = pipeline
        self._under_way: Final = pipeline.under_way
        self._half: Final = pipeline.half
        self._in_use: Final = threading.Lock()
        # The first call goes when the next answer is wanted: until an answer is returned, Ctrl-C
        # may keep it from the caller.
        self._is_first_given = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message | TelexError:
        under_way = self._under_way
        if self._is_first_given:
            self._is_first_given = False
            under_way.popleft()
        if len(under_way) > self._half and not self._driver.is_gone:
            reply = under_way[0].reply
            if reply is not None:
                self._is_first_given = True
                return reply
        if not self._in_use.acquire(blocking=False):
            raise RuntimeError("another thread waits for an answer of the same request_many()")
        try:
            answer = self._next_answer()
        finally:
            self._in_use.release()
        self._is_first_given = True
        return answer

    def close(self) -> None:
        """Stop waiting for answers; harmless when repeated."""
        self._is_first_given = False
        self._driver.give_up_many(self._pipeline, self._pipeline.give_up())

    def __del__(self) -> None:
        # Whoever collects the garbage may be in the midst of the driver's work, or of another's.
        calls = self._pipeline.give_up()
        if calls or self._pipeline.is_watched:
            self._driver.do_later(partial(self._driver.give_up_many, self._pipeline, calls))

    def _next_answer(self) -> Message | TelexError:
        """Send more where it is time for that, and return what comes of the first request."""
        pipeline, driver = self._pipeline, self._driver
        driver.check_owner()
        while pipeline.is_time_to_ask and not self._comes_soon():
            self._ask()
        if not self._under_way:
            driver.give_up_many(pipeline, ())
            pipeline.raise_failure()
            raise StopIteration
        call = self._under_way[0]
        if call.reply is None and not self._wait_for(call, pipeline.deadline):
            try:
                driver.check_usable()
            except ConnectionClosedError as error:
                return error.with_traceback(None)
        if not call.is_done:
            driver.abandon(call)
        return pipeline.first_answer()

    def _comes_soon(self) -> bool:
        """Wait for the first answer where the source of the requests takes its time."""
        patience = self._pipeline.patience
        if not (patience and self._under_way):
            return False
        return self._wait_for(self._under_way[0], time.monotonic() + patience)

    def _wait_for(self, call: Call, deadline: float | None) -> bool:
        return self._driver.wait(partial(has_come, call), deadline, call)

    def _ask(self) -> None:
        """Send the next batch."""
        pipeline, driver = self._pipeline, self._driver
        try:
            driver.check_open()  # before anything is taken from them
            began = time.monotonic()
            batch = pipeline.next_batch(self._requests)
            now = time.monotonic()
            driver.gather(pipeline.ask, batch, now, now - began)
            driver.flush()
        except Exception as failure:  # noqa: BLE001 - raised when the others have their answers
            pipeline.fail(failure)
