"""What a connection of a server does besides, where somebody watches what becomes of its messages.

A front-end makes such connections only for a server whose observers want to know: all others run
without a trace of this. It tells, and decides nothing; it must never know a socket.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from telex.application.session import Session
from telex.wire.factory import message_from

if TYPE_CHECKING:
    from telex.application.handler import Handler
    from telex.application.notifier import Notifier
    from telex.application.session import Run
    from telex.wire.message import Message

_NOTHING: Any = b""


class Queues(NamedTuple):
    """What waits at one connection: messages for their handlers, and bytes."""

    messages: int
    """Messages that were received, and whose handlers have not been called yet."""
    partial: int
    """Bytes of a message that is not complete yet."""
    unsent: int
    """Bytes that the network has not taken yet."""


FIELDS: Final = ("_notifier", "_begun")
"""What a connection that is watched has room for, beyond what it has anyway."""


class Watched(Session):
    """A session whose observers follow each message to its end.

    Put it before the connection that it is to make watched: ``class C(Watched, Connection)``. What
    it needs has its place there, in ``FIELDS``: Python gives two bases no room of their own each.
    """

    __slots__ = ()

    _notifier: Notifier
    """Who is told."""

    _begun: dict[Run, float]
    """When each handler began that is at work for longer than a call."""

    @property
    @abstractmethod
    def bytes_unsent(self) -> int:
        """Bytes that the network has not taken yet."""

    @property
    @abstractmethod
    def user_id(self) -> int | None:
        """The user that the peer runs as, if it is at the other end of a Unix socket."""

    @abstractmethod
    def dismiss(self, reason: str) -> None:
        """End the connection as soon as those who are at work now are done, and say why."""

    @property
    def queues(self) -> Queues:
        """What waits; any thread may look."""
        waiting = self._waiting
        partial = self.conversation.bytes_buffered
        return Queues(len(waiting or ()), partial, self.bytes_unsent)

    def _handle(self, message: Message) -> None:
        """Tell when a handler begins and ends that is done within the call."""
        notifier = self._notifier
        handler = None
        if notifier.follows_handlers and message.kind != "error":
            handler = self._application.find(message.subject)
        if handler is None or not handler.is_direct:
            super()._handle(message)
            return
        if notifier.handler_started is not None:
            self._tell(notifier.handler_started, message, handler.pattern)
        begun = time.perf_counter()
        super()._handle(message)
        if notifier.handler_ended is not None:
            seconds = time.perf_counter() - begun
            self._tell(notifier.handler_ended, message, handler.pattern, seconds)

    def _start(self, run: Run) -> None:
        self._tell(self._notifier.handler_started, run.message, run.handler.pattern)
        self._begun[run] = time.perf_counter()
        super()._start(run)

    def _finish(self, run: Run) -> None:
        seconds = time.perf_counter() - self._begun.pop(run)
        super()._finish(run)
        self._tell(self._notifier.handler_ended, run.message, run.handler.pattern, seconds)

    def _answer(
        self,
        handler: Handler,
        message: Message,
        request: int | None,
        result: object,
        *,
        more: bool = False,
    ) -> bool:
        """Send what a handler returned, and tell what that was if it goes out."""
        if self._notifier.message_sent is None or (request is None and result is None):
            return super()._answer(handler, message, request, result, more=more)
        try:
            answer = message_from(_NOTHING if result is None else result, {})
        except Exception as error:  # noqa: BLE001 - the user's types run code when written
            self._report(handler, message, request, error)
            return False
        before = self.conversation.bytes_to_send
        was_sent = super()._answer(handler, message, request, answer, more=more)
        if was_sent and self.conversation.bytes_to_send > before:
            self._tell(self._notifier.message_sent, answer)
        return was_sent

    def _note_failure(self, message: Message, code: str) -> None:
        self._tell(self._notifier.message_failed, message, code)
