"""Requests of the peer: which of them this side has not answered yet.

Admits a request or refuses it, and sends each answer once. ``calls`` has the requests of this side.
This module must never know when a conversation may send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from telex.conversation.calls import Calls
from telex.conversation.mistakes import misplaced
from telex.conversation.outgoing import Outgoing
from telex.limits import Limits
from telex.wire.message import Message

if TYPE_CHECKING:
    from mypy_extensions import i64


_NONE_UNANSWERED: Final[set[int]] = set()
"""What all peers without unanswered requests share, because a set is large; nothing is added."""


class PeerRequests:
    """The unanswered requests of one peer, by id.

    A side that does not serve (``serves``) refuses every request. While ``calls`` of this side are
    open, requests above ``max_pending`` are refused too: reading must go on then, for the answers.
    """

    __slots__ = ("_calls", "_max_pending", "_outgoing", "_serves", "_unanswered")

    def __init__(self, limits: Limits, outgoing: Outgoing, calls: Calls, *, serves: bool) -> None:
        self._max_pending: Final[i64] = limits.max_pending
        self._outgoing: Final = outgoing
        self._calls: Final = calls
        self._serves: Final = serves
        self._unanswered: set[int] = _NONE_UNANSWERED

    @property
    def count(self) -> i64:
        """How many requests have no answer yet."""
        return len(self._unanswered)

    @property
    def is_saturated(self) -> bool:
        """Whether so many requests have no answer that no more should be read."""
        return len(self._unanswered) >= self._max_pending

    def admit(self, request: Message, *, is_closing: bool) -> bool:
        """Return whether the application is to answer a request that has come.

        Once this side has said close (``is_closing``), requests are dropped. Raises ProtocolError
        for a request without an id, and for an id that is not answered yet.
        """
        id: Any = request.id  # an object for the set, made once
        if id is None:
            raise misplaced(request, "a request must have an id, to be answered")
        before = len(self._unanswered)
        unanswered = self._add(id)
        if len(unanswered) == before:
            raise misplaced(request, "its id is that of a request that is not answered yet")
        if is_closing:
            self._mark_answered(id)
        elif not self._serves:
            self.refuse(id, "no-handler", "this side answers no requests")
        elif len(unanswered) > self._max_pending and self._calls.open_requests > 0:
            self.refuse(id, "overloaded", "too many requests wait for their answers here")
        else:
            return True
        return False

    def answer(self, id: Any, reply: Message, more: bool) -> None:
        """Send an answer to the request with this id, if the request waits for one.

        With ``more``, it is a part of the answer, and the request still waits. Raises ContentError
        and TooLargeError when the reply cannot be sent; the request still waits then too.
        """
        if not self._mark_answered(id):
            return
        try:
            self._outgoing.write(reply, "reply", 0, id, more)
        except BaseException:  # of any type: a user's types run code when they are written
            self._add(id)
            raise
        if more:
            self._add(id)

    def refuse(self, id: Any, code: str, detail: str) -> None:
        """Answer the request with this id with an error, if the request waits for an answer."""
        if self._mark_answered(id):
            self._outgoing.complain(code, detail, id)

    def _mark_answered(self, id: Any) -> bool:
        """Remove a request that is answered now; return whether it waited for its answer."""
        unanswered = self._unanswered
        before = len(unanswered)
        unanswered.discard(id)  # looking for it first would take as long again
        if not unanswered:
            self._unanswered = _NONE_UNANSWERED
        return len(unanswered) < before

    def _add(self, id: Any) -> set[int]:
        """Add a request that has no answer yet; return all of them."""
        if self._unanswered is _NONE_UNANSWERED:
            self._unanswered = set()
        self._unanswered.add(id)
        return self._unanswered
