"""Calls: what this side has asked and the peer has not answered yet.

Numbers requests and pings, finds the one that an answer is for, and remembers which were given up,
so that their late answers are told from answers to nothing. This module must never know why a
conversation ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from telex.errors import TelexError
from telex.wire.content import is_octet_stream
from telex.wire.message import Message

if TYPE_CHECKING:
    from mypy_extensions import i64


class Call:
    """A request or a ping that waits for its answer.

    ``reply`` is the answer, when it is here and came in one message, and ``is_in_parts`` says that
    it comes in several. ``error`` is why there will be no (further) answer. ``on_progress`` is
    called whenever one of these changes, or a part comes, until the call is done or abandoned; it
    must not raise. ``said_before`` is how many plain messages were said before the call.
    """

    __slots__ = (
        "_parts",
        "error",
        "id",
        "is_done",
        "is_in_parts",
        "is_ping",
        "keeps_parts",
        "on_progress",
        "reply",
        "said_before",
        "subject",
    )

    def __init__(self, id: int, subject: str | None, is_ping: bool, said_before: i64 = 0) -> None:
        self.id: Final = id
        self.subject: Final = subject
        self.is_ping: Final = is_ping
        self.said_before: Final[i64] = said_before
        self.reply: Message | None = None
        self.is_in_parts: bool = False
        self.keeps_parts: bool = False
        """Whether somebody takes parts of the answer; else they are dropped as they come."""
        self.error: TelexError | None = None
        self.is_done: bool = False
        self.on_progress: Callable[[], None] | None = None
        self._parts: list[Message] | None = None

    @property
    def parts(self) -> list[Message]:
        """What ``take_parts`` would return."""
        if self._parts is not None:
            return self._parts
        return [] if self.reply is None else [self.reply]

    def take_parts(self) -> list[Message]:
        """Take the messages of the answer that have come and were not taken yet."""
        taken = self.parts
        self._parts = []
        self.reply = None
        return taken

    def add_part(self, part: Message) -> None:
        """Add a part of the answer that is not the last one."""
        self.is_in_parts = True
        self._keep(part)
        if self.on_progress is not None:
            self.on_progress()

    def add_last(self, reply: Message) -> None:
        """Add the end of the answer: all of it, its last part, or nothing but the end of parts."""
        if not self.is_in_parts:
            self.reply = reply
        elif reply.body or not is_octet_stream(reply.content_type):
            self._keep(reply)
        self.end(None)

    def end(self, error: TelexError | None) -> None:
        """End the call: nothing more will come, because of ``error`` if there is one."""
        self.error = error
        self.is_done = True
        if self.on_progress is not None:
            self.on_progress()
            self.on_progress = None  # which may refer to the call

    def _keep(self, part: Message) -> None:
        if self._parts is None:
            self._parts = []
        if self.keeps_parts:
            self._parts.append(part)


_NONE_WAITING: Final[dict[int, Call]] = {}
_NONE_ABANDONED: Final[dict[int, bool]] = {}
"""What all conversations without calls share, as those of a server are; nothing is ever added."""


class Calls:
    """The calls of one conversation that are not done.

    Of those given up, ``most_abandoned`` are known by their number. Of older ones only the highest
    number is kept, so that a peer which answers nothing costs no memory.
    """

    __slots__ = (
        "_abandoned",
        "_forgotten",
        "_last_id",
        "_most_abandoned",
        "_said_before_last",
        "_waiting",
        "open_requests",
        "read",
    )

    def __init__(self, most_abandoned: int) -> None:
        self._most_abandoned: Final[i64] = most_abandoned
        self._waiting: dict[int, Call] = _NONE_WAITING
        self._abandoned: dict[int, bool] = _NONE_ABANDONED  # whether it is a ping
        self._forgotten: i64 = 0
        self._last_id: i64 = 0
        self._said_before_last: i64 = 0
        self.open_requests: i64 = 0
        """Requests whose last answer has not come, those that were given up among them."""
        self.read: i64 = 0
        """Plain messages that the peer has read: those before a call that it has answered."""

    @property
    def count(self) -> int:
        """How many wait for an answer."""
        return len(self._waiting)

    @property
    def abandoned(self) -> int:
        """How many were given up and might still be answered, as far as they are known."""
        return len(self._abandoned)

    @property
    def next_id(self) -> i64:
        """The number of the call that ``begin`` will make."""
        return self._last_id + 1

    def begin(self, subject: str | None, is_ping: bool, said_before: i64 = 0) -> Call:
        """Make the call of what was just sent under ``next_id``, after so many plain messages."""
        self._last_id += 1
        self._said_before_last = said_before
        call = Call(self._last_id, subject, is_ping, said_before)
        if self._waiting is _NONE_WAITING:
            self._waiting = {}
        self._waiting[self._last_id] = call
        self.open_requests += not is_ping
        return call

    def abandon(self, call: Call) -> None:
        """Stop waiting for an answer; one that comes late is dropped."""
        if self._waiting.pop(call.id, None) is None:
            return
        call.on_progress = None  # which may refer to the call
        if self._abandoned is _NONE_ABANDONED:
            self._abandoned = {}
        abandoned = self._abandoned
        abandoned[call.id] = call.is_ping
        if len(abandoned) > self._most_abandoned:
            oldest = next(iter(abandoned))
            del abandoned[oldest]
            self._forgotten = max(self._forgotten, oldest)

    def end_all(self) -> list[Call]:
        """Stop waiting for everything; return the calls, for the caller to end."""
        calls = list(self._waiting.values())
        self._waiting.clear()
        self._abandoned.clear()
        self._forgotten = self._last_id
        self.open_requests = 0
        return calls

    def take_reply(self, reply: Message) -> bool:
        """Hand a reply to the request that it answers; return False when there is none."""
        re: Any = reply.re or 0  # an object for the table, made once
        call = self._waiting.get(re)
        if call is None:
            return self._abandoned.get(re) is not True and self._is_late(re, not reply.more)
        if call.is_ping:
            return False
        self._note_read(call.said_before)
        if reply.more:
            call.add_part(reply)
        else:
            del self._waiting[re]
            self.open_requests -= 1
            call.add_last(reply)
        return True

    def take_pong(self, pong: Message) -> bool:
        """Hand a pong to its ping; return False when there is none."""
        re = pong.re or 0
        call = self._waiting.get(re)
        if call is None:
            return self._abandoned.get(re) is not False and self._is_late(re, True)
        if not call.is_ping:
            return False
        del self._waiting[re]
        self._note_read(call.said_before)
        call.end(None)
        return True

    def take_error(self, re: int, error: TelexError) -> bool:
        """End the request or ping that an error answers; return False when there is none."""
        call = self._waiting.pop(re, None)
        if call is None:
            return self._is_late(re, True)
        self.open_requests -= not call.is_ping
        self._note_read(call.said_before)
        call.end(error)
        return True

    def _note_read(self, said_before: i64) -> None:
        """Note that the peer has read a call, and all that was said before it."""
        if said_before > self.read:
            self.read = said_before

    def _is_late(self, re: int, is_last: bool) -> bool:
        """Whether this number was given up; after the last answer it is given up no more."""
        if re == self._last_id:
            self._note_read(self._said_before_last)
        is_ping = self._abandoned.get(re)
        if is_ping is not None:
            if is_last:
                del self._abandoned[re]
                self.open_requests -= not is_ping
            return True
        return 0 < re <= self._forgotten
