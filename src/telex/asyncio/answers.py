"""Waits for the answer to a request, and gives the request up where the wait ends early."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from telex.asyncio.waiting import until, wake
from telex.client import answers

if TYPE_CHECKING:
    from telex.asyncio.client_driver import ClientDriver
    from telex.conversation.calls import Call
    from telex.wire.message import Message


async def progress_of(call: Call, driver: ClientDriver, deadline: float | None) -> bool:
    """Wait until something of an answer is here; abandon the call if that is not all of it.

    Returns whether it came before ``deadline``, a time of the loop.
    """
    if call.is_done:
        return True
    connection = driver.connection
    future = driver.loop.create_future()
    call.on_progress = partial(wake, future)
    driver.expect(call)
    try:
        if call.is_in_parts:
            return True
        return await (future if deadline is None else until(future, deadline))
    finally:
        connection.unread.expect_no_more(call)
        if not call.is_done:
            connection.conversation.abandon(call)


def answer_of(call: Call, driver: ClientDriver) -> Message:
    """Return the answer of a call for which something has come; see ``client.answers``."""
    if call.error is not None:
        raise_error_of(call, driver)
    return answers.answer_of(call, driver.connection)


def raise_error_of(call: Call, driver: ClientDriver) -> None:
    """Raise the error with which a call has ended, if it has."""
    driver.explain(call)
    answers.raise_error_of(call, driver.connection)
