"""What becomes of the messages of one connection: handled in order, answered, or held back.

A front-end derives its side of a connection from ``Session`` and supplies what needs a thread or an
event loop. Which message may be handled now, what its handler's answer turns into, and what is said
when a handler fails, is decided here for all of them. This module must never know a socket.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from telex.application.handler import Style
from telex.application.notifier import OBSERVER_FAILED
from telex.compilation import mypyc_attr
from telex.conversation.error_content import read_problem
from telex.errors import ConnectionClosedError, ContentError, Refusal
from telex.network.os_errors import not_handled
from telex.wire.factory import message_of
from telex.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Unpack

    from telex.application.application import Application
    from telex.application.handler import Handler
    from telex.application.notifier import Event, Notifier
    from telex.application.peer import MessageKeywords
    from telex.conversation.conversation import Conversation
    from telex.limits import Limits

logger: Final = logging.getLogger("telex.server")

LINGER_BYTES: Final = 64 * 1024 * 1024
"""How much a refused peer may still send before the connection is closed on it. Closing while it
sends would reset the connection, and the reset would overtake the error that it is told."""

LINGER_SECONDS: Final = 5.0
"""How long a connection that was refused stays, so that the reason can reach the peer."""

SILENT_SECONDS: Final = 1.0
"""How long a peer may be silent after the goodbye of a server that shuts down. It has all that is
its own then, and need not be waited for; while it still sends, a close would be a reset."""

TOO_SLOW: Final = 256
"""How many times ``high_water`` may wait for a peer to which handlers send unasked."""

_GROWING: Final = 2.0
"""How much memory a message that is coming in takes for each byte that has come: buffers grow ahead
of what they hold, and leave gaps behind."""

_SETTLED: Final = 1.25
"""How much everything else takes for each byte: there are gaps between buffers that come and go."""

_NO_PART: Final = object()
_LONGEST_SHOWN: Final = 80


class Run:
    """A handler at work on a message, for longer than one call."""

    __slots__ = ("handler", "message", "parts", "request", "size")

    def __init__(self, handler: Handler, message: Message) -> None:
        self.handler: Final = handler
        self.message: Final = message
        self.request: Final = _request_id(message)
        self.size: Final = message.memory_size
        self.parts: Iterator[object] | None = None


@mypyc_attr(allow_interpreted_subclasses=True)
class Session:
    """The messages of one connection on their way to the handlers, and the answers back.

    Everything here runs in the front-end's own thread. Derive, and supply ``_run_elsewhere``,
    ``_is_backed_up`` for output that the network has not taken, and the ``send`` of a ``Peer``.
    """

    __slots__ = (
        "_application",
        "_found",
        "_in_order",
        "_is_busy",
        "_is_dropped",
        "_is_followed",
        "_limits",
        "_running",
        "_stalled",
        "_waiting",
        "address",
        "bytes_at_work",
        "bytes_waiting",
        "conversation",
    )

    def __init__(
        self,
        application: Application,
        conversation: Conversation,
        limits: Limits,
        address: str,
    ) -> None:
        self.address: Final = address
        """Where the peer is, such as ``127.0.0.1:54321``."""
        self.conversation: Final = conversation
        self._application: Final = application
        self._found: Final[dict[str | None, Handler]] = application.found
        self._waiting: deque[Message] | None = None
        self._in_order: Run | None = None
        self._stalled: list[Run] | None = None
        self._running = 0
        self._limits: Final = limits
        self._is_busy = False
        self._is_dropped = False
        # Where a subclass looks at each message, there is no short way past it.
        self._is_followed = type(self)._handle is not Session._handle
        self.bytes_at_work: int = 0
        """Bytes of memory of the messages that are being handled for longer than one call."""
        self.bytes_waiting: int = 0
        """Bytes of memory of the messages that wait to be handled."""

    def __repr__(self) -> str:
        who = "" if self.identity is None else f" of {self.identity}"
        return f"<Peer {self.address}{who}, {self.conversation.phase.value}>"

    @property
    def identity(self) -> str | None:
        """Who the peer is, by the name of its token or certificate; None when it showed neither."""
        return self.conversation.identity

    @property
    def is_idle(self) -> bool:
        """Whether every message that came has been handled, and answered if it was a request."""
        return self._waiting is None and not self._running

    @property
    def is_at_rest(self) -> bool:
        """Whether the session is idle, and nothing is begun, in its conversation either."""
        return self.is_idle and self._stalled is None and self.conversation.is_at_rest

    @property
    def is_holding(self) -> bool:
        """Whether messages wait, or a generator waits for room, to be gone on with."""
        return self._waiting is not None or self._stalled is not None

    @property
    def is_holding_much(self) -> bool:
        """Whether so many messages wait that no more should be read.

        A few may wait, because reading on is how pings are answered while a handler takes its time.
        """
        if self._waiting is None:
            return False
        limits = self._limits
        return len(self._waiting) >= limits.max_pending or self.bytes_waiting > limits.high_water

    def take(self, messages: list[Message]) -> None:
        """Handle messages as far as they may be handled now, and hold the rest."""
        if self._waiting is not None:
            self._hold(messages)
            self.advance()
            return
        conversation = self.conversation
        for position, message in enumerate(messages):
            if self._is_busy or conversation.is_full or self._is_dropped:
                self._hold(messages[position:])
                return
            if self._is_followed:
                self._handle(message)
            else:
                _handle(self, message)

    def advance(self) -> None:
        """Go on with what was held, now that a handler is done or output has gone."""
        if self._stalled is not None:
            stalled, self._stalled = self._stalled, None
            for run in stalled:
                self._next_part(run)
        while self._waiting and not self._is_busy and not self._must_wait():
            message = self._waiting.popleft()
            self.bytes_waiting -= message.memory_size
            self._handle(message)
        if not self._waiting:
            self._waiting = None

    def drop(self) -> int:
        """Forget what waits, because the connection is gone; return how many messages."""
        stalled, self._stalled = self._stalled, None
        for run in stalled or ():
            self.broken_off(run)
        dropped = len(self._waiting or ())
        self._waiting = None
        self._is_dropped = True
        self.bytes_waiting = 0
        return dropped

    def returned(self, run: Run, result: object) -> None:
        """Take what a handler returned that ran elsewhere."""
        self._answer(run.handler, run.message, run.request, result)
        self._finish(run)

    def failed(self, run: Run, error: BaseException) -> None:
        """Take the exception of a handler that ran elsewhere."""
        self._report(run.handler, run.message, run.request, error)
        self._finish(run)

    def yielded(self, run: Run, part: object) -> bool:
        """Take one part of an answer from a generator; return whether more of them make sense."""
        return self._answer(run.handler, run.message, run.request, part, more=True)

    def exhausted(self, run: Run) -> None:
        """Take note that a generator has yielded its last part."""
        if run.request is not None:
            self._answer(run.handler, run.message, run.request, None)
        self._finish(run)

    def broken_off(self, run: Run) -> None:
        """Take note that a handler is not asked for more: nobody is left to send it to."""
        if isinstance(run.parts, Generator):
            try:
                run.parts.close()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - a user's code raises what it likes
                self._report(run.handler, run.message, run.request, error)
        self._finish(run)

    @abstractmethod
    def send(self, content: object, **keywords: Unpack[MessageKeywords]) -> None:
        """Send a message, or content with the keywords of ``Message``; see ``Peer.send``."""

    @abstractmethod
    def _run_elsewhere(self, run: Run) -> None:
        """Run a handler, or the next step of its generator, in a thread or an event loop.

        What comes of it is handed to ``returned``, ``yielded``, ``exhausted`` or ``failed``.
        """

    @abstractmethod
    def _is_backed_up(self) -> bool:
        """Whether more output waits for the network than should be added to."""

    def _memory_with(self, unsent: int) -> int:
        """Return about how many bytes the connection takes, of which ``unsent`` are output."""
        settled = (self.bytes_waiting + unsent) * _SETTLED
        conversation = self.conversation
        came = conversation.bytes_buffered
        growing = max(came * _GROWING, came + conversation.processor.bytes_set_aside)
        return self.bytes_at_work + int(settled + growing)

    def _hold(self, messages: list[Message]) -> None:
        if self._is_dropped:
            logger.warning("%s: %s", self.address, not_handled(len(messages)))
            return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.extend(messages)
        self.bytes_waiting += sum([message.memory_size for message in messages])

    def _must_wait(self) -> bool:
        return self.conversation.is_full or self._is_backed_up()

    def _handle(self, message: Message) -> None:
        """Have a message handled; called for each where ``_is_followed``."""
        _handle(self, message)

    def _answer(
        self,
        handler: Handler,
        message: Message,
        request: int | None,
        result: object,
        *,
        more: bool = False,
    ) -> bool:
        """Send what a handler returned; called for each answer where ``_is_followed``."""
        return _answer(self, handler, message, request, result, more)

    def _start(self, run: Run) -> None:
        self._running += 1
        self.bytes_at_work += run.size
        if not run.handler.concurrent:
            self._in_order = run
        self._is_busy = self._in_order is not None or self._running >= self._limits.max_pending
        if run.handler.style is not Style.GENERATOR:
            self._run_elsewhere(run)
            return
        try:
            run.parts = run.handler.call(run.message, self)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a user's code raises what it likes
            self.failed(run, error)
        else:
            self._next_part(run)

    def _next_part(self, run: Run) -> None:
        """Take parts from a generator until there is too much output, or none left."""
        assert run.parts is not None
        while not self._must_wait():
            if run.handler.blocking:
                self._run_elsewhere(run)
                return
            try:
                part = next(run.parts, _NO_PART)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - a user's code raises what it likes
                self.failed(run, error)
                return
            if part is _NO_PART:
                self.exhausted(run)
                return
            if not self.yielded(run, part):
                self.broken_off(run)
                return
        self._stalled = [*(self._stalled or ()), run]

    def _finish(self, run: Run) -> None:
        self._running -= 1
        self.bytes_at_work -= run.size
        if self._in_order is run:
            self._in_order = None
        self._is_busy = self._in_order is not None or self._running >= self._limits.max_pending

    def _report(
        self, handler: Handler, message: Message, request: int | None, error: BaseException
    ) -> None:
        """Answer for a handler that raised, and log it, unless it meant to refuse."""
        if isinstance(error, Refusal):
            self._note_failure(message, error.code)
            self._refuse(request, error.code, error.detail)
        elif isinstance(error, ContentError) and _does_not_fit(handler, message):
            self._note_failure(message, "bad-content")
            logger.warning("%s: %s: %s", self.address, about(message), error)
            self._refuse(request, "bad-content", str(error))
        else:
            self._note_failure(message, "handler-failed")
            failure = f"handler {handler.name} failed on {about(message)}"
            logger.error("%s: %s", self.address, failure, exc_info=error)
            self._tell_of_failure(message, error)
            if request is not None:
                self._refuse(request, "handler-failed", "the handler failed")

    def _tell_of_failure(self, message: Message, error: BaseException) -> None:
        """Call the application's failure hooks; what goes wrong in one of them is logged."""
        for hook in self._application.failure_hooks:
            try:
                hook(message, self, error)
            except Exception:
                logger.exception("the failure hook %s failed", getattr(hook, "__qualname__", hook))

    def _report_unhandled(self, message: Message) -> None:
        detail = f"no handler takes {about(message)}"
        self._note_failure(message, "no-handler")
        logger.warning("%s: %s", self.address, detail)
        if message.kind is not None:
            self._refuse(message.id, "no-handler", detail)

    def _note_failure(self, message: Message, code: str) -> None:
        """Take note that a message was not handled as it should be; see ``Watched``."""

    def _tell(self, event: Event | None, *facts: object) -> None:
        """Notify the observers of this event; what goes wrong there is no matter of the peer."""
        if event is not None:
            try:
                event(self, *facts)
            except Exception:
                logger.exception(OBSERVER_FAILED, self.address)

    def _tell_of_arrival(self, notifier: Notifier, size: int, messages: list[Message]) -> None:
        """Tell that bytes came, and which messages they completed."""
        if notifier.data_received is not None:
            processor = self.conversation.processor
            self._tell(notifier.data_received, size, processor.state, processor.bytes_needed)
        if notifier.message_received is not None:
            for message in messages:
                self._tell(notifier.message_received, message)

    def _refuse(self, request: int | None, code: str, detail: str) -> None:
        if request is None:
            self.conversation.complain(code, detail)
        else:
            self.conversation.refuse(request, code, detail)


# What every message passes. These are functions because a method that a subclass may replace is
# slow to call from compiled code.


def _handle(session: Session, message: Message) -> None:
    """Have a message handled: now, where its handler can be called directly, else by a run."""
    if message.kind == "error":
        problem = read_problem(message, "error")
        logger.warning("%s: the peer tells of an error: %s", session.address, problem)
        return
    handler = session._found.get(message.subject) or session._application.find(message.subject)
    if handler is None:
        session._report_unhandled(message)
    elif not handler.is_direct:
        session._start(Run(handler, message))
    else:
        request = _request_id(message)  # handlers may change their message
        try:
            result = handler.call(message, session)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a user's code raises what it likes
            session._report(handler, message, request, error)
        else:
            if session._is_followed:
                session._answer(handler, message, request, result)
            elif result is not None or request is not None:
                _answer(session, handler, message, request, result)


def _answer(
    session: Session,
    handler: Handler,
    message: Message,
    request: int | None,
    result: object,
    more: bool = False,
) -> bool:
    """Send what a handler returned: as the answer to a request, else as a plain message.

    Returns whether that could be sent.
    """
    try:
        answer = result if isinstance(result, Message) else message_of(_or_empty(result))
        if request is not None:
            session.conversation.answer(request, answer, more=more)
        elif result is not None:
            session.conversation.send(answer)
    except ConnectionClosedError as error:
        what = about(message)
        logger.warning("%s: the answer to %s was not sent: %s", session.address, what, error)
    except Exception as error:  # noqa: BLE001 - the user's types run code when written
        session._report(handler, message, request, error)
    else:
        return True
    return False


def _request_id(message: Message) -> int | None:
    """Return the number under which a message wants an answer; None for a plain one."""
    return None if message.kind is None else message.id


def about(message: Message) -> str:
    """Name a message in a sentence, by what it is about."""
    subject = message.subject
    if subject is None:
        return "a message without a subject"
    shown = subject if len(subject) <= _LONGEST_SHOWN else f"{subject[:_LONGEST_SHOWN]}…"
    return f"a message with subject {shown!r}"


def _or_empty(result: Any) -> Any:
    return b"" if result is None else result


def _does_not_fit(handler: Handler, message: Message) -> bool:
    """Whether the content is not what its header says, or not what the handler asks for."""
    try:
        if handler.content_type is None:
            _ = message.content
        else:
            message.decode(handler.content_type)
    except ContentError:
        return True
    return False
