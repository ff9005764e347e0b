"""One connection of a server: from its socket to the handlers, and back.

What messages mean is the conversation's to decide, and when they are handled the session's. Here
bytes are moved, and ``_settle`` alone decides what the socket waits for next, and when it is over.
It must never wait and never raise: nobody else may notice what happens to a connection.
"""

from __future__ import annotations

import contextlib
import copy
import time
from typing import TYPE_CHECKING, Final

from telex.application.session import (
    LINGER_BYTES,
    LINGER_SECONDS,
    SILENT_SECONDS,
    TOO_SLOW,
    Session,
)
from telex.conversation.conversation import Conversation, Phase
from telex.errors import ConnectionClosedError, TelexError
from telex.log import safe_logger
from telex.network.os_errors import not_handled, what_was_cut, without_frames
from telex.security.encryption import begins_tls
from telex.security.tls import identity_of
from telex.sync.loop import READ, WRITE
from telex.sync.output import Output
from telex.sync.transport import end_sending, receive, receive_into, send
from telex.wire.factory import message_from

if TYPE_CHECKING:
    import socket
    from typing import Unpack

    from telex.application.peer import MessageKeywords
    from telex.application.session import Run
    from telex.security.encryption import Encryption
    from telex.sync.service import Service
    from telex.wire.message import Message

_NEVER: Final = float("inf")
_END: Final = object()

logger: Final = safe_logger("telex.server")


class ServerConnection(Session):
    """A connection on the server's side; to handlers it is their ``Peer``."""

    __slots__ = (
        "_encryption",
        "_ending",
        "_has_ended",
        "_ignored",
        "_input_ended",
        "_is_leaving",
        "_is_paused",
        "_is_refused",
        "_linger_until",
        "_output",
        "_output_ended",
        "_output_is_lost",
        "_service",
        "_will_be_flushed",
        "bytes_held",
        "socket",
        "watched",
    )

    def __init__(
        self, service: Service, sock: socket.socket, address: str, encryption: Encryption | None
    ) -> None:
        conversation = Conversation(
            service.limits, service.greeting, serves=True, now=time.monotonic()
        )
        super().__init__(service.application, conversation, service.limits, address)
        self.socket: socket.socket = sock
        self.watched: int = 0
        self.bytes_held: int = 0
        """What the server counts for this connection."""
        self._service = service
        self._encryption = encryption
        # There is output while some is unsent.
        self._output: Output | None = None
        self._is_paused = False
        self._will_be_flushed = False
        # What is over already on the way to the end, and why it comes.
        self._input_ended = False
        self._output_ended = False
        self._output_is_lost = False
        self._is_leaving = False
        self._is_refused = False
        self._linger_until = _NEVER
        self._ignored = 0
        self._has_ended = False
        self._ending: ConnectionClosedError | None = None

    def begin(self) -> None:
        """Join the loop: from now on the connection receives. Raises OSError when it cannot."""
        self._service.loop.add(self)
        logger.debug("%s: connected", self.address)
        if self._service.observer is not None:
            self._tell(self._service.observer.connected)

    # What a handler may do

    def send(self, content: object, **keywords: Unpack[MessageKeywords]) -> None:
        """Send a message, or content with the keywords of ``Message``; any thread may call this.

        Raises ConnectionClosedError when the connection has ended, or ends now because the peer
        reads far too slowly. Other threads than the server's wait for their turn, and get a
        WaitTimeoutError when the server does not go on.
        """
        message = message_from(content, keywords)
        if self._service.loop.is_own_thread():
            self._send(message)
            return
        message = copy.copy(message)  # which may be changed before its turn comes
        header, body = message.to_buffers(self._service.limits)  # what is wrong is raised here
        self._check_open()
        self._service.loop.post(self.take_posted, message, size=len(header) + len(body))

    def take_posted(self, message: Message) -> None:
        """Send a message for another thread, which can no longer be told when it comes too late."""
        try:
            self._send(message)
        except TelexError as error:
            logger.warning("%s: a message was not sent: %s", self.address, error)

    def _send(self, message: Message) -> None:
        self._check_open()
        self.conversation.send(message)
        if self.conversation.is_full:
            if not self.conversation.is_over:  # else its last words come behind everything
                self._write()
            unsent = self._unsent() + self.conversation.bytes_to_send
            if unsent > self._service.limits.high_water * TOO_SLOW:
                self.end(ConnectionClosedError("us", "it reads far too slowly", code="overloaded"))
            self._check_open()
        self._flush_later()

    def _check_open(self) -> None:
        if self._ending is not None:
            raise ConnectionClosedError(
                self._ending.by, self._ending.reason, code=self._ending.code
            )
        if self._has_ended:
            raise self.conversation.closed_error()

    # What the loop calls

    def ready(self, events: int) -> None:
        """Receive, handle and send as far as it goes without waiting."""
        if self._has_ended:
            return
        try:
            self._will_be_flushed = True
            if events & READ:
                self._receive()
            if events & WRITE or not self.watched & WRITE:
                self._write()
            else:
                self._gather()
            if events & WRITE and self._waits_for_room() and not self._is_above_half():
                self.advance()
                self._write()
            self._will_be_flushed = False
            self._settle()
        except Exception:
            logger.exception("%s: ended by a fault of this server", self.address)
            self.end(TelexError("a fault of this server"))

    def flush(self) -> None:
        """Send what was taken outside of this connection's own turn."""
        self.ready(0)

    def check_time(self, now: float, is_late: bool) -> None:
        """Hold the peer to its times, unless the loop was too late to hear it; end what lingers."""
        if now >= self._linger_until:
            self.end()
        elif self._linger_until != _NEVER:
            return
        elif self._encryption is not None and not self._encryption.is_established:
            timeout = self._service.limits.handshake_timeout
            if now - self._encryption.begun_at >= timeout:
                reason = f"timed out after {timeout:g} s waiting for the TLS handshake"
                self.end(ConnectionClosedError("us", reason, code="timeout"))
        else:
            is_reading = bool(self.watched & READ) and not is_late
            unsent = self._unsent() if self._is_paused else 0
            self.conversation.check_time(now, is_reading=is_reading, unsent=unsent)
            if self.conversation.bytes_to_send or self.conversation.is_over:
                self.ready(0)

    # Endings

    def refuse(self, reason: str, code: str) -> None:
        """Tell the peer why it is not served, and end as soon as it knows."""
        self.conversation.fail(ConnectionClosedError("us", reason, code=code))
        self.ready(0)

    def overload(self, total: int) -> None:
        """End, because the server holds too much, and most of it for this connection."""
        reason = f"the server holds {total:,} bytes, and most of them for this connection"
        if self._unsent():  # a word of it would come after all that waits
            self.end(ConnectionClosedError("us", reason, code="overloaded"))
        else:
            self.refuse(reason, "overloaded")

    def leave(self) -> None:
        """Receive no more, and say goodbye when all that was received is handled and answered."""
        self._is_leaving = True
        if self._encryption is not None and not self._encryption.is_established:
            self.end(ConnectionClosedError("us", "the server is shutting down"))
            return
        if self._output_ended:
            self._linger_until = min(self._linger_until, time.monotonic() + SILENT_SECONDS)
        self.ready(0)

    @property
    def is_served(self) -> bool:
        """Whether there is more to do for it than to wait until it closes."""
        return not self._output_ended

    def cut_off(self) -> tuple[int, int]:
        """End at once, because the server does; return unanswered requests and unsent bytes.

        The peer is told as far as the network takes it now.
        """
        unanswered, unsent = self.conversation.unanswered, self._unsent()
        cut = None
        if self.is_served and not self.conversation.is_over:
            cut = ConnectionClosedError("us", "the server was shut down", code="shutting-down")
            self.conversation.fail(cut)
            self._write()
        self.end(cut)
        return unanswered, unsent

    def end(self, reason: TelexError | None = None) -> None:
        """End the connection at once, for this reason unless there was one before."""
        if self._has_ended:
            return
        self._has_ended = True
        final = self._final_reason(reason)
        self.conversation.lose("it has ended")
        self.conversation.data_to_send()
        self._let_go()
        self._service.loop.watch(self, 0)
        self.socket.close()  # first: Ctrl-C may come next, and the server closes whom it knows
        self._service.loop.remove(self)
        if isinstance(final, ConnectionClosedError) and not self._is_refused:
            logger.warning("%s: %s", self.address, final)
        else:
            logger.debug("%s: closed", self.address)
        if self._service.observer is not None:
            self._tell(self._service.observer.disconnected, final)
        self._account()

    # Receiving

    def _receive(self) -> None:
        """Take what has come, and have the messages handled that it completes."""
        buffer = None
        if self._encryption is None and not self._output_ended:
            buffer = self.conversation.content_buffer()
        try:
            if buffer is not None:
                self._receive_content(buffer)
                return
            data = receive(self.socket)
        except ConnectionClosedError as error:
            self._input_ended = True
            self._lose_output(error)
            return
        if data is None:
            return
        if not data:
            self._end_stream()
        elif self._encryption is None:
            self._process(data)
        else:
            self._decrypt(self._encryption, data)

    def _receive_content(self, buffer: memoryview) -> None:
        """Take what has come of long content straight to where it belongs."""
        with buffer:
            size = receive_into(self.socket, buffer)
        if size:
            self._take_in(size, self.conversation.content_received(size))
        elif size == 0:
            self._end_stream()

    def _decrypt(self, encryption: Encryption, data: bytes) -> None:
        """Take what has come with TLS around it."""
        was_established = encryption.is_established
        if not encryption.has_begun and not begins_tls(data):
            self._encryption = None
            self.conversation.fail(
                ConnectionClosedError(
                    "us",
                    "the client does not speak TLS, as this address demands; right would be tls://",
                    code="bad-message",
                )
            )
            return
        said = encryption.receive(data)
        if encryption.is_established and not was_established:
            self.conversation.identity = identity_of(encryption.certificate)
        if said:
            self._process(said)
        if encryption.error is not None:
            self._ending = self._ending or encryption.error
            self.conversation.lose(encryption.error.reason)
        elif encryption.has_ended:
            self._end_input()

    def _process(self, data: bytes) -> None:
        if self._output_ended or self.conversation.is_over:
            self._ignore(len(data))
        else:
            self._take_in(len(data), self.conversation.receive_data(data))

    def _take_in(self, size: int, messages: list[Message]) -> None:
        """Have the messages handled that ``size`` bytes have completed."""
        observer = self._service.observer
        if observer is not None:
            self._tell_of_arrival(observer, size, messages)
        if messages:
            self.take(messages)

    def _ignore(self, size: int) -> None:
        """Drop what comes after the end, and wait on for the peer's, though not for ever."""
        self._ignored += size
        if self._is_leaving and not self._is_refused:
            self._linger_until = time.monotonic() + SILENT_SECONDS
        if self._ignored > LINGER_BYTES:
            self.end()

    def _end_stream(self) -> None:
        """Take note of the end of what the socket gives.

        With TLS it is good only if the peer has said so, or if what could follow is ignored anyway.
        """
        conversation = self.conversation
        error = None
        if self._encryption is not None and not self._output_ended and not conversation.is_over:
            error = self._encryption.error_at_end_of_stream()
        if error is None or conversation.farewell is not None:
            self._end_input()
        else:
            self._input_ended = True
            self._lose_output(error)

    def _end_input(self) -> None:
        """Take note that the peer sends no more; it may still receive."""
        self._input_ended = True
        if self._ending is None:
            self.conversation.receive_eof()

    # Sending

    def _write(self) -> None:
        """Send what the socket takes now."""
        try:
            if self._output is None and self._encryption is None and not self._output_is_lost:
                self._send_at_once()
            else:
                self._gather()
            if self._output is not None and self._output.size:
                self._output.send_to(self.socket)
        except ConnectionClosedError as error:
            self._lose_output(error)

    def _send_at_once(self) -> None:
        """Send what the conversation has to say where nothing waits: nearly always, all goes."""
        pieces = self.conversation.data_to_send()
        if len(pieces) == 1 and not self._output_ended:
            (piece,) = pieces
            try:
                sent = send(self.socket, piece)
            except ConnectionClosedError:
                self._add(pieces)
                raise
            if sent == len(piece):
                return
            pieces = [piece[sent:]]
        if pieces:
            self._add(pieces)

    def _gather(self) -> None:
        """Take what the conversation has to say."""
        if self._encryption is not None:
            self._add_encrypted(self._encryption)
        elif self.conversation.bytes_to_send:
            self._add(self.conversation.data_to_send())

    def _add_encrypted(self, encryption: Encryption) -> None:
        is_open = encryption.is_established and encryption.error is None
        if is_open and self.conversation.bytes_to_send:
            self._add(encryption.encrypt(self.conversation.data_to_send()))
        of_tls = encryption.data_to_send()
        if of_tls:
            self._add([of_tls])

    def _add(self, pieces: list[bytes]) -> None:
        if self._output_ended:
            return
        if self._output is None:
            self._output = Output()
            if self._output_is_lost:
                self._output.discard()
        self._output.extend(pieces)

    def _lose_output(self, error: ConnectionClosedError) -> None:
        """Give up sending; what the peer sent before it went is still received and handled."""
        if self._ending is None and self.conversation.error is None:
            self._ending = without_frames(error)
        self._output_is_lost = True
        if self._output is not None:
            self._output.discard()
        if self.conversation.is_over:
            self._input_ended = True

    def _flush_later(self) -> None:
        if not self._will_be_flushed and not self._has_ended:
            self._will_be_flushed = True
            self._service.loop.unflushed.append(self)

    def _unsent(self) -> int:
        return 0 if self._output is None else self._output.size

    # What happens next

    def _settle(self) -> None:
        """Decide what to wait for next: the one place that does, and that sees the end."""
        if self._has_ended or self._goes_on_as_before():
            return
        conversation = self.conversation
        is_ending = conversation.phase is not Phase.OPEN or self._is_leaving or self._input_ended
        if is_ending and self._conclude():
            return
        unsent = self._unsent()
        if not unsent and not self._output_is_lost:
            self._output = None
        if unsent > self._service.limits.high_water:
            self._is_paused = True
        elif not self._is_above_half():
            self._is_paused = False
        events = WRITE if unsent or self._waits_for_room() else 0
        if not self._input_ended and self._is_heard():
            events |= READ
        if events != self.watched:
            self._service.loop.watch(self, events)
        self._account()

    def _goes_on_as_before(self) -> bool:
        """Whether a turn has left nothing behind, as nearly all do: nothing is held, or ends.

        The short way to what ``_settle`` would decide; whatever it looks at is looked at here.
        """
        return (
            self.watched == READ
            and self._output is None
            and not self.bytes_held
            and not (self._input_ended or self._output_ended)
            and not (self._is_leaving or self._is_paused)
            and self.is_at_rest
        )

    def _is_heard(self) -> bool:
        """Whether what the peer sends can be handled, or is only read to see its end."""
        if self._output_ended or self.conversation.is_over:
            return True
        if self._is_leaving or self._is_paused or self.is_holding_much:
            return False
        if self._stalled is not None:
            return False
        # What was broken off because nobody receives it stays unanswered: no room comes of waiting.
        is_given_up = self._output_is_lost and self.is_idle
        return is_given_up or not self.conversation.is_saturated

    def _conclude(self) -> bool:
        """Take the ending as far as it goes now: goodbye, the end of the output, the end.

        Return whether that was reached.
        """
        conversation = self.conversation
        if self.is_idle and not conversation.is_over:
            if self._output_is_lost and self._input_ended:
                self.end()
                return True
            if self._is_leaving:
                conversation.close("shutting-down", "the server is shutting down")
            elif conversation.phase is Phase.FINISHING:
                conversation.close("closed", "everything is answered")
            self._write()
        phase = conversation.phase
        if phase is Phase.FAILED and not self._is_refused:
            self._note_refusal()
        if phase is Phase.FAILED or phase is Phase.CLOSED or phase is Phase.CLOSING:
            self._end_output()
            if self._output_ended and self._input_ended:
                self.end()
                return True
        return False

    def _note_refusal(self) -> None:
        """Let go of what a peer that is refused has sent, and wait a bounded time for its end."""
        self._is_refused = True
        self._linger_until = time.monotonic() + LINGER_SECONDS
        what_was_cut(self.conversation.processor)
        dropped = self.drop()
        lost = f"; {not_handled(dropped)}" if dropped else ""
        logger.warning("%s: %s%s", self.address, self._ending or self.conversation.error, lost)

    def _end_output(self) -> None:
        """Tell the peer that nothing follows, once it has been sent everything."""
        if self._output_ended:
            return
        if self._encryption is not None and self._encryption.end():
            self._write()
        if self._unsent() or self.conversation.bytes_to_send:
            return
        self._output_ended = True
        end_sending(self.socket)
        if self._linger_until == _NEVER:
            patience = SILENT_SECONDS if self._is_leaving else LINGER_SECONDS
            self._linger_until = time.monotonic() + patience

    def _final_reason(self, reason: TelexError | None) -> TelexError | None:
        """Complete the reason of the ending with what was lost by it; None when all is well."""
        conversation = self.conversation
        output = self._output
        unsent = conversation.bytes_to_send + (0 if output is None else output.size + output.lost)
        unanswered = conversation.unanswered
        dropped = self.drop()
        lost = what_was_cut(conversation.processor)
        if dropped:
            lost += f"; {not_handled(dropped)}"
        reason = self._ending or reason or conversation.error
        if reason is None and (unsent or unanswered or lost):
            reason = ConnectionClosedError("us", "the server was shut down", code="shutting-down")
        if not isinstance(reason, ConnectionClosedError):
            return reason
        self._ending = ConnectionClosedError(
            reason.by, reason.reason + lost, code=reason.code, unsent=unsent, unanswered=unanswered
        )
        self._ending.__cause__ = reason.__cause__
        return self._ending

    def _let_go(self) -> None:
        """Keep nothing large: handlers may keep their peers, and errors have tracebacks."""
        if self._output is not None:
            self._output.discard()
            self._output = None
        self._encryption = None
        for error in (self.conversation.error, self.conversation.processor.error):
            if error is not None:
                without_frames(error)

    # Handlers

    def yielded(self, run: Run, part: object) -> bool:
        """Take one part of an answer; nobody receives it when the connection is over."""
        if self._output_is_lost or self.conversation.is_over:
            return False
        return super().yielded(run, part)

    def _run_elsewhere(self, run: Run) -> None:
        self._service.threads.submit(self._work, run)

    def _work(self, run: Run) -> None:
        """Run a handler, or the next step of a generator, in a thread."""
        result: object = None
        failure: BaseException | None = None
        try:
            if self._is_refused:
                result = _END
            elif run.parts is None:
                result = run.handler.call(run.message, self)
            else:
                result = next(run.parts, _END)
        except BaseException as error:  # noqa: BLE001 - the loop's thread reports it
            failure = error
        with contextlib.suppress(ConnectionClosedError):  # the server has ended
            self._service.loop.post(self._take_outcome, run, result, failure)

    def _take_outcome(self, run: Run, result: object, failure: BaseException | None) -> None:
        """Go on with what a handler returned, yielded or raised in its thread."""
        try:
            self._hand_over(run, result, failure)
            if not self._has_ended:
                self.advance()
        except Exception as error:
            logger.exception("%s: ended by a fault of this server", self.address)
            self.end(TelexError(f"a fault of this server: {error}"))
        self.ready(0)
        if self._has_ended:
            self._account()

    def _hand_over(self, run: Run, result: object, failure: BaseException | None) -> None:
        if isinstance(failure, Exception):
            self.failed(run, failure)
        elif failure is not None:
            name = type(failure).__name__
            error = RuntimeError(f"{name}, which ends no thread of a server")
            error.__cause__ = failure
            self.failed(run, error)
        elif run.parts is None:
            self.returned(run, result)
        elif result is _END:
            self.exhausted(run)
        elif self.yielded(run, result):
            self._next_part(run)
        else:
            self.broken_off(run)

    def _is_backed_up(self) -> bool:
        return self._unsent() > self._service.limits.high_water

    def _is_above_half(self) -> bool:
        """Say whether more than half of what may be unsent still is."""
        return self._unsent() > self._service.limits.high_water // 2

    def _waits_for_room(self) -> bool:
        """Whether there is more to handle, or to yield, as soon as output has gone."""
        return self._stalled is not None or (self._waiting is not None and not self._is_busy)

    # What it holds

    @property
    def bytes_to_gain(self) -> int:
        """How much less the server would hold without this connection; 0 when it ends already."""
        return 0 if self.conversation.is_over else self.bytes_held

    def _account(self) -> None:
        """Tell the server when this connection holds more or less than it did."""
        held = self.bytes_at_work
        if not self._has_ended:
            output = 0 if self._output is None else self._output.held
            held = self._memory_with(self.conversation.bytes_to_send + output)
        if held != self.bytes_held:
            before, self.bytes_held = self.bytes_held, held
            self._service.account(held - before)
