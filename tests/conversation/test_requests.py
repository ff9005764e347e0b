"""Requests of the peer: which are admitted, and how each is answered once."""

from __future__ import annotations

import pytest

from telex import ContentError, Limits, Message, MessageProcessor, ProtocolError
from telex.conversation.calls import Calls
from telex.conversation.outgoing import Outgoing
from telex.conversation.requests import PeerRequests
from tests.conversations import request


class Side:
    """The requests of a peer, the calls of this side, and the messages that are sent."""

    def __init__(self, *, serves: bool = True, max_pending: int = 2) -> None:
        self._outgoing = Outgoing(Limits())
        self.calls = Calls(max_pending)
        limits = Limits(max_pending=max_pending)
        self.requests = PeerRequests(limits, self._outgoing, self.calls, serves=serves)

    def admit(self, *ids: int, is_closing: bool = False) -> list[bool]:
        """Return for each request with one of these ids whether it is admitted."""
        return [self.requests.admit(request(id), is_closing=is_closing) for id in ids]

    def sent(self) -> list[tuple[str | None, int | None, str]]:
        """Take what was sent: kind, ``re``, and the code of an error or the text of a reply."""
        messages = MessageProcessor().receive_messages(b"".join(self._outgoing.take()))
        return [
            (message.kind, message.re, message.content["code"])
            if message.kind == "error"
            else (message.kind, message.re, message.content)
            for message in messages
        ]


def test_a_request_waits_until_it_is_answered() -> None:
    """An answer goes to its request, once; a part of an answer leaves the request waiting."""
    side = Side()
    assert side.admit(1, 2) == [True, True]
    assert (side.requests.count, side.requests.is_saturated) == (2, True)
    side.requests.answer(2, Message("part"), True)
    assert side.requests.count == 2
    side.requests.answer(2, Message("last"), False)
    side.requests.answer(2, Message("again"), False)
    side.requests.refuse(1, "refused", "no")
    side.requests.refuse(1, "refused", "no")
    assert side.sent() == [("reply", 2, "part"), ("reply", 2, "last"), ("error", 1, "refused")]
    assert (side.requests.count, side.requests.is_saturated) == (0, False)


def test_an_answer_that_cannot_be_sent_leaves_the_request_waiting() -> None:
    """It can still be refused."""
    side = Side()
    side.admit(1)
    with pytest.raises(ContentError):
        side.requests.answer(1, Message({"x": object()}), False)
    assert side.requests.count == 1
    side.requests.refuse(1, "handler-failed", "it failed")
    assert side.sent() == [("error", 1, "handler-failed")]


def test_a_request_is_answered_before_its_id_comes_again() -> None:
    """The first request under the id still waits for its answer."""
    side = Side()
    side.admit(1)
    with pytest.raises(ProtocolError, match="request, id 1: its id is that of a request"):
        side.admit(1)
    assert side.requests.count == 1
    side.requests.answer(1, Message("x"), False)
    assert side.admit(1) == [True]


def test_a_request_without_an_id_is_a_mistake() -> None:
    """No answer could name it."""
    with pytest.raises(ProtocolError, match="a request must have an id"):
        Side().requests.admit(Message("", kind="request"), is_closing=False)


def test_a_side_that_does_not_serve_refuses_requests() -> None:
    """The peer is told, so that it does not wait."""
    side = Side(serves=False)
    assert side.admit(1) == [False]
    assert side.sent() == [("error", 1, "no-handler")]
    assert side.requests.count == 0


def test_requests_that_meet_a_close_are_dropped() -> None:
    """Nothing can be sent after it; but the same id twice is still a mistake."""
    side = Side()
    side.admit(1)
    assert side.admit(2, 2, is_closing=True) == [False, False]
    assert (side.requests.count, side.sent()) == (1, [])
    with pytest.raises(ProtocolError, match="not answered yet"):
        side.admit(1, is_closing=True)


def test_requests_over_the_limit_are_refused_only_while_answers_are_awaited() -> None:
    """Without calls of its own this side stops reading instead, and refuses nothing."""
    side = Side()
    assert side.admit(1, 2, 3) == [True, True, True]
    call = side.calls.begin(None, is_ping=False)
    assert side.admit(4) == [False]
    assert side.sent() == [("error", 4, "overloaded")]
    assert side.requests.count == 3
    side.calls.take_error(call.id, ProtocolError("x"))
    assert side.admit(4) == [True]
