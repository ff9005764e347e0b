"""The dispatcher: it gives the messages of one connection to handlers, and their answers back.

Which message may be handled now, what a handler's answer turns into, and what the peer is told when
a handler fails, is decided here for every front-end. A handler that takes its time is run by the
front-end: ``run_elsewhere`` is handed in. This module must never know a socket or an event loop.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from telex.application.handler import Style, does_not_fit
from telex.application.naming import named
from telex.application.notifier import call_hook, notify, tell_of_arrival
from telex.application.run import Run, Turn, request_id
from telex.conversation.batch import BATCH_SIZE
from telex.conversation.error_content import read_problem
from telex.errors import ConnectionClosedError, ContentError, Refusal, TooLargeError
from telex.log import safe_logger
from telex.wire.factory import message_of
from telex.wire.message import Message

if TYPE_CHECKING:
    from telex.application.application import Application
    from telex.application.handler import Handler
    from telex.application.notifier import Notifier
    from telex.application.peer import Peer
    from telex.connection.connection import Connection
    from telex.conversation.conversation import Conversation

logger: Final = safe_logger("telex.server")

_NO_PART: Final = object()


class Dispatcher:
    """Gives the messages of one connection to handlers, in the front-end's own thread.

    ``run_elsewhere`` runs a handler, or the next step of its generator, in a thread or an event
    loop, and hands the outcome to ``returned``, ``yielded``, ``exhausted``, ``broken_off`` or
    ``failed``. Where a run ``is_unwanted``, only its generator should be closed there, and
    ``broken_off`` called. ``notifier`` is None where nobody observes what becomes of messages.
    """

    __slots__ = (
        "_application",
        "_connection",
        "_conversation",
        "_found",
        "_in_order",
        "_is_busy",
        "_is_closed",
        "_is_spent",
        "_max_pending",
        "_notifier",
        "_run_elsewhere",
        "_stalled",
        "drop_unwanted",
        "peer",
    )

    def __init__(
        self,
        application: Application,
        connection: Connection,
        peer: Peer,
        run_elsewhere: Callable[[Run], None],
        *,
        max_pending: int,
        notifier: Notifier | None = None,
    ) -> None:
        self.peer: Final = peer
        """The other end, as handlers see it."""
        self.drop_unwanted: Callable[[], object] | None = None
        """Drops what ``run_elsewhere`` was given, and has not begun, where it is unwanted."""
        self._application: Final = application
        self._connection: Final = connection
        self._conversation: Final[Conversation] = connection.conversation
        self._found: Final[dict[str | None, Handler]] = application.found
        self._run_elsewhere: Final = run_elsewhere
        self._notifier: Final = notifier
        self._max_pending: Final = max_pending
        self._in_order: Run | None = None
        self._stalled: deque[Run] | None = None
        self._is_busy = False
        self._is_closed = False
        # Whether the handlers have had their time in this turn.
        self._is_spent = False

    @property
    def can_advance(self) -> bool:
        """Whether ``advance`` has a message to handle, or a generator to ask for a part.

        The driver then takes another turn soon, when other connections have had theirs.
        """
        if self._stalled is not None and self._may_yield():
            return True
        return self._connection.unread.count > 0 and not self._is_busy and not self._must_wait()

    @property
    def has_generators(self) -> bool:
        """Whether generators are held until there is room, or for another turn."""
        return self._stalled is not None

    def is_unwanted(self, run: Run) -> bool:
        """Say whether nobody wants what comes of a run. Any thread may ask."""
        closing = self._connection.closing
        if run.is_unwanted or closing.is_refused:
            return True
        return run.request is not None and not closing.can_answer

    def received(self, size: int, messages: list[Message]) -> None:
        """Take the messages that ``size`` bytes completed: handle or hold each of them."""
        if self._notifier is not None:
            tell_of_arrival(self._notifier, self.peer, self._conversation, size, messages)
        if messages:
            self._take(messages)

    def advance(self) -> None:
        """Go on with what was held, for ``TURN_SECONDS``; a driver calls it once in each turn.

        Where ``received`` has used up the time of this turn, only generators go on.
        """
        if self._stalled is not None:
            self._resume_generators()
        if self._is_spent:
            self._is_spent = False
            return
        unread, turn = self._connection.unread, Turn()
        while unread.count and not self._is_busy and not self._must_wait():
            if turn.is_over():
                return
            self._handle(unread.take())

    def close(self) -> None:
        """Forget what waits: the connection has ended, or is refused."""
        self._is_closed = True
        stalled, self._stalled = self._stalled, None
        for run in stalled or ():
            self._break_off(run)
        self._connection.ending.dropped += len(self._connection.unread.clear())
        drop, self.drop_unwanted = self.drop_unwanted, None
        if drop is not None:
            drop()

    # What comes of a handler that runs elsewhere

    def returned(self, run: Run, result: object) -> None:
        """Answer with what a handler returned."""
        self._answer(run.handler, run.message, run.request, result)
        self._finish(run)

    def failed(self, run: Run, error: BaseException) -> None:
        """Answer for a handler that raised."""
        self._report(run.handler, run.message, run.request, error)
        self._finish(run)

    def yielded(self, run: Run, part: object) -> bool:
        """Send one part of an answer; return whether more of them make sense."""
        if not self._connection.closing.can_answer:
            return False
        return self._answer(run.handler, run.message, run.request, part, more=True)

    def exhausted(self, run: Run) -> None:
        """End an answer in parts: the generator has yielded its last."""
        if run.request is not None:
            self._answer(run.handler, run.message, run.request, None)
        self._finish(run)

    def broken_off(self, run: Run) -> None:
        """Close a generator: nobody is left to receive its parts."""
        if isinstance(run.parts, Generator):
            try:
                run.parts.close()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - a user's code raises what it likes
                self._report(run.handler, run.message, run.request, error)
        self._finish(run)

    def dropped(self, run: Run) -> None:
        """Count a message whose handler was not called: nobody wants what would come of it."""
        self._connection.ending.dropped += 1
        self._finish(run)

    def go_on_with(self, run: Run) -> None:
        """Ask a generator for its next part, now or when there is room for it."""
        self._next_parts(run, Turn())

    # Handling

    def _take(self, messages: list[Message]) -> None:
        conversation, closing = self._conversation, self._connection.closing
        if closing.output_lost:
            messages = self._without_requests(messages)
        if self._connection.unread.count:
            self._hold(messages)
            return
        turn, was_refused = Turn(), closing.is_refused
        for position, message in enumerate(messages):
            if self._is_busy or conversation.is_full or self._is_closed or closing.is_cut:
                self._hold(messages[position:])
                return
            if turn.is_over() or closing.is_refused != was_refused:  # a handler sent too much
                self._is_spent = True
                self._hold(messages[position:])
                return
            self._handle(message)

    def _without_requests(self, messages: list[Message]) -> list[Message]:
        """Drop requests: nobody receives the answers."""
        plain = [message for message in messages if message.kind != "request"]
        self._connection.ending.dropped += len(messages) - len(plain)
        return plain

    def _hold(self, messages: list[Message]) -> None:
        if self._is_closed:
            self._connection.ending.dropped += len(messages)
        else:
            self._connection.unread.add(messages)

    def _must_wait(self) -> bool:
        connection = self._connection
        return self._conversation.is_full or connection.is_backed_up or connection.closing.is_cut

    def _handle(self, message: Message) -> None:
        """Have a message handled: now, where its handler can be called directly, else by a run."""
        if message.kind == "error":
            problem = read_problem(message, "error")
            logger.warning("the peer tells of an error: %s", problem, peer=self.peer)
            return
        handler = self._found.get(message.subject) or self._application.find(message.subject)
        if handler is None:
            self._report_unhandled(message)
        elif not handler.is_direct:
            self._start(Run(handler, message))
        elif self._notifier is not None and self._notifier.follows_handlers:
            self._call_and_tell(handler, message, self._notifier)
        else:
            self._call(handler, message)

    def _call(self, handler: Handler, message: Message) -> None:
        """Call a handler that neither waits nor yields, and answer."""
        request = request_id(message)  # handlers may change their message
        try:
            result = handler.call(message, self.peer)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a user's code raises what it likes
            self._report(handler, message, request, error)
        else:
            if result is not None or request is not None:
                self._answer(handler, message, request, result)

    def _call_and_tell(self, handler: Handler, message: Message, notifier: Notifier) -> None:
        """Call a handler, and notify the observers before and after."""
        notify(notifier.handler_started, self.peer, message, handler.pattern)
        begun_at = time.perf_counter()
        self._call(handler, message)
        seconds = time.perf_counter() - begun_at
        notify(notifier.handler_ended, self.peer, message, handler.pattern, seconds)

    def _start(self, run: Run) -> None:
        connection = self._connection
        if self._notifier is not None:
            notify(self._notifier.handler_started, self.peer, run.message, run.handler.pattern)
            run.begun_at = time.perf_counter()
        connection.handlers_running += 1
        connection.bytes_at_work += run.size
        if not run.handler.concurrent:
            self._in_order = run
        self._note_busy()
        if run.handler.style is not Style.GENERATOR:
            self._run_elsewhere(run)
            return
        try:
            run.parts = run.handler.call(run.message, self.peer)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a user's code raises what it likes
            self.failed(run, error)
        else:
            self._next_parts(run, Turn())

    def _resume_generators(self) -> None:
        """Have the generators that were held go on, each in its turn, while there is room."""
        turn = Turn()
        while self._stalled and self._may_yield() and not turn.is_over():
            run = self._stalled.popleft()
            if self._connection.closing.can_answer:
                self._next_parts(run, turn)
            else:
                self._break_off(run)
        if not self._stalled:
            self._stalled = None

    def _may_yield(self) -> bool:
        """Say whether generators may add to the output now.

        They stop at half of what pauses reading, so that requests and pings are read beside an
        endless answer. Where a long part has paused reading, the peer is read from first.
        """
        connection = self._connection
        return connection.has_room and not connection.closing.is_cut

    def _next_parts(self, run: Run, turn: Turn) -> None:
        """Take some parts from a generator, as many as its share of this turn; then hold it."""
        assert run.parts is not None
        conversation = self._conversation
        most = conversation.bytes_to_send + BATCH_SIZE
        while self._may_yield() and conversation.bytes_to_send < most and not turn.is_over():
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
        if self._stalled is None:
            self._stalled = deque()
        self._stalled.append(run)

    def _break_off(self, run: Run) -> None:
        """Have a generator closed that is not at work now."""
        if run.handler.blocking:  # what the generator does when it is closed may block too
            run.is_unwanted = True
            self._run_elsewhere(run)
        else:
            self.broken_off(run)

    def _finish(self, run: Run) -> None:
        self._connection.handlers_running -= 1
        self._connection.bytes_at_work -= run.size
        if self._in_order is run:
            self._in_order = None
        self._note_busy()
        if self._notifier is not None:
            seconds = time.perf_counter() - run.begun_at
            event = self._notifier.handler_ended
            notify(event, self.peer, run.message, run.handler.pattern, seconds)

    def _note_busy(self) -> None:
        running = self._connection.handlers_running
        self._is_busy = self._in_order is not None or running >= self._max_pending

    # Answering

    def _answer(
        self,
        handler: Handler,
        message: Message,
        request: int | None,
        result: object,
        more: bool = False,
    ) -> bool:
        """Send what a handler returned: as the answer to a request, else as a plain message.

        Returns whether that could be sent.
        """
        conversation = self._conversation
        before = conversation.bytes_to_send
        try:
            answer = result if isinstance(result, Message) else message_of(_or_empty(result))
            if request is not None:
                conversation.answer(request, answer, more=more)
            elif result is not None:
                conversation.send(answer)
        except ConnectionClosedError as error:
            what = named(message.subject)
            logger.warning("the answer to %s was not sent: %s", what, error, peer=self.peer)
        except KeyboardInterrupt:
            raise
        except TooLargeError as error:  # larger than the peer takes
            self._fail(handler, message, request, error, "too-large", f"the answer: {error}")
        except BaseException as error:  # noqa: BLE001 - the user's types run code when written
            self._report(handler, message, request, error)
        else:
            if self._notifier is not None and conversation.bytes_to_send > before:
                notify(self._notifier.message_sent, self.peer, answer)
            return True
        return False

    def _report(
        self, handler: Handler, message: Message, request: int | None, error: BaseException
    ) -> None:
        """Answer for a handler that raised, and log the error, unless the handler refuses."""
        if isinstance(error, Refusal):
            self._tell_of_failure(message, error.code)
            self._refuse(request, error.code, error.detail)
        elif isinstance(error, ContentError) and does_not_fit(handler, message):
            self._tell_of_failure(message, "bad-content")
            logger.warning("%s: %s", named(message.subject), error, peer=self.peer)
            self._refuse(request, "bad-content", str(error))
        elif isinstance(error, ConnectionClosedError) and not self._connection.closing.can_answer:
            self._tell_of_failure(message, "handler-failed")
            logger.warning("%s: not answered: %s", named(message.subject), error, peer=self.peer)
        else:
            self._fail(handler, message, request, error, "handler-failed", "the handler failed")

    def _fail(
        self,
        handler: Handler,
        message: Message,
        request: int | None,
        error: BaseException,
        code: str,
        detail: str,
    ) -> None:
        """Log the error of a handler, and answer a request with ``code`` and ``detail``."""
        self._tell_of_failure(message, "handler-failed")
        failure = f"handler {handler.name} failed on {named(message.subject)}"
        logger.error("%s", failure, peer=self.peer, exc_info=error)
        for hook in self._application.failure_hooks:
            call_hook("failure", hook, message, self.peer, error, peer=self.peer)
        if request is not None:
            self._refuse(request, code, detail)

    def _report_unhandled(self, message: Message) -> None:
        detail = f"no handler takes {named(message.subject)}"
        self._tell_of_failure(message, "no-handler")
        logger.warning("%s", detail, peer=self.peer)
        if message.kind is not None:
            self._refuse(message.id, "no-handler", detail)

    def _refuse(self, request: int | None, code: str, detail: str) -> None:
        if request is None:
            self._conversation.complain(code, detail)
        else:
            self._conversation.refuse(request, code, detail)

    # Telling others

    def _tell_of_failure(self, message: Message, code: str) -> None:
        if self._notifier is not None:
            notify(self._notifier.message_failed, self.peer, message, code)


def _or_empty(result: Any) -> Any:
    return b"" if result is None else result
