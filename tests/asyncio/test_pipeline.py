"""Many requests of one task: answered in order, so many at a time, each on its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from telex import Application, ContentError, Message, RemoteError, RequestTimeoutError, TelexError
from telex.asyncio.pipeline import Answers
from telex.client.pipeline import Pipeline

from .stage import PATIENCE, echoing, in_loop, let_time_pass, serving, wait_until


async def contents_of(answers: AsyncIterator[Message | TelexError]) -> list[object]:
    """Return what the answers hold, and the types of errors in their places."""
    return [
        type(answer) if isinstance(answer, TelexError) else answer.content
        async for answer in answers
    ]


@in_loop
async def test_answers_come_in_the_order_of_the_requests() -> None:
    """Contents and messages, from iterables of either sort, however few are under way."""

    async def later() -> AsyncIterator[object]:
        for number in range(5):
            await asyncio.sleep(0)
            yield Message(number)

    async with serving() as stage, stage.connect() as connection:
        for most in (1, 2, 256):
            assert await contents_of(connection.request_many(range(500), most=most)) == list(
                range(500)
            )
        assert await contents_of(connection.request_many(later())) == list(range(5))
        assert await contents_of(connection.request_many([])) == []
        with pytest.raises(ValueError, match="most must be at least 1, not 0"):
            connection.request_many([], most=0)


@in_loop
async def test_nothing_is_kept_of_batches_that_are_over() -> None:
    """Not even where every answer is here before it is asked for, so that nothing is waited for."""
    async with serving() as stage, stage.connect() as connection:
        pipeline = Pipeline(connection._connection, PATIENCE, 8)
        answers = Answers(connection._driver, iter(range(2_000)), pipeline)
        under_way = pipeline.under_way
        for number in range(2_000):
            await wait_until(lambda: not under_way or under_way[-1].is_done, "all are answered")
            answer = await anext(answers)
            assert isinstance(answer, Message)
            assert answer.content == number
            assert len(pipeline._deadlines) <= 8
        await answers.aclose()


@in_loop
async def test_errors_are_given_in_the_place_of_answers() -> None:
    """A refusal, an answer in parts and one that is late cost the other requests nothing."""
    app = echoing()

    @app.on("parts")
    async def parts(message: Message) -> AsyncIterator[int]:
        yield 1
        yield 2

    @app.on("never", concurrent=True)
    async def never(message: Message) -> None:
        await asyncio.Event().wait()

    @app.on("fail")
    def fail(message: Message) -> None:
        raise ZeroDivisionError

    subjects = ("fail", "parts", "never", "fine")
    requests = [Message("x", subject=subject) for subject in subjects]
    async with serving(app) as stage, stage.connect() as connection:
        answers = connection.request_many(requests, timeout=PATIENCE)
        asking = asyncio.create_task(contents_of(answers))
        await wait_until(lambda: stage.events.messages[3:], "all are asked")
        await wait_until(lambda: connection._conversation.calls.count == 1, "one is not answered")
        let_time_pass()
        contents = await asking
    assert contents == [RemoteError, ContentError, RequestTimeoutError, "x"]


@in_loop
async def test_what_cannot_be_sent_is_raised_after_the_answers() -> None:
    """So is what the iterable raises; what was sent before has its answer."""

    def failing() -> Iterator[object]:
        yield 1
        raise ZeroDivisionError

    async with serving() as stage, stage.connect() as connection:
        for requests, failure in (([1, object(), 2], ContentError), (failing(), ZeroDivisionError)):
            answers = connection.request_many(requests)
            async with asyncio.timeout(PATIENCE):
                answer = await anext(answers)
                assert isinstance(answer, Message)
                assert answer.content == 1
                with pytest.raises(failure):
                    await anext(answers)


@in_loop
async def test_a_cancelled_task_leaves_no_request_behind() -> None:
    """What was under way is forgotten, and the connection goes on."""
    app = echoing()

    @app.on("never", concurrent=True)
    async def never(message: Message) -> None:
        await asyncio.Event().wait()

    requests = [Message("x", subject="never") for _ in range(10)]
    async with serving(app) as stage, stage.connect() as connection:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await contents_of(connection.request_many(requests))
        await wait_until(lambda: connection._conversation.calls.count == 0, "all are given up")
        assert (await connection.request("y")).content == "y"


@in_loop
async def test_a_wait_that_timed_out_loses_no_answer() -> None:
    """The next ``anext`` goes on with the next answer, whatever ended the wait before."""
    app = Application()

    @app.on(concurrent=True)
    async def late(message: Message) -> object:
        await asyncio.sleep(0.01)
        return message.content

    async def later() -> AsyncIterator[object]:
        for number in range(6):
            await asyncio.sleep(0.005)
            yield number

    async with serving(app) as stage, stage.connect() as connection:
        for requests in (range(6), iter(range(6)), later()):
            answers = connection.request_many(requests, most=2)
            contents: list[object] = []
            timeouts = 0
            while len(contents) < 6:
                try:
                    async with asyncio.timeout(0.002):
                        contents.append((await anext(answers)).content)
                except TimeoutError:
                    timeouts += 1
            assert contents == list(range(6))
            assert timeouts
            with pytest.raises(StopAsyncIteration):
                await anext(answers)


@in_loop
async def test_answers_come_while_an_asynchronous_source_is_at_work() -> None:
    """The source may even wait for the answer to its last request."""
    given = asyncio.Queue[object]()

    async def source() -> AsyncIterator[object]:
        for number in range(5):
            yield number
            assert await given.get() == number

    async with serving() as stage, stage.connect() as connection:
        async for answer in connection.request_many(source()):
            given.put_nowait(answer.content)
        assert given.empty()


@in_loop
async def test_closing_ends_an_asynchronous_source_and_whoever_waits() -> None:
    """No request follows, no answer is waited for, and a task that waits is told at once."""
    has_ended = asyncio.Event()
    app = echoing()

    @app.on("never", concurrent=True)
    async def never(message: Message) -> None:
        await asyncio.Event().wait()

    async def source() -> AsyncIterator[object]:
        try:
            yield Message("x", subject="never")
            await asyncio.Event().wait()
        finally:
            has_ended.set()

    async with serving(app) as stage, stage.connect() as connection:
        answers = connection.request_many(source())
        waiting = asyncio.create_task(anext(answers, None))
        await wait_until(lambda: stage.events.messages, "the request arrives")
        await answers.aclose()
        assert has_ended.is_set()
        assert await waiting is None
        assert connection._conversation.calls.count == 0
        assert await anext(answers, None) is None


@in_loop
async def test_closing_ends_an_asynchronous_source_that_waits_for_room() -> None:
    """It ends in its own task, as what it has entered may demand, such as a timeout."""
    tasks: list[object] = []

    async def source() -> AsyncIterator[object]:
        tasks.append(asyncio.current_task())
        try:
            while True:
                yield "x"
        finally:
            tasks.append(asyncio.current_task())

    async with serving() as stage, stage.connect() as connection:
        answers = connection.request_many(source(), most=4)
        await anext(answers)
        assert answers._feed is not None
        room = answers._feed._room
        await wait_until(lambda: room._futures, "the source waits for room")
        await answers.aclose()
        assert len(tasks) == 2
        assert tasks[0] is tasks[1]


@in_loop
async def test_an_asynchronous_source_that_fails_is_told_behind_the_answers() -> None:
    """Also where it is cancelled by something of its own."""

    def failing(error: BaseException) -> AsyncIterator[object]:
        async def source() -> AsyncIterator[object]:
            yield 1
            raise error

        return source()

    async with serving() as stage, stage.connect() as connection:
        for error in (ZeroDivisionError(), asyncio.CancelledError()):
            answers = connection.request_many(failing(error))
            assert (await anext(answers)).content == 1
            with pytest.raises(type(error)):
                await anext(answers)


@in_loop
async def test_each_answer_goes_to_one_of_several_tasks() -> None:
    """Tasks may share the answers of an iterator."""
    async with serving() as stage, stage.connect() as connection:
        answers = connection.request_many(range(100), most=4)
        rows = await asyncio.gather(*(contents_of(answers) for _ in range(3)))
    assert {number for row in rows for number in row} == set(range(100))
    assert sum(map(len, rows)) == 100
