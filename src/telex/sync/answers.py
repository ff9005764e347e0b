"""Waits for the answer to one request, and says what went wrong when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telex.application.session import about
from telex.errors import ContentError, RequestTimeoutError
from telex.wire.message import Message

if TYPE_CHECKING:
    from telex.conversation.conversation import Call
    from telex.sync.link import Link


def answer_to(call: Call, link: Link, timeout: float | None, deadline: float | None) -> Message:
    """Return the answer, waiting for it until ``deadline``, which is ``timeout`` seconds in all.

    Raises RemoteError, RequestTimeoutError, ConnectionClosedError, and ContentError for an answer
    in several parts. Without an answer, the request is forgotten.
    """
    try:
        if not call.is_done and not link.wait(lambda: call.is_done or call.is_in_parts, deadline):
            link.check_usable()
            raise RequestTimeoutError(f"the answer to {_about(call)}", timeout or 0.0)
    finally:
        if not call.is_done:
            link.abandon(call)
    if call.error is not None:
        link.raise_error_of(call)
    if call.reply is None:
        raise ContentError(
            f"the answer to {_about(call)} comes in several parts; right would be request_parts()"
        )
    return call.reply


def _about(call: Call) -> str:
    return about(Message(b"", subject=call.subject))
