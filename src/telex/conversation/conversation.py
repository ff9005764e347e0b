"""The conversation: takes each message by its kind, and decides what follows from it.

One state machine for both ends of a connection (wire format, "kinds"). The parts that it moves are
in files of their own: ``handshake``, ``calls`` of this side, ``requests`` of the peer,
``timeouts``, ``outgoing``. It owns no socket and no clock: bytes and the time are handed in, bytes
are handed out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from telex.conversation.batch import check_is_plain, fill
from telex.conversation.calls import Call, Calls
from telex.conversation.error_content import ENDING_CODES, read_problem, unknown_kind
from telex.conversation.greeting import Greeting
from telex.conversation.handshake import Handshake
from telex.conversation.mistakes import check_size, misplaced
from telex.conversation.outgoing import Outgoing
from telex.conversation.reasons import closed_error, code_of, reason_of, reason_said
from telex.conversation.requests import PeerRequests
from telex.conversation.states import TRANSITIONS, Phase, Step
from telex.conversation.timeouts import Timeouts
from telex.errors import ConnectionClosedError, ProtocolError, RemoteError, TelexError
from telex.limits import Limits
from telex.wire.message import Message
from telex.wire.processor import WORTH_ITS_OWN, MessageProcessor

if TYPE_CHECKING:
    from mypy_extensions import i64

__all__ = ["TRANSITIONS", "Call", "Conversation", "Greeting", "Phase", "Step"]


class Conversation:
    """Both directions of one connection, without the connection.

    Hand in received bytes with ``receive_data``, and send the bytes that ``data_to_send`` returns.
    The messages that ``receive_data`` returns are for the application: plain messages, errors that
    answer none of its requests, and, where ``serves`` is true, requests. Each request is answered
    once, by its id, with ``answer`` or ``refuse``. A mistake of the peer never raises: it ends the
    conversation, and ``error`` has the reason. ``farewell`` is the peer's own reason, if it gave
    one.
    """

    __slots__ = (
        "_high_water",
        "_keepalive",
        "_kinds_heard",
        "_pings_heard",
        "_processor",
        "_reason",
        "_requests",
        "_serves",
        "_timeouts",
        "calls",
        "error",
        "farewell",
        "handshake",
        "identity",
        "outgoing",
        "phase",
        "said",
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
        self._high_water: Final[i64] = limits.high_water
        self._serves: Final = serves
        self._processor: Final = MessageProcessor(limits)
        self._timeouts: Final = Timeouts(self._processor, limits, now)
        self.outgoing: Final = Outgoing(limits)
        self.calls: Final = Calls(limits.max_pending)
        self._requests: Final = PeerRequests(limits, self.outgoing, self.calls, serves=serves)
        self.handshake: Final = Handshake(greeting, limits, self.outgoing, serves=serves)
        self._kinds_heard: i64 = 0
        self._pings_heard: i64 = 0
        self._keepalive: Call | None = None
        self._reason: ConnectionClosedError | None = None
        self.error: TelexError | None = None
        self.farewell: RemoteError | None = None
        self.identity: str | None = identity
        self.said: i64 = 0  # plain messages
        self.wants_keepalive: bool = False
        self.phase: Phase = Phase.GREETING if self.handshake.begin() else Phase.OPEN

    # What arrives

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Message]:
        """Take bytes from the peer; return the messages for the application, in order.

        Those before a mistake of the peer may still be answered until ``data_to_send`` is called.
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
        """Take ``size`` bytes received into ``content_buffer()``; else as ``receive_data``."""
        return self._sort(self._processor.content_received(size))

    def receive_eof(self) -> None:
        """Take the end of the peer's stream: an error inside a message, else a ``close``."""
        if self.is_over:
            return
        try:
            self._processor.receive_eof()
        except ProtocolError as problem:
            self.fail(problem)
            return
        self._end(Step.PEER_CLOSES, ConnectionClosedError("peer", "it ended its stream"))

    def lose(self, reason: str, *, by: str = "peer", code: str = "closed") -> None:
        """End the conversation without a word, because the connection is lost."""
        if not self.is_over:
            self.error = ConnectionClosedError(by, reason, code=code)
            self._end(Step.BREAKS, reason_of(self.error))

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
        if not self._can_answer() or (self.phase is Phase.FINISHING and not self._serves):
            raise self.closed_error()
        self.outgoing.write(message, None, message.id or 0, message.re or 0, message.more)
        self.said += 1

    def fill(
        self, batch: list[Message], items: Iterator[object], *, as_requests: bool = False
    ) -> bool:
        """Move messages for one system call from ``items`` to an empty batch; see ``fill``."""
        return fill(batch, items, self.outgoing, self.calls.next_id if as_requests else 0)

    def send_many(self, messages: list[Message]) -> None:
        """Send plain messages; those before one that raises, as ``send`` does, are sent."""
        for message in messages:
            self.send(message)

    def request(self, message: Message) -> Call:
        """Send a request, numbered anew; return the call of its answer. Raises as ``send`` does."""
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
        self.calls.abandon(call)

    def answer(self, id: int | None, reply: Message, *, more: bool = False) -> None:
        """Answer the request with this id; with ``more``, send a part of the answer.

        Does nothing where no such request waits, or where nothing can be sent any more. Raises
        ContentError and TooLargeError when the reply cannot be sent; the request still waits then.
        """
        if id is not None and self._can_answer():
            self._requests.answer(id, reply, more)

    def refuse(self, id: int | None, code: str, detail: str) -> None:
        """Answer a request with an error; see ``answer``."""
        if id is not None and self._can_answer():
            self._requests.refuse(id, code, detail)

    def complain(self, code: str, detail: str) -> None:
        """Tell the peer why a plain message was refused. The conversation goes on."""
        if not self._can_answer():
            return
        if code in ENDING_CODES:  # without a request, these would end the conversation
            code, detail = "refused", f"{code}: {detail}"
        self.outgoing.complain(code, detail, 0)

    def close(self, code: str, reason: str) -> None:
        """Say close: nothing more will be sent.

        A peer that has sent no kind may know none: it is told by the end of the stream alone.
        """
        if not self._can_send():
            return
        if self._kinds_heard or code == "shutting-down":
            self.outgoing.say_close(code, reason)
        self._end(Step.WE_CLOSE, ConnectionClosedError("us", reason, code=code))

    def fail(self, error: TelexError) -> None:
        """End the conversation with an error, and tell the peer that error."""
        if self.is_over:
            return
        reason = reason_of(error)
        if self._can_send():
            self.outgoing.say_last(code_of(error), reason.reason)
        self.error = error
        self._end(Step.BREAKS, reason)

    def data_to_send(self) -> list[bytes]:
        """Return the bytes to send now, in order. They are not returned again."""
        return self.outgoing.take()

    # How things stand

    @property
    def is_open(self) -> bool:
        """Whether neither side has said its last."""
        return self.phase is Phase.OPEN or self.phase is Phase.GREETING

    @property
    def is_over(self) -> bool:
        """Whether no message is received any more, and none sent but those that wait to be sent."""
        return self.phase is Phase.CLOSED or self.phase is Phase.FAILED

    @property
    def unanswered(self) -> int:
        """Requests of the peer that have no answer yet."""
        return self._requests.count

    @property
    def unconfirmed(self) -> int:
        """Plain messages that this side has said, and that the peer may not have read.

        What was said before the peer's last answer to a request or a ping is known to be read.
        """
        return self.said - self.calls.read

    @property
    def is_saturated(self) -> bool:
        """Whether so many requests of the peer are unanswered that no more should be read."""
        return self._requests.is_saturated

    @property
    def bytes_to_send(self) -> int:
        """Bytes that ``data_to_send`` would return."""
        return self.outgoing.size

    @property
    def is_at_rest(self) -> bool:
        """Whether the phase is OPEN and nothing has begun: no message, no answer, no output."""
        return (
            self.phase is Phase.OPEN
            and self._requests.count == 0
            and self.outgoing.size == 0
            and self._processor.bytes_buffered == 0
        )

    @property
    def is_full(self) -> bool:
        """Whether output is over ``high_water``, so that no message should be handled now."""
        return self.outgoing.size > self._high_water

    @property
    def bytes_buffered(self) -> int:
        """Bytes that have come of a message that is not complete yet."""
        return self._processor.bytes_buffered

    @property
    def processor(self) -> MessageProcessor:
        """The message processor, whose counters of bytes others may read."""
        return self._processor

    def closed_error(self, unanswered: int = 0) -> ConnectionClosedError:
        """Return an error that says who ended the conversation first, and the reason."""
        return closed_error(self._reason, unanswered)

    # Time

    def check_time(
        self, now: float, *, is_reading: bool = True, sent: i64 = 0, is_unsent: bool = False
    ) -> None:
        """Ping a silent peer, and fail when it takes too long; see ``overdue``. Call it often."""
        if self.is_over:
            return
        timeouts = self._timeouts
        overdue = timeouts.overdue(
            now,
            awaits_hello=self._serves and self.phase is Phase.GREETING,
            is_reading=is_reading,
            sent=sent,
            is_unsent=is_unsent,
            is_watched=self.wants_keepalive,
            is_speaking=self.is_open,
            has_ended=self.phase is Phase.FINISHING,
            is_working=self._requests.count > 0,
        )
        if overdue is not None:
            self.fail(ConnectionClosedError("us", str(overdue), code="timeout"))
        elif self.wants_keepalive and self._can_send() and timeouts.must_ping(now):
            if self._keepalive is not None:
                self.abandon(self._keepalive)
            self._keepalive = self._ask(Message(b""), "ping", is_test=True)

    # Kinds

    def _sort(self, messages: list[Message]) -> list[Message]:
        """Take the messages that are the conversation's own, return the application's."""
        taken: list[Message] = []
        try:
            for message in messages:
                if self.phase is not Phase.OPEN and not self._may_come(message):
                    break
                kind = message.kind
                if kind is None:
                    taken.append(message)
                    continue
                self._kinds_heard += 1
                if kind == "request":
                    if self._requests.admit(message, is_closing=self.phase is Phase.CLOSING):
                        taken.append(message)
                elif kind == "reply":
                    if not self.calls.take_reply(message):
                        problem = "a reply must name a request that has no answer yet"
                        raise misplaced(message, problem)
                elif kind == "error":
                    if self._take_error(message):
                        taken.append(message)
                else:
                    self._take_control(kind, message)
            if not self.handshake.is_admitted:
                self.handshake.check_begun(self._processor)
        except (ProtocolError, ConnectionClosedError) as error:
            self.fail(error.with_traceback(None))  # which would keep the messages in memory
        return taken

    def _may_come(self, message: Message) -> bool:
        """Return whether a message is taken in a phase that is not OPEN.

        Raises ConnectionClosedError for a peer without its token, and ProtocolError for a message
        after the peer's last.
        """
        self.handshake.check_admits(message)
        if self.phase is Phase.FINISHING:
            raise misplaced(message, "it came after the peer had said its last")
        return self.phase is Phase.GREETING or self.phase is Phase.CLOSING

    def _take_error(self, message: Message) -> bool:
        """Take an error; return whether it is for the application: it names no request."""
        check_size("error", len(message.body))
        problem = read_problem(message, "error")
        re = message.re
        if re is None:
            if problem.code not in ENDING_CODES:
                return True
            self._end_as_peer_says(problem)
        elif not self.calls.take_error(re, problem):
            raise misplaced(message, "an error must name a request that has no answer yet")
        return False

    def _take_control(self, kind: str, message: Message) -> None:
        """Take a message for the conversation itself, such as a ping."""
        check_size(kind, len(message.body))
        if kind == "ping":
            self._pings_heard += 1
            if message.id is None:
                raise misplaced(message, "a ping must have an id, to be answered")
            if self._can_send():
                self.outgoing.say(Message(b""), "pong", 0, message.id)
        elif kind == "pong":
            if not self.calls.take_pong(message):
                raise misplaced(message, "a pong must name a ping that has no answer yet")
        elif kind == "close":
            self._end_as_peer_says(read_problem(message, "closed"))
        elif kind == "hello":
            self._take_hello(message)
        elif kind == "welcome":
            self.handshake.take_welcome(message)
            self._step(Step.GREETED)
        elif self._can_send():
            self.outgoing.complain("unsupported-kind", unknown_kind(kind), message.id or 0)

    def _take_hello(self, message: Message) -> None:
        is_late = self._kinds_heard > self._pings_heard + 1
        self.handshake.take_hello(message, is_late=is_late, can_answer=self._can_send())
        self.identity = self.handshake.owner or self.identity
        self.wants_keepalive = self.handshake.peer_wants_keepalive
        self._step(Step.GREETED)

    # Inside

    def _can_send(self) -> bool:
        """Whether this side may send any message: it has neither said close nor failed."""
        return self.is_open or self.phase is Phase.FINISHING

    def _can_answer(self) -> bool:
        """Whether answers can be sent, also to requests before a mistake of the peer."""
        return self._can_send() or self.outgoing.has_last_words

    def _ask(self, message: Message, kind: str, *, is_test: bool = False) -> Call:
        """Send a message that the peer must answer, or a test. Raises as ``send`` does."""
        if not (self.is_open or is_test):
            raise self.closed_error()
        self.outgoing.write(message, kind, self.calls.next_id, 0, False)
        return self.calls.begin(message.subject, kind == "ping", self.said)

    def _end_as_peer_says(self, farewell: RemoteError) -> None:
        """End for the reason in the peer's last message."""
        self.farewell = farewell
        self._end(Step.PEER_CLOSES, reason_said(farewell))

    def _end(self, step: Step, reason: ConnectionClosedError) -> None:
        """Go on to an end, or towards it, and end all calls. The first reason is the one kept."""
        if self._reason is None:
            self._reason = reason
        is_asked = self.farewell is None or self.farewell.code == "closed"
        if step is Step.PEER_CLOSES and self.phase is Phase.CLOSING and is_asked:
            self.calls.read = self.said  # the peer ends because it has read the end of this side
        self._step(step)
        calls = self.calls.end_all()
        unanswered = sum([not call.is_ping for call in calls])
        for call in calls:
            call.end(self.closed_error(unanswered))

    def _step(self, step: Step) -> None:
        self.phase = TRANSITIONS.get((self.phase, step), self.phase)
