"""One connection without its socket: the one place that decides what happens to it.

It owns the conversation, the layer (TLS or none), the unsent output and the reason of the end, for
both ends. A driver moves the bytes: it hands in what came and the time, sends what ``data_to_send``
returns, and says how much of that went. Whether to read on, how much is too much, which timer comes
next and when to give up is decided here; the steps of the end are kept by ``closing``. This module
must never know a socket, a thread, a clock or an event loop.

Times are seconds of a clock that never goes back, such as ``time.monotonic``. A driver receives
what has come before it calls ``handle_deadline``: then no peer is blamed for a time in which nobody
listened to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.connection.backlog import Backlog
from telex.connection.closing import Closing
from telex.connection.ending import Ending
from telex.connection.layer import Layer
from telex.connection.memory import memory_of
from telex.connection.output import Output
from telex.connection.times import Times
from telex.connection.unread import Unread
from telex.connection.wrapping import Wrapping
from telex.conversation.batch import BATCH_SIZE
from telex.conversation.conversation import Conversation
from telex.conversation.greeting import Greeting
from telex.conversation.states import Phase
from telex.errors import ConnectionClosedError
from telex.limits import Limits
from telex.wire.message import Message
from telex.wire.processor import WORTH_ITS_OWN

if TYPE_CHECKING:
    from mypy_extensions import i64

    from telex.connection.output import Piece

_NOTHING: Final[list[Piece]] = []


class Connection:
    """One connection without its socket, at either end.

    ``serves`` says that the peer has connected to this end, and that this end answers requests.
    ``greeting`` is what this end says of itself; a ``layer`` lies around the conversation's bytes.
    Raises ContentError for a greeting that cannot be written.

    What is said goes to the ``conversation``, and comes out of ``data_to_send``. Received messages
    that wait are in ``unread``. Whoever runs handlers keeps ``handlers_running`` and
    ``bytes_at_work`` (memory of the messages that are being handled).
    """

    __slots__ = (
        "_backlog",
        "_is_reading",
        "_now",
        "_output",
        "_serves",
        "_times",
        "_wrapping",
        "bytes_at_work",
        "closing",
        "conversation",
        "handlers_running",
        "said",
        "unread",
    )

    def __init__(
        self,
        limits: Limits,
        greeting: Greeting,
        *,
        serves: bool,
        now: float,
        layer: Layer | None = None,
        identity: str | None = None,
    ) -> None:
        self.conversation: Final = Conversation(
            limits, greeting, serves=serves, now=now, identity=identity
        )
        self.unread: Final = Unread(limits, is_handled=serves)
        self._output: Final = Output()
        self._backlog: Final = Backlog(self.conversation, self._output, limits)
        self.closing: Final = Closing(self.conversation, self._output)
        """The steps of the end that were taken; drivers look at them."""
        self._times: Final = Times(
            self.conversation, self.closing, self.unread, limits, serves=serves, now=now
        )
        self._serves: Final = serves
        self._wrapping: Wrapping | None = None
        if layer is not None:
            self._wrapping = Wrapping(layer, self.conversation, self.closing, self._output)
        self._now: float = now
        self._is_reading = True
        self.handlers_running: int = 0
        self.bytes_at_work: int = 0
        self.said: i64 = 0
        """Bytes that the conversation has handed over to be sent, before the layer."""
        if not serves:
            self.conversation.wants_keepalive = greeting.keepalive

    # What arrives

    def receive_data(self, data: bytes | memoryview, now: float) -> list[Message]:
        """Take bytes from the network; return the messages that they complete, in order.

        What the peer does wrong never raises: it ends the connection.
        """
        self._now = now
        if self._wrapping is not None:
            return self._receive_wrapped(self._wrapping, data)
        return self._take(data)

    def content_buffer(self, least: i64 = WORTH_ITS_OWN) -> memoryview | None:
        """Return where to receive long content without a copy; see ``MessageProcessor``."""
        if self._wrapping is not None or self.closing.ignores_input:
            return None
        return self.conversation.content_buffer(least)

    def content_received(self, size: int, now: float) -> list[Message]:
        """Accept ``size`` bytes received into ``content_buffer()``; see ``receive_data``."""
        self._now = now
        return self._unless_closing(self.conversation.content_received(size))

    def receive_eof(self, now: float) -> None:
        """Handle the end of the network's stream.

        With a layer that is a good end only where the peer has announced it, or where nothing
        matters that could follow.
        """
        self._now = now
        error = None
        is_expected = self.closing.ignores_input or self.closing.input_ended
        if self._wrapping is not None and not is_expected and self.conversation.farewell is None:
            error = self._wrapping.error_at_eof
        if error is None:
            self.closing.end_input()
        else:
            self.lost(error, now)

    def output_lost(self, error: ConnectionClosedError, now: float) -> None:
        """Handle a network that takes nothing more; bytes of the peer can still arrive.

        Requests that wait are dropped: nobody receives the answers.
        """
        self._now = now
        self.closing.lose_output(error)
        if self._serves and self.unread.count:
            self.ending.dropped += self.unread.drop_requests()

    def lost(self, error: ConnectionClosedError, now: float) -> None:
        """Handle the loss of the network in both directions, for the reason ``error``."""
        self.closing.input_ended = True
        self.output_lost(error, now)

    # What is sent

    def send(self, message: Message) -> None:
        """Send a plain message; see ``Conversation.send``.

        A peer that has not taken ``BACKLOG_FACTOR`` times ``high_water`` bytes is refused. Raises
        ConnectionClosedError then, and when the connection has ended.
        """
        self.check_open()
        if self._backlog.is_far_too_much:
            self.refuse("overloaded", "it reads far too slowly", self._now)
            raise self.ending.closed_error()
        self.conversation.send(message)

    def data_to_send(self) -> list[Piece]:
        """Return the unsent bytes in order, as many pieces as one system call takes.

        They stay unsent until ``data_sent``. Do not change the list.
        """
        if self.closing.has_begun:
            self._advance_closing()
        conversation, output = self.conversation, self._output
        size: i64 = conversation.bytes_to_send
        if self._wrapping is not None:
            self._wrapping.wrap()
            self.said += size - conversation.bytes_to_send
        elif size:
            self.said += size
            output.add(conversation.data_to_send())
        return output.offered() if output.size else _NOTHING

    def data_sent(self, size: i64) -> None:
        """Forget the first ``size`` unsent bytes: the network has taken them."""
        self._output.forget(size)

    @property
    def wants_to_write(self) -> bool:
        """Whether the driver is to wait until the network takes more.

        What waits for a layer that is not agreed on yet is unsent, and cannot be sent either.
        """
        return self._output.size > 0

    @property
    def wants_to_end_output(self) -> bool:
        """Whether the driver is to end the output now: all is sent, and nothing follows."""
        closing = self.closing
        if not closing.is_last_said or closing.output_ended or self._output.size:
            return False
        if self._wrapping is not None and self._wrapping.is_useless:
            return True
        return self.is_established and self.conversation.bytes_to_send == 0

    def output_ended(self, now: float) -> None:
        """Wait for the peer's end: the driver has ended the output."""
        self._now = now
        self.closing.note_output_ended(now)

    # How the connection ends

    def close(self, now: float) -> None:
        """Say goodbye. What still comes is received, and dropped.

        Whoever closes waits until ``is_finished``. Where requests were given up, the peer may be at
        work on them for long: then the connection ends when the peer is known to have read all
        plain messages, ``SILENT_SECONDS`` after everything is sent at the latest.
        """
        self._now = now
        self.closing.is_closing = True
        self._unless_closing(self.unread.clear())
        self.closing.close()

    def leave(self, now: float) -> None:
        """Read no more, and say goodbye when everything that came is handled and answered."""
        self._now = now
        self.closing.leave(now, can_tell=self.is_established)

    def refuse(self, code: str, why: str, now: float) -> None:
        """Tell the peer why it is not served, and end when it knows; see ``Closing.refuse``."""
        self._now = now
        error = ConnectionClosedError("us", why, code=code)
        self.closing.refuse(error, has_layer=self._wrapping is not None)
        self._advance_closing()

    def cut_off(self, error: ConnectionClosedError, now: float) -> None:
        """End at once, for this reason unless there is one; the peer is told where that can be."""
        self._now = now
        self.closing.cut_off(error, can_tell=self.is_established)

    def finish(self) -> Ending:
        """End the connection: the driver closes the socket. Return how it has ended."""
        ending = self.ending
        if not ending.is_final:
            self.closing.finish()
            if self.is_established:
                self._wrapping = None
        return ending

    def check_open(self) -> None:
        """Raise ConnectionClosedError when the connection has broken, was cut off or refused."""
        if self.closing.has_broken or self.closing.is_refused:
            raise self.closing.ending.closed_error()

    @property
    def ending(self) -> Ending:
        """How the connection ends, as far as that is known."""
        return self.closing.ending

    @property
    def is_finished(self) -> bool:
        """Whether the driver is to close, once it has tried to send what there is."""
        return self.closing.is_finished(self.is_idle)

    # How things stand

    @property
    def is_established(self) -> bool:
        """Whether messages can be sent: there is no layer, or it is agreed on."""
        return self._wrapping is None or self._wrapping.is_established

    @property
    def awaits_welcome(self) -> bool:
        """Whether a greeting was said or is demanded, and its answer is not there yet."""
        return self.conversation.phase is Phase.GREETING

    @property
    def is_open(self) -> bool:
        """Whether more may be said: neither side has ended the connection, and nothing broke it."""
        return self.conversation.is_open and not self.closing.has_broken

    @property
    def is_idle(self) -> bool:
        """Whether every message that came has been handled, and answered if it was a request."""
        return not self.handlers_running and (not self._serves or self.unread.is_empty)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has begun, so that a driver has nothing to decide after a turn."""
        return (
            self._is_reading
            and not self._output.size
            and not self.handlers_running
            and not self._backlog.was_too_much
            and self.unread.is_empty
            and self.conversation.is_at_rest
            and not self.closing.has_begun
        )

    @property
    def is_backed_up(self) -> bool:
        """Whether so much output is unsent that nothing should be added, until half of it went."""
        return self._backlog.is_too_much

    @property
    def has_room(self) -> bool:
        """Whether an answer in parts may go on."""
        return self._backlog.has_room

    @property
    def must_send_first(self) -> bool:
        """Whether to send before more is said: a whole batch waits, or too much is unsent."""
        return self.is_backed_up or self.conversation.bytes_to_send >= BATCH_SIZE

    @property
    def unsent(self) -> int:
        """Bytes that were handed over and that the network has not taken."""
        return self._backlog.size

    @property
    def sent(self) -> int:
        """Bytes that the network has taken of those that were handed over.

        When it reaches what ``sent + unsent`` was, everything that was unsent then has gone.
        """
        return self._output.progress

    @property
    def memory_held(self) -> int:
        """About how many bytes of memory the connection takes."""
        settled = self.unread.size + self._output.held + self.conversation.bytes_to_send
        return self.bytes_at_work + memory_of(self.conversation.processor, settled)

    @property
    def memory_to_gain(self) -> int:
        """How many of these bytes are free as soon as the connection has ended.

        What handlers are at work on is free when they are done.
        """
        return 0 if self.closing.is_cut else self.memory_held - self.bytes_at_work

    @property
    def wants_to_read(self) -> bool:
        """Whether the driver is to receive.

        Reading pauses for this end's own sake: where too much waits to be taken, or to be sent. An
        end with requests of its own reads on for their answers, and refuses requests of the peer.
        """
        self._is_reading = self._may_read()
        return self._is_reading

    @property
    def next_deadline(self) -> float:
        """When ``handle_deadline`` is to be called; infinity where nothing is waited for."""
        return self._times.next_deadline(is_established=self.is_established)

    def handle_deadline(self, now: float) -> None:
        """Do what is due: ping, end a pause, or give the peer up. Send afterwards.

        What has come must have been received before; see the beginning of the module.
        """
        self._now = now
        if now >= self.closing.linger_until:
            self.closing.is_cut = True
        elif self.is_established or self.conversation.is_over:
            sent, is_unsent = self._output.sent, self._output.size > 0
            self._times.look(now, is_reading=self._is_reading, sent=sent, is_unsent=is_unsent)
        elif (error := self._times.late_handshake(now)) is not None:
            self.cut_off(error, now)

    def take_stall(self) -> int:
        """Return, once, how many bytes are unsent of which the peer has taken nothing for long."""
        stall, self._times.stall = self._times.stall, 0
        return stall

    # Inside

    def _may_read(self) -> bool:
        closing = self.closing
        self._backlog.holds_reading_up = False
        if closing.input_ended or closing.is_cut:
            return False
        if closing.ignores_input or closing.is_closing:
            return True
        if closing.is_leaving:
            return False
        self.unread.is_sending = self._backlog.size > 0
        if self.unread.is_too_much:
            self.unread.look()
            return False
        conversation = self.conversation
        if conversation.calls.open_requests > 0:
            return True
        if not self._serves:
            return not self._backlog.is_owed_too_much
        if closing.output_lost and self.is_idle:
            return True  # nobody receives the answers, so pending requests never get fewer
        if self.unread.count and not self.handlers_running:
            return False  # what came is handled first, in the next turns
        self._backlog.holds_reading_up = self.is_backed_up
        return not (self._backlog.holds_reading_up or conversation.is_saturated)

    def _take(self, data: bytes | memoryview) -> list[Message]:
        """Take bytes of the conversation."""
        if self.closing.ignores_input:
            self.closing.ignore(len(data), self._now)
            return []
        messages = self.conversation.receive_data(data)
        if self._backlog.is_owed_far_too_much:
            self.refuse("overloaded", "it does not take the answers to what it sends", self._now)
        return self._unless_closing(messages) if self.closing.is_closing else messages

    def _receive_wrapped(self, wrapping: Wrapping, data: bytes | memoryview) -> list[Message]:
        """Take bytes of the network, with the layer around them."""
        if wrapping.is_broken:
            self.closing.ignore(len(data), self._now)
            return []
        said = wrapping.unwrap(data)
        mismatch = wrapping.mismatch
        if mismatch:
            self._wrapping = None  # so that the peer can be told
            self.conversation.fail(ConnectionClosedError("us", mismatch, code="bad-message"))
        messages = self._take(said) if said else []
        wrapping.end_if_due()
        return messages

    def _unless_closing(self, messages: list[Message]) -> list[Message]:
        """Return messages, or drop them where the program has closed the connection."""
        if not self.closing.is_closing:
            return messages
        self.ending.note_dropped(messages)
        return []

    def _advance_closing(self) -> None:
        """Take the next steps of the end; drop what a refused peer sent and nobody handled."""
        closing, unread = self.closing, self.unread
        closing.advance(self.is_idle, not self._serves or unread.is_empty, self._now)
        if closing.is_refused and self._serves and unread.count:
            closing.ending.dropped += len(unread.clear())
