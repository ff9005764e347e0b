"""The conversation: messages in, messages and answers out (wire format, "kinds").

One state machine for both ends of a connection. It matches answers to requests, answers pings,
opens and closes, and says when the peer has taken too long. It owns no socket and no clock: bytes
and the time are handed in, bytes are handed out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from telex.conversation.batch import check_is_plain, fill
from telex.conversation.calls import Call, Calls
from telex.conversation.error_content import ENDING_CODES, read_problem
from telex.conversation.handshake import Greeting, PeerGreeting, read_greeting
from telex.conversation.outgoing import Outgoing
from telex.conversation.states import TRANSITIONS, Phase, Step
from telex.conversation.timeouts import Timeouts
from telex.errors import (
    ConnectionClosedError,
    ProtocolError,
    RemoteError,
    TelexError,
    WaitTimeoutError,
)
from telex.limits import Limits
from telex.wire.message import Message
from telex.wire.processor import WORTH_ITS_OWN, MessageProcessor

if TYPE_CHECKING:
    from mypy_extensions import i64

__all__ = ["TRANSITIONS", "Call", "Conversation", "Greeting", "Phase", "Step"]

_LONGEST_SHOWN: Final = 60

_BEFORE_ADMISSION: Final = ("hello", "ping", "close")
"""What a peer may send that has yet to show its token."""


class Conversation:
    """Both directions of one connection, without the connection.

    Hand in what arrives with ``receive_data``, and send what ``data_to_send`` returns. The messages
    that ``receive_data`` returns are for the application: plain ones, errors about none of its
    requests, and, where ``serves`` is true, requests, each to be answered once with ``answer`` or
    ``refuse``, by its id. What comes from the peer never raises: it ends the conversation, and
    ``error`` says why. ``farewell`` is why the peer ended it, if it said so.
    """

    __slots__ = (
        "_calls",
        "_ending",
        "_greeting",
        "_has_conversed",
        "_has_greeted",
        "_high_water",
        "_is_admitted",
        "_keepalive",
        "_limits",
        "_max_pending",
        "_outgoing",
        "_peer",
        "_processor",
        "_serves",
        "_timeouts",
        "_unanswered",
        "error",
        "farewell",
        "identity",
        "phase",
        "wants_keepalive",
    )

    def __init__(
        self,
        limits: Limits,
        greeting: Greeting,
        *,
        serves: bool,
        now: float,
        identity: str | None = None,
    ) -> None:
        self._limits: Final = limits
        self._high_water: Final[i64] = limits.high_water
        self._max_pending: Final[i64] = limits.max_pending
        self._greeting: Final = greeting
        self._serves: Final = serves
        self._processor: Final = MessageProcessor(limits)
        self._timeouts: Final = Timeouts(self._processor, limits, now)
        self._calls: Final = Calls(limits.max_pending)
        self._unanswered: set[int] = set()
        self._outgoing: Final = Outgoing(limits)
        self._peer: PeerGreeting | None = None
        self._has_greeted = False
        self._has_conversed = False
        self._keepalive: Call | None = None
        self._ending: ConnectionClosedError | None = None
        self.phase: Phase = Phase.OPEN
        self.error: TelexError | None = None
        self.farewell: RemoteError | None = None
        self.identity: str | None = identity
        self.wants_keepalive: bool = False
        self._is_admitted = not serves or greeting.authenticate is None
        if not self._is_admitted:
            self.phase = Phase.GREETING
        elif not serves and greeting.is_wanted:
            self.phase = Phase.GREETING
            self._has_greeted = True
            self._outgoing.say(greeting.hello(limits), "hello", 0, 0)

    # What arrives

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Message]:
        """Take bytes from the peer; return the messages that the application must see, in order.

        Those that came before a mistake of the peer are returned too, and may still be answered
        until ``data_to_send`` is called: the peer is told of its mistake after that.
        """
        if self.is_over or not data:
            return []
        try:
            messages = self._processor.receive_messages(data)
        except ProtocolError as problem:
            self.fail(problem)
            return []
        taken = self._sort(messages)
        if self._processor.error is not None:
            self.fail(self._processor.error)
        return taken

    def content_buffer(self, least: i64 = WORTH_ITS_OWN) -> memoryview | None:
        """Return where to receive long content without a copy; see ``MessageProcessor``."""
        return None if self.is_over else self._processor.content_buffer(least)

    def content_received(self, size: int) -> list[Message]:
        """Take note of what was received into ``content_buffer()``; else as ``receive_data``."""
        return self._sort(self._processor.content_received(size))

    def receive_eof(self) -> None:
        """Take note that the peer's stream has ended: like ``close``, if no message was cut."""
        if self.is_over:
            return
        try:
            self._processor.receive_eof()
        except ProtocolError as problem:
            self.fail(problem)
            return
        self._peer_closes(ConnectionClosedError("peer", "it ended its stream"))

    def lose(self, reason: str, *, by: str = "peer", code: str = "closed") -> None:
        """End the conversation, because the connection is gone; the peer is told nothing."""
        if not self.is_over:
            self._break(ConnectionClosedError(by, reason, code=code))

    def end(self) -> None:
        """End the conversation, because the connection is closed: nothing comes or goes after it.

        The reason is what it was; without one, this side has closed.
        """
        self.close("closed", "it was closed here")
        self._step(Step.PEER_CLOSES)

    # What is sent

    def send(self, message: Message) -> None:
        """Send a plain message.

        Raises ConnectionClosedError, ContentError, and TooLargeError when the peer said in its
        greeting that it will not take that much.
        """
        check_is_plain(message)
        if not self._may_answer() or (self.phase is Phase.FINISHING and not self._serves):
            raise self.closed_error()
        self._outgoing.write(message, None, message.id or 0, message.re or 0, message.more)

    def fill(
        self, batch: list[Message], items: Iterator[object], *, as_requests: bool = False
    ) -> bool:
        """Move what is to be sent together from ``items`` to an empty batch; see ``batch.fill``.

        Nothing is sent, and nothing changes: that is ``send_many`` or ``request_many``.
        """
        return fill(batch, items, self._outgoing, self._calls.next_id if as_requests else 0)

    def send_many(self, messages: list[Message]) -> None:
        """Send plain messages; when one of them raises as ``send`` does, those before it go."""
        for message in messages:
            self.send(message)

    def request(self, message: Message) -> Call:
        """Send a message as a request; return the call that its answer will complete.

        The request carries a number of its own. Raises as ``send`` does.
        """
        return self._ask(message, "request")

    def request_many(self, messages: list[Message], calls: list[Call]) -> None:
        """Send messages as requests, and add their calls to ``calls``; see ``send_many``."""
        for message in messages:
            call = self._ask(message, "request")
            calls.append(call)

    def ping(self) -> Call:
        """Ask the peer for a sign of life; the call is done when it comes."""
        return self._ask(Message(b""), "ping")

    def abandon(self, call: Call) -> None:
        """Stop waiting for an answer; one that comes late is dropped."""
        self._calls.abandon(call)

    def answer(self, id: int | None, reply: Message, *, more: bool = False) -> None:
        """Answer the request with this id, or give a part of its answer when ``more`` will follow.

        Does nothing for what is no request, or has its answer, or when nothing can be said any
        more. Raises ContentError and TooLargeError when the reply cannot be sent, and then the
        request still waits for its answer.
        """
        if id is None or not self._may_answer() or not self._settle(id):
            return
        try:
            self._outgoing.write(reply, "reply", 0, id, more)
        except BaseException:  # of whatever sort: a user's types run code when they are written
            self._unanswered.add(id)
            raise
        if more:
            self._unanswered.add(id)

    def refuse(self, id: int | None, code: str, detail: str) -> None:
        """Answer a request with an error; see ``answer``."""
        if id is not None and self._may_answer() and self._settle(id):
            self._outgoing.complain(code, detail, id)

    def complain(self, code: str, detail: str) -> None:
        """Tell the peer what is wrong with a plain message, which ends nothing."""
        if not self._may_answer():
            return
        if code in ENDING_CODES:  # without a request, these would end the conversation
            code, detail = "refused", f"{code}: {detail}"
        self._outgoing.complain(code, detail, 0)

    def close(self, code: str, reason: str) -> None:
        """Say that nothing more will be sent.

        A peer that has shown no sign of knowing kinds is told so by the end of the stream alone,
        unless the server shuts down.
        """
        if not self._may_say():
            return
        if self._has_conversed or code == "shutting-down":
            self._outgoing.say_close(code, reason)
        self._end(Step.WE_CLOSE, ConnectionClosedError("us", reason, code=code))

    def fail(self, error: TelexError) -> None:
        """End the conversation with an error, and tell the peer what it was."""
        if self.is_over:
            return
        if self._may_say():
            reason = error.reason if isinstance(error, ConnectionClosedError) else str(error)
            self._outgoing.say_last(_code_of(error), reason)
        self._break(error)

    def data_to_send(self) -> list[bytes]:
        """Return what is to be sent now, in order, and forget it."""
        return self._outgoing.take()

    # How things stand

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be received; what ``data_to_send`` returns is the last."""
        return self.phase is Phase.CLOSED or self.phase is Phase.FAILED

    @property
    def unanswered(self) -> int:
        """Requests of the peer that have no answer yet."""
        return len(self._unanswered)

    @property
    def outstanding(self) -> int:
        """Requests and pings of this side that still wait for their answers."""
        return self._calls.count

    @property
    def awaits_answers(self) -> bool:
        """Whether answers to requests are still to come, also to those that were given up."""
        return self._calls.open_requests > 0

    @property
    def abandoned(self) -> int:
        """Requests and pings that this side gave up and the peer may still work on."""
        return self._calls.abandoned

    @property
    def is_saturated(self) -> bool:
        """Whether so many requests of the peer are unanswered that no more should be read."""
        return len(self._unanswered) >= self._max_pending

    @property
    def bytes_to_send(self) -> int:
        """Bytes that ``data_to_send`` would return."""
        return self._outgoing.size

    @property
    def is_at_rest(self) -> bool:
        """Whether it is open, and nothing is begun: no message, no answer, no output."""
        return (
            self.phase is Phase.OPEN
            and not self._unanswered
            and self._outgoing.size == 0
            and self._processor.bytes_buffered == 0
        )

    @property
    def is_full(self) -> bool:
        """Whether there is so much output that nothing should be handled before some of it goes."""
        return self._outgoing.size > self._high_water

    @property
    def bytes_buffered(self) -> int:
        """Bytes held of a message that is not complete yet."""
        return self._processor.bytes_buffered

    @property
    def processor(self) -> MessageProcessor:
        """The message processor, for those who watch the bytes."""
        return self._processor

    def closed_error(self, unanswered: int = 0) -> ConnectionClosedError:
        """Return the error that says who ended the conversation first, and why."""
        ending = self._ending
        if ending is None:
            return ConnectionClosedError("us", "it was closed here", unanswered=unanswered)
        return ConnectionClosedError(
            ending.by, ending.reason, code=ending.code, unanswered=unanswered
        )

    # Time

    def check_time(self, now: float, *, is_reading: bool = True, unsent: int = 0) -> None:
        """Look at the clock, a few times a second: ping, or fail, when the peer takes too long.

        Times are in seconds, from any clock that never goes back. While this side does not read
        (``is_reading``), the peer is held to its hello, and to taking what it is sent: ``unsent``
        bytes of that keep this side from reading.
        """
        if self.is_over:
            return
        timeouts = self._timeouts
        is_peer_speaking = self.phase is Phase.OPEN or self.phase is Phase.GREETING
        too_long: WaitTimeoutError | None = None
        if self.phase is Phase.GREETING and self._serves:
            too_long = timeouts.with_hello(now)
        if not is_reading:
            timeouts.start_over(now)
            if too_long is None:
                too_long = timeouts.with_output(now, unsent, is_watched=self.wants_keepalive)
        elif too_long is None:
            too_long = timeouts.with_message(now)
            if too_long is None and is_peer_speaking:
                too_long = timeouts.with_silence(now, is_working=bool(self._unanswered))
        if too_long is not None:
            self.fail(ConnectionClosedError("us", str(too_long), code="timeout"))
        elif self.wants_keepalive and is_peer_speaking and timeouts.must_ping(now):
            if self._keepalive is not None:
                self.abandon(self._keepalive)
            self._keepalive = self.ping()

    # Kinds

    def _sort(self, messages: list[Message]) -> list[Message]:
        """Keep what is the conversation's own, return what is the application's."""
        taken: list[Message] = []
        for message in messages:
            if self.phase is not Phase.OPEN and not self._may_come(message):
                break
            kind = message.kind
            if kind is None:
                taken.append(message)
                continue
            self._has_conversed = True
            if kind == "request":
                if self._admit(message):
                    taken.append(message)
            elif kind == "reply":
                if not self._calls.take_reply(message):
                    self._misbehaves("a reply must name a request that has no answer yet", message)
            elif kind == "error":
                if self._take_error(message):
                    taken.append(message)
            else:
                self._take_control(kind, message)
        return taken

    def _may_come(self, message: Message) -> bool:
        """Say whether a message may come in a phase that is not OPEN; fail when it may not."""
        if not self._is_admitted and message.kind not in _BEFORE_ADMISSION:
            self._refuse_entry("this server demands a token, and it was not told one in a hello")
            return False
        if self.phase is Phase.FINISHING:
            self._misbehaves("it came after the peer had said its last", message)
            return False
        return self.phase is Phase.GREETING or self.phase is Phase.CLOSING

    def _admit(self, request: Message) -> bool:
        """Take note of a request; say whether the application is to answer it."""
        id: Any = request.id  # an object for the table, made once
        if id is None:
            self._misbehaves("a request must have an id, to be answered", request)
        else:
            before = len(self._unanswered)
            self._unanswered.add(id)
            if len(self._unanswered) == before:
                self._misbehaves("its id is that of a request that is not answered yet", request)
            elif self.phase is Phase.CLOSING:
                self._unanswered.discard(id)
            elif self._serves:
                if len(self._unanswered) <= self._max_pending or not self.awaits_answers:
                    return True
                self.refuse(id, "overloaded", "too many requests wait for their answers here")
            else:
                self.refuse(id, "no-handler", "this side answers no requests")
        return False

    def _take_error(self, message: Message) -> bool:
        """Take an error; return whether it is the application's: about none of its requests."""
        problem = read_problem(message, "error")
        re = message.re
        if re is not None:
            return not self._calls.take_error(re, problem)
        if problem.code not in ENDING_CODES:
            return True
        self._take_farewell(problem)
        return False

    def _take_control(self, kind: str, message: Message) -> None:
        """Take a message that is about the conversation itself."""
        if kind == "ping":
            self._take_ping(message)
        elif kind == "pong":
            if not self._calls.take_pong(message):
                self._misbehaves("a pong must name a ping that has no answer yet", message)
        elif kind == "close":
            self._take_farewell(read_problem(message, "closed"))
        elif kind == "hello" and self._serves:
            self._take_hello(message)
        elif kind == "welcome" and not self._serves:
            self._take_welcome(message)
        elif self._may_say():
            shown = kind if len(kind) <= _LONGEST_SHOWN else f"{kind[:_LONGEST_SHOWN]}…"
            self._outgoing.complain(
                "unsupported-kind", f"kind {shown!r} is not known here", message.id or 0
            )

    def _take_ping(self, message: Message) -> None:
        if message.id is None:
            self._misbehaves("a ping must have an id, to be answered", message)
        elif self._may_say():
            self._outgoing.say(Message(b""), "pong", 0, message.id)

    def _take_hello(self, message: Message) -> None:
        if self._has_greeted:
            self._misbehaves("it came a second time", message)
            return
        self._has_greeted = True
        peer = self._read_greeting(message)
        if peer is None:
            return
        authenticate = self._greeting.authenticate
        if authenticate is not None:
            owner = None if peer.token is None else authenticate(peer.token)
            if owner is None:
                what = "it holds no token" if peer.token is None else "its token is not known here"
                self._refuse_entry(f"hello is refused: {what}")
                return
            self.identity = owner
            self._is_admitted = True
        self.wants_keepalive = peer.wants_keepalive
        if self._may_say():
            self._outgoing.say(self._greeting.welcome(self._limits), "welcome", 0, 0)
        self._step(Step.GREETED)

    def _take_welcome(self, message: Message) -> None:
        if self._peer is not None or not self._has_greeted:
            self._misbehaves("it answers no hello", message)
        elif self._read_greeting(message) is not None:
            self._step(Step.GREETED)

    def _read_greeting(self, message: Message) -> PeerGreeting | None:
        """Note what the peer is ready to receive; fail when it does not say so as it should."""
        try:
            self._peer = read_greeting(message)
        except ValueError as problem:
            self._misbehaves(str(problem), message)
            return None
        self._outgoing.keep_to(self._peer)
        return self._peer

    def _refuse_entry(self, why: str) -> None:
        self.fail(ConnectionClosedError("us", why, code="unauthorized"))

    def _misbehaves(self, problem: str, message: Message) -> None:
        """Fail because of a message that is right in itself and wrong where it stands."""
        name = message.kind or "a plain message"
        number = f", id {message.id}" if message.id else f", re {message.re}" if message.re else ""
        self.fail(ProtocolError(f"{name}{number}: {problem}"))

    # Inside

    def _may_say(self) -> bool:
        """Whether this side has not said its last."""
        phase = self.phase
        return phase is Phase.OPEN or phase is Phase.FINISHING or phase is Phase.GREETING

    def _settle(self, id: Any) -> bool:
        """Take note that a request has its answer; return whether it was there to have one."""
        before = len(self._unanswered)
        self._unanswered.discard(id)  # looking for it first would take as long again
        return len(self._unanswered) < before

    def _may_answer(self) -> bool:
        """Whether answers can be sent: also to what came before a mistake of the peer."""
        return self._may_say() or self._outgoing.has_last_words

    def _ask(self, message: Message, kind: str) -> Call:
        """Send what the peer must answer; where it can answer no more, raise."""
        if self.phase is not Phase.OPEN and self.phase is not Phase.GREETING:
            raise self.closed_error()
        calls = self._calls
        self._outgoing.write(message, kind, calls.next_id, 0, False)
        return calls.begin(message.subject, kind == "ping")

    def _take_farewell(self, farewell: RemoteError) -> None:
        self.farewell = farewell
        reason = farewell.detail or farewell.title or farewell.code
        self._peer_closes(ConnectionClosedError("peer", reason, code=farewell.code))

    def _peer_closes(self, ending: ConnectionClosedError) -> None:
        self._end(Step.PEER_CLOSES, ending)

    def _break(self, error: TelexError) -> None:
        self.error = error
        if isinstance(error, ConnectionClosedError):
            ending = ConnectionClosedError(error.by, error.reason, code=error.code)
        else:
            ending = ConnectionClosedError("us", str(error), code=_code_of(error))
        self._end(Step.BREAKS, ending)

    def _end(self, step: Step, ending: ConnectionClosedError) -> None:
        """Go on to an end, or towards it; what waits for the peer need not wait any more."""
        if self._ending is None:
            self._ending = ending
        self._step(step)
        calls = self._calls.end_all()
        unanswered = sum([not call.is_ping for call in calls])
        for call in calls:
            call.end(self.closed_error(unanswered))

    def _step(self, step: Step) -> None:
        self.phase = TRANSITIONS.get((self.phase, step), self.phase)


def _code_of(error: TelexError) -> str:
    """Return the error code of wire format, "error codes"."""
    code: str = getattr(error, "code", "bad-message")
    return code
