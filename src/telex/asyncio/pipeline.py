"""Many requests under way at once, for one task: only the waiting, see ``client.pipeline``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from telex.asyncio.client_driver import ClientDriver
    from telex.client.pipeline import Pipeline
    from telex.errors import TelexError
    from telex.wire.message import Message


async def answers_of(
    pipeline: Pipeline, requests: Iterator[object] | AsyncIterator[Message], driver: ClientDriver
) -> AsyncGenerator[Message | TelexError, None]:
    """Send requests and give their answers; see ``Connection.request_many``."""
    under_way = pipeline.under_way
    try:
        while True:
            if pipeline.is_time_to_ask:
                await _ask_more(pipeline, requests, driver)
            if not under_way:
                break
            first = under_way[0]
            if first.reply is None:
                await driver.wait_for(first, pipeline.deadline)
            yield pipeline.take_answer()
            for reply in pipeline.ready_replies():
                yield reply
    finally:
        for call in under_way:
            driver.connection.conversation.abandon(call)
    pipeline.raise_failure()


async def _ask_more(
    pipeline: Pipeline, requests: Iterator[object] | AsyncIterator[Message], driver: ClientDriver
) -> None:
    """Send as many requests as may wait; what goes wrong is raised after all answers."""
    try:
        while pipeline.room > 0:
            if driver.connection.must_send_first:
                await driver.room()
            driver.check_open()
            if isinstance(requests, AsyncIterator):
                batch = await _next_one(pipeline, requests)
            else:
                batch = pipeline.next_batch(requests)
            try:
                pipeline.ask(batch, driver.loop.time())
            finally:
                driver.turn_soon()
    except Exception as failure:  # noqa: BLE001 - raised when the others have their answers
        pipeline.fail(failure)


async def _next_one(pipeline: Pipeline, requests: AsyncIterator[Message]) -> list[Message]:
    """Take the next request, unless there is none."""
    message = await anext(requests, None)
    if message is None:
        pipeline.has_more = False
        return []
    return [message]
