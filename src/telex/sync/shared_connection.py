"""A client's connection that threads share: what they do with it, and how things stand.

How somebody waits, and how bytes move, is the driver's that derives from this: ``client_driver``.
The lock is held for everything but waiting, so the bytes of two messages never mix.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from telex.client.parts import PartsOfAnswer
    from telex.client.pipeline import Pipeline
    from telex.connection.connection import Connection
    from telex.conversation.calls import Call
    from telex.errors import ConnectionClosedError, TelexError
    from telex.wire.message import Message

    Said = TypeVar("Said")


class SharedConnection(ABC):
    """One connection, for any number of threads; derive, and supply what is abstract."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Final = connection
        self.is_closing: bool = False
        """Whether this side has closed."""
        self.is_gone: bool = False
        """Whether nothing more can come or go."""
        self.is_inherited: bool = False
        """Whether the connection belongs to the process that this one was forked from."""
        self.is_released: bool = False
        """Whether nothing is left of the connection."""
        # Reentrant for the sake of signal handlers: they find out by _is_busy where they are.
        self._lock = threading.RLock()
        # Set while bytes are on their way between socket and messages: signals may come there too.
        self._is_busy = False
        self._is_paused = False
        self._to_do: Final[deque[Callable[[], object]]] = deque()

    # What a driver supplies

    @abstractmethod
    def wait(
        self,
        is_ready: Callable[[], object],
        deadline: float | None = None,
        awaited: Call | None = None,
    ) -> bool:
        """Wait until ``is_ready()``, and do meanwhile what is to be done.

        An ``awaited`` call is one whose answer may come behind unread messages. Returns False when
        ``deadline`` comes first, or the connection is gone.
        """

    @abstractmethod
    def look_for_end(self) -> None:
        """Take what has come, in case it is an end; raises ConnectionClosedError if it is."""

    @abstractmethod
    def _take_rest(self, now: float) -> None:
        """Take what has come, unless a thread that waits does so."""

    @abstractmethod
    def _transmit(self, now: float, most: int | None = None) -> None:
        """Send what goes at once, at most ``most`` bytes."""

    @abstractmethod
    def _wake(self) -> None:
        """Have whoever waits look again; may be called at any moment at all."""

    @abstractmethod
    def _tell_others(self) -> None:
        """Wake those who need not wait any more."""

    @abstractmethod
    def _close_sockets(self) -> None:
        """Give back what the connection holds of the system."""

    # What threads do

    def say(self, how: Callable[..., Said], *arguments: object) -> Said:
        """Have the conversation say something, and send as much of all there is as goes at once.

        Raises ConnectionClosedError, and what the conversation raises.
        """
        try:
            with self._lock:
                connection = self.connection
                had_unsent = connection.wants_to_write
                said = self._add(how, arguments)
                self._transmit(time.monotonic())
                self._is_busy = False
                if had_unsent or connection.wants_to_write or self.is_gone:
                    self._tell_others()
                return said
        finally:
            if self._is_busy:
                self._wake()

    def gather(self, how: Callable[..., Said], *arguments: object) -> Said:
        """Have the conversation say something, to be sent together with what is said later."""
        try:
            with self._lock:
                said = self._add(how, arguments)
                self._is_busy = False
                return said
        finally:
            if self._is_busy:
                self._wake()

    def send_some(self, most: int | None = None) -> int:
        """Send at most so many bytes of what was gathered; return how many are left."""
        try:
            with self._lock:
                self.check_usable()
                self._is_busy = True
                self._transmit(time.monotonic(), most)
                self._is_busy = False
                self._tell_others()
                return self.connection.unsent
        finally:
            if self._is_busy:
                self._wake()

    def flush(self) -> None:
        """Wait until all that was said was given to the network, or raise ConnectionClosedError.

        What other threads say meanwhile is not waited for.
        """
        connection = self.connection
        if connection.is_open and not (connection.unsent or self._is_busy):
            return
        with self._lock:
            left = self.send_some()
            mark = connection.sent + left
        if left:
            self.wait_to_send(mark)
        elif connection.closing.has_broken:
            raise self.closed_error()

    def wait_to_send(self, mark: int | None = None) -> None:
        """Wait until some more bytes have gone, or as many in all as ``mark`` says.

        Where nothing is left, other threads have sent it meanwhile.
        """
        connection = self.connection
        goal = connection.sent + 1 if mark is None else mark
        self.wait(
            lambda: (
                connection.sent >= goal or not connection.wants_to_write or not connection.is_open
            )
        )
        if connection.sent < goal:
            self.check_open()

    def wait_for(self, call: Call, deadline: float | None) -> bool:
        """Wait until something has come for a call; a call that is not done then is abandoned.

        Returns False when ``deadline`` comes first. Raises ConnectionClosedError when nothing can
        come any more and the call does not know why.
        """
        if call.is_done:
            return True
        try:
            if self.wait(lambda: call.is_done or call.is_in_parts, deadline, call):
                return True
            self.check_usable()
            return False
        finally:
            if not call.is_done:
                self.abandon(call)

    def take_message(self) -> Message | None:
        """Take the next message that has come; None when there is none."""
        try:
            message = self.connection.unread.take()
        except IndexError:
            return None
        if self._is_paused:
            self._look_for_room()
        return message

    def consumed(self, size: int) -> None:
        """Take note of ``size`` bytes of parts that somebody has taken or dropped."""
        with self._lock:
            self.connection.unread.consumed(size)
            if self._is_paused:
                self._look_for_room()

    def abandon(self, call: Call) -> None:
        """Stop waiting for an answer, except in a signal handler that is called at a bad time."""
        with self._lock:
            if not self._is_busy:
                self._is_busy = True
                self.connection.conversation.abandon(call)
                self._is_busy = False

    def give_up(self, answer: PartsOfAnswer) -> None:
        """Want no more of an answer in parts, and drop those that came."""
        with self._lock:
            if answer.call is not None and not answer.call.is_done:
                self.abandon(answer.call)
            self.consumed(answer.drop())

    def give_up_many(self, pipeline: Pipeline, calls: Iterable[Call]) -> None:
        """Want no more answers of a row of requests, of which these calls are not done."""
        with self._lock:
            for call in calls:
                self.abandon(call)
            pipeline.release()
            self.consumed(0)

    def do_later(self, what: Callable[[], object]) -> None:
        """Have something done by the next thread that waits; may be called at any moment at all."""
        self._to_do.append(what)
        self._wake()

    def finish(self, deadline: float | None) -> bool:
        """Say that nothing follows, and wait until the connection has ended.

        Returns whether it has before ``deadline``, or is only waited for so that the peer reads
        why it was refused.
        """
        with self._lock:
            self.is_closing = True
            if self._is_busy:
                return True
            self._is_busy = True
            now = time.monotonic()
            self._take_rest(now)  # an end that has come is no answer to this side's goodbye
            self.connection.close(now)
            self._transmit(now)
            self._is_busy = False
            self._tell_others()
        self.wait(lambda: self.is_gone, deadline)
        with self._lock:
            return self.is_gone or self._is_busy or self.connection.closing.is_refused

    def release(self) -> None:
        """Close the connection at once; whoever waits is told."""
        with self._lock:
            self.is_closing = True
            if not self._is_busy:
                self.connection.close(time.monotonic())
                self.connection.finish()
            self.is_gone = True
            self.is_released = True
            self._tell_others()
            self._close_sockets()

    # How things stand

    @property
    def is_alive(self) -> bool:
        """Whether more may come."""
        return self.connection.closing.may_receive and not self.is_gone and not self._is_interrupted

    @property
    def has_more(self) -> bool:
        """Whether a message is here to be taken, or more may come."""
        with self._lock:  # an end may come in one piece with messages that are not here yet
            return self.connection.unread.count > 0 or self.is_alive

    @property
    def ended_well(self) -> bool:
        """Whether the peer ended as it should, with nothing lost."""
        with self._lock:
            return not self._is_busy and self.connection.ending.is_good

    @property
    def _is_interrupted(self) -> bool:
        """Whether bytes were left half-way, and not by another thread that just goes on.

        An exception of a signal handler has done it before, or this is a signal handler that was
        called in the midst.
        """
        with self._lock:
            return self._is_busy

    def check_open(self) -> None:
        """Raise ConnectionClosedError when nothing more may be said."""
        if self._is_interrupted or not self.connection.is_open:
            raise self.closed_error()

    def check_usable(self) -> None:
        """Raise ConnectionClosedError when nothing can be sent or received any more."""
        if self.is_gone or self._is_interrupted:
            raise self.closed_error()

    def check_owner(self) -> None:
        """Raise ConnectionClosedError where the connection belongs to another process."""
        if self.is_inherited:
            raise self.closed_error()

    def closed_error(self) -> ConnectionClosedError:
        """Return the error that says why the connection has ended, which is told by that."""
        with self._lock:
            ending = self.connection.ending
            return ending.interrupted_error() if self._is_busy else ending.closed_error()

    def unseen_error(self) -> TelexError | None:
        """Return what nobody was told yet, and somebody should be told when all is over."""
        with self._lock:
            return self.closed_error() if self._is_busy else self.connection.ending.unseen_error()

    # Under the lock

    def _add(self, how: Callable[..., Said], arguments: tuple[object, ...]) -> Said:
        """Have the conversation say something; from then on bytes are on their way."""
        if self._is_busy or not self.connection.is_open:
            raise self.closed_error()
        self._is_busy = True
        try:
            return how(*arguments)
        except Exception:
            self._is_busy = False  # what cannot be written raises before anything of it is
            raise

    def _look_for_room(self) -> None:
        """Have the leader read on where enough was taken."""
        with self._lock:
            if self._is_paused and self.connection.wants_to_read:
                self._is_paused = False
                self._wake()
