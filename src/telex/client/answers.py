"""What comes of a request: its answer, or the error that is raised instead; on every front-end.

How long somebody waits, and how, is the front-end's.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from telex.application.naming import named
from telex.errors import ConnectionClosedError, ContentError, RequestTimeoutError

if TYPE_CHECKING:
    from telex.connection.connection import Connection
    from telex.conversation.calls import Call
    from telex.wire.message import Message


def answer_of(call: Call, connection: Connection) -> Message:
    """Return the answer of a call for which something has come.

    Raises RemoteError, ConnectionClosedError, RequestTimeoutError when the connection gave it up,
    and ContentError for an answer in several parts.
    """
    raise_error_of(call, connection)
    if call.reply is None:
        raise ContentError(
            f"the answer to {named(call.subject)} comes in several parts; "
            "right would be request_parts()"
        )
    return call.reply


def raise_error_of(call: Call, connection: Connection) -> None:
    """Raise the error with which a call has ended, if it has.

    The call keeps its error, so a copy is raised: a kept error that is raised would keep alive the
    frames that it came through, and these the call.
    """
    error = call.error
    if error is None:
        return
    if isinstance(error, ConnectionClosedError):
        connection.ending.complete(error)  # calls end before all is known that the error says
    raised = copy.copy(error)
    raised.__cause__ = error.__cause__
    try:
        raise raised
    finally:
        del raised


def late_error(subject: str | None, timeout: float | None) -> RequestTimeoutError:
    """Return the error for a request that has no answer within ``timeout`` seconds."""
    return RequestTimeoutError(f"the answer to {named(subject)}", timeout or 0.0)


def late_part_error(
    subject: str | None, timeout: float | None, *, has_begun: bool
) -> RequestTimeoutError:
    """Return the error for a part that did not come within ``timeout`` seconds."""
    which = "the next part of the answer" if has_begun else "the answer"
    return RequestTimeoutError(f"{which} to {named(subject)}", timeout or 0.0)


def late_ping_error(timeout: float | None) -> RequestTimeoutError:
    """Return the error for a ping that has no answer within ``timeout`` seconds."""
    return RequestTimeoutError("the answer to a ping", timeout or 0.0)
