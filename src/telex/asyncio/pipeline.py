"""The answers of ``request_many()``, as an asynchronous iterator: sends, and waits for the answers.

How many requests are under way, and until when each may be answered, is decided by
``telex.client.pipeline``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from telex.asyncio.waiting import Waiters, check_loop
from telex.uncopied import Uncopied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from telex.asyncio.client_driver import ClientDriver
    from telex.client.pipeline import Pipeline
    from telex.errors import TelexError
    from telex.wire.message import Message


class Answers(Uncopied):
    """The answers of many requests, in order; made by ``Connection.request_many()``.

    When a task is cancelled while it waits for an answer, or a timeout ends the wait, nothing is
    lost: the next ``anext()`` goes on with the next answer. A caller that needs no more answers
    drops the iterator or calls ``aclose()``: answers that arrive later are dropped. Several tasks
    may take answers; each answer goes to one of them.
    """

    def __init__(
        self,
        driver: ClientDriver,
        requests: Iterator[object] | AsyncGenerator[Message, None],
        pipeline: Pipeline,
    ) -> None:
        self._driver: Final = driver
        self._requests: Final = requests
        self._pipeline: Final = pipeline
        self._under_way: Final = pipeline.under_way
        self._half: Final = pipeline.half
        self._one_at_a_time: Final = asyncio.Lock()
        self._feed: _Feed | None = None
        if isinstance(requests, AsyncGenerator):
            self._feed = _Feed(driver, requests, pipeline)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | TelexError:
        under_way = self._under_way
        if len(under_way) > self._half and not self._driver.is_inherited:
            reply = under_way[0].reply
            if reply is not None:
                under_way.popleft()
                return reply
        self._driver.check_owner()
        check_loop(self._driver.loop, "connection")
        async with self._one_at_a_time:
            return await self._next_answer()

    async def aclose(self) -> None:
        """Stop waiting for answers, and end an asynchronous iterable; harmless when repeated."""
        _give_up(self._driver, self._pipeline, self._feed)
        if self._feed is not None and self._feed.task is not None:
            await asyncio.wait([self._feed.task])

    def __del__(self) -> None:
        # The last reference may be dropped, or the garbage be collected, in another thread.
        is_at_work = self._feed is not None and self._feed.task is not None
        if self._under_way or is_at_work or self._pipeline.is_watched:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nothing comes
                self._driver.loop.call_soon_threadsafe(
                    _give_up, self._driver, self._pipeline, self._feed
                )

    async def _next_answer(self) -> Message | TelexError:
        """Send more where it is time for that, and return what comes of the first request."""
        pipeline, driver, under_way = self._pipeline, self._driver, self._under_way
        while True:
            if self._feed is None:
                while pipeline.is_time_to_ask and not await self._comes_soon():
                    await self._ask()
            else:
                await self._feed.first_request()
            if not under_way:
                pipeline.release()
                pipeline.raise_failure()
                raise StopAsyncIteration
            call = under_way[0]
            if call.reply is None:
                is_late = not await driver.wait_for(call, pipeline.deadline, gives_up=False)
                if not under_way or under_way[0] is not call:
                    continue  # another task has taken the answer, or closed
                if is_late:
                    driver.connection.conversation.abandon(call)
            answer = pipeline.first_answer()
            under_way.popleft()
            if self._feed is not None:
                self._feed.make_room()
            return answer

    async def _comes_soon(self) -> bool:
        """Wait for the first answer where the source of the requests takes its time."""
        patience = self._pipeline.patience
        if not (patience and self._under_way):
            return False
        deadline = time.monotonic() + patience
        return await self._driver.wait_for(self._under_way[0], deadline, gives_up=False)

    async def _ask(self) -> None:
        """Send the next batch."""
        pipeline, driver = self._pipeline, self._driver
        assert not isinstance(self._requests, AsyncGenerator)
        try:
            await driver.ready_to_say()  # before anything is taken from them
            began = time.monotonic()
            batch = pipeline.next_batch(self._requests)
            now = time.monotonic()
            pipeline.ask(batch, now, now - began)
        except Exception as failure:  # noqa: BLE001 - raised when the others have their answers
            pipeline.fail(failure)


class _Feed:
    """Sends the requests of an asynchronous generator as they come, in a task of its own.

    So answers can be given while the next request is not there yet. The task also closes the
    generator: what it holds, such as a timeout, may be left only in the task that entered it.
    """

    def __init__(
        self, driver: ClientDriver, requests: AsyncGenerator[Message, None], pipeline: Pipeline
    ) -> None:
        self.task: asyncio.Task[None] | None = None
        self._driver: Final = driver
        self._requests: Final = requests
        self._pipeline: Final = pipeline
        self._room: Final = Waiters(driver.loop)
        self._changes: Final = Waiters(driver.loop)

    async def first_request(self) -> None:
        """Wait until a request is under way, or none will be."""
        if self.task is None:
            self.task = self._driver.loop.create_task(self._send_all())
        while self._pipeline.has_more and not self._pipeline.under_way:
            await self._changes.wait()

    def make_room(self) -> None:
        """Go on where enough answers have been given."""
        if len(self._pipeline.under_way) <= self._pipeline.half:
            self._room.wake()

    def end(self) -> None:
        """Take no more requests."""
        if self.task is not None:
            self.task.cancel()
        self._changes.wake()

    async def _send_all(self) -> None:
        pipeline, driver = self._pipeline, self._driver
        connection = driver.connection
        try:
            async with contextlib.aclosing(self._requests):
                await driver.ready_to_say()
                async for message in self._requests:
                    if not driver.is_turn_due:
                        driver.turn_soon()
                    pipeline.ask([message], time.monotonic())
                    if len(pipeline.under_way) == 1:
                        self._changes.wake()
                    if pipeline.is_full:
                        await self._room.wait()
                    if connection.must_send_first or not connection.is_open:
                        await driver.ready_to_say()
        except (Exception, asyncio.CancelledError) as failure:  # noqa: BLE001 - raised after answers
            if pipeline.has_more:
                pipeline.fail(failure)
        finally:
            pipeline.has_more = False
            self._changes.wake()


def _give_up(driver: ClientDriver, pipeline: Pipeline, feed: _Feed | None) -> None:
    """Want no more answers, and send no more requests."""
    for call in pipeline.give_up():
        if call.on_progress is not None:
            call.on_progress()  # a task waits for it
        driver.connection.conversation.abandon(call)
    pipeline.release()
    driver.consumed(0)
    if feed is not None:
        feed.end()
