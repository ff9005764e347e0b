"""Why a conversation has ended: who ended it, in which words, and with which code.

Each reason is a ConnectionClosedError. The conversation decides what follows from an end.
"""

from __future__ import annotations

from telex.errors import ConnectionClosedError, RemoteError, TelexError


def reason_of(error: TelexError) -> ConnectionClosedError:
    """Return the reason of an end that an error of this side or of the connection has caused.

    An error without a code means that the peer sent what is no message (wire format, "error
    codes").
    """
    if isinstance(error, ConnectionClosedError):
        return closed_error(error, 0)
    code: str = getattr(error, "code", "bad-message")
    return ConnectionClosedError("us", str(error), code=code)


def reason_said(farewell: RemoteError) -> ConnectionClosedError:
    """Return the reason that the peer has given with its last message."""
    reason = farewell.detail or farewell.title or farewell.code
    return ConnectionClosedError("peer", reason, code=farewell.code)


def closed_error(reason: ConnectionClosedError | None, unanswered: int) -> ConnectionClosedError:
    """Return a new error of this reason, for a program that had so many requests unanswered."""
    if reason is None:
        return ConnectionClosedError("us", "it was closed here", unanswered=unanswered)
    return ConnectionClosedError(reason.by, reason.reason, code=reason.code, unanswered=unanswered)
