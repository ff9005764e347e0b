"""Reasons: every way to an end is told in the same words, as an error of its own."""

from __future__ import annotations

from telex import ConnectionClosedError, ProtocolError, RemoteError, TooLargeError
from telex.conversation.reasons import closed_error, reason_of, reason_said


def told(reason: ConnectionClosedError) -> tuple[str, str, str]:
    """Return who ended it, in which words, and with which code."""
    return reason.by, reason.reason, reason.code


def test_an_error_without_a_code_means_bad_bytes() -> None:
    """Errors that have a code keep it."""
    assert told(reason_of(ProtocolError("it is wrong"))) == ("us", "it is wrong", "bad-message")
    assert reason_of(TooLargeError("content", 9, 5)).code == "too-large"


def test_an_end_of_the_connection_keeps_its_reason() -> None:
    """The reason is another error than the one that was raised, which has its own traceback."""
    error = ConnectionClosedError("peer", "it is gone", code="timeout", unanswered=3)
    reason = reason_of(error)
    assert told(reason) == ("peer", "it is gone", "timeout")
    assert reason is not error
    assert reason.unanswered == 0


def test_the_peer_says_its_reason_as_well_as_it_can() -> None:
    """The detail says most, then the title, then the code."""
    for detail, title, said in (("d", "t", "d"), ("", "t", "t"), ("", "", "c")):
        assert told(reason_said(RemoteError("c", title, detail))) == ("peer", said, "c")


def test_each_program_gets_an_error_of_its_own() -> None:
    """It has the reason of the end, and how many requests had no answer."""
    reason = ConnectionClosedError("peer", "it is gone", code="timeout")
    error = closed_error(reason, 2)
    assert told(error) == told(reason)
    assert error is not reason
    assert error.unanswered == 2


def test_without_a_reason_this_side_has_closed() -> None:
    """A conversation that goes on has no reason yet."""
    error = closed_error(None, 1)
    assert told(error) == ("us", "it was closed here", "closed")
    assert error.unanswered == 1
