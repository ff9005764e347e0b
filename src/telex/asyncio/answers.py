"""The answer to a request that is under way: waited for, and forgotten when it is given up."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from telex.application.session import about
from telex.asyncio.waiting import until, wake
from telex.errors import ContentError, RequestTimeoutError
from telex.wire.message import Message

if TYPE_CHECKING:
    from telex.asyncio.link import Link
    from telex.conversation.conversation import Call


async def progress_of(call: Call, link: Link, deadline: float | None) -> bool:
    """Wait until something has come for a call; forget the call if that is not all of it.

    Returns whether it came before ``deadline``.
    """
    if call.is_done:
        return True
    future = link.loop.create_future()
    call.on_progress = partial(wake, future)
    link.expect(call)
    try:
        if call.is_in_parts:
            return True
        return await (future if deadline is None else until(future, deadline))
    finally:
        link.expect_no_more(call)
        if not call.is_done:
            link.conversation.abandon(call)


def answer_of(call: Call, link: Link) -> Message:
    """Return the answer of a call for which something has come.

    Raises RemoteError, ConnectionClosedError, RequestTimeoutError when the connection gave it up,
    and ContentError for an answer in several parts.
    """
    if call.error is not None:
        link.raise_error_of(call)
    if call.reply is None:
        raise ContentError(
            f"the answer to {_about(call.subject)} comes in several parts; "
            "right would be request_parts()"
        )
    return call.reply


def late(subject: str | None, timeout: float | None) -> RequestTimeoutError:
    """Return the error for a request that has no answer within ``timeout`` seconds."""
    return RequestTimeoutError(f"the answer to {_about(subject)}", timeout or 0.0)


def _about(subject: str | None) -> str:
    return about(Message(b"", subject=subject))
