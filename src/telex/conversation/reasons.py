"""Why a conversation has ended: who ended it, in which words, and with which code.

Each reason is a ConnectionClosedError. The conversation decides what follows from an end.
"""

from __future__ import annotations

from telex.errors import (
    ConnectionClosedError,
    IncompleteMessageError,
    RemoteError,
    TelexError,
)


def reason_of(error: TelexError) -> ConnectionClosedError:
    """Return the reason of an end that an error of this side or of the connection has caused.

    An error without a code means that the peer sent what is no message (wire format, "error
    codes"). A stream that stops inside a message was ended by the peer, or on the way.
    """
    if isinstance(error, ConnectionClosedError):
        return closed_error(error, 0)
    if isinstance(error, IncompleteMessageError):
        return ConnectionClosedError("peer", str(error))
    return ConnectionClosedError("us", str(error), code=code_of(error))


def code_of(error: TelexError) -> str:
    """Return the code with which a peer is told an error that it has caused."""
    code: str = getattr(error, "code", "bad-message")
    return code


def reason_said(farewell: RemoteError) -> ConnectionClosedError:
    """Return the reason that the peer has given with its last message."""
    reason = farewell.detail or farewell.title or farewell.code
    return ConnectionClosedError("peer", reason, code=farewell.code)


def closed_error(reason: ConnectionClosedError | None, unanswered: int) -> ConnectionClosedError:
    """Return a new error of this reason, for a program that had so many requests unanswered."""
    if reason is None:
        return ConnectionClosedError("us", "it was closed here", unanswered=unanswered)
    return ConnectionClosedError(reason.by, reason.reason, code=reason.code, unanswered=unanswered)
