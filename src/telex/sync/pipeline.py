"""``request_many()`` for one thread: sends, and waits for the answers.

How many requests are under way, and until when each may be answered, is decided by
``telex.client.pipeline``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from telex.errors import ConnectionClosedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.client.pipeline import Pipeline
    from telex.errors import TelexError
    from telex.sync.shared_connection import SharedConnection
    from telex.wire.message import Message


def answers_to(
    requests: Iterator[object], driver: SharedConnection, pipeline: Pipeline
) -> Iterator[Message | TelexError]:
    """Send requests and give their answers; see ``Connection.request_many``."""
    under_way = pipeline.under_way
    try:
        while True:
            if pipeline.is_time_to_ask:
                _ask_more(requests, driver, pipeline)
            if not under_way:
                break
            yield _first_answer(driver, pipeline)
            yield from pipeline.ready_replies()
    finally:
        for call in under_way:
            if not call.is_done:
                driver.abandon(call)
    pipeline.raise_failure()


def _ask_more(requests: Iterator[object], driver: SharedConnection, pipeline: Pipeline) -> None:
    """Send as many requests as may wait."""
    try:
        while pipeline.room > 0:
            driver.check_open()  # before anything is taken from them
            batch = pipeline.next_batch(requests)
            driver.gather(pipeline.ask, batch, time.monotonic())
            driver.flush()
    except Exception as failure:  # noqa: BLE001 - raised when the others have their answers
        pipeline.fail(failure)


def _first_answer(driver: SharedConnection, pipeline: Pipeline) -> Message | TelexError:
    """Return what comes of the first request under way."""
    call = pipeline.under_way[0]
    if call.reply is None:
        try:
            driver.wait_for(call, pipeline.deadline)
        except ConnectionClosedError as error:
            pipeline.under_way.popleft()
            return error.with_traceback(None)
    return pipeline.take_answer()
