"""Many requests of one task: answered in order, so many at a time, each on its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from telex import ContentError, Message, RemoteError, RequestTimeoutError, TelexError
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
