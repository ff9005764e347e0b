"""Drives a client's connection: shared by all threads that use it, and none of them is its own.

Whoever waits does the work: one of the waiting threads, the leader, waits at the socket, receives
and sends for all, and wakes those that have what they wait for. When it leaves, the next one leads.
The lock is held for everything but waiting, so the bytes of two messages never mix. What happens to
the connection is decided by ``connection``, how bytes move is in ``pump``, and what users call is
in ``client``.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Final, TypeVar

from telex.errors import ConnectionClosedError
from telex.sync.pump import give, take, take_rest
from telex.sync.waiter import Waiter
from telex.sync.wakeup import Wakeup
from telex.sync.watch import RECEIVE, SEND, Watch

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from telex.client.parts import PartsOfAnswer
    from telex.connection.connection import Connection
    from telex.conversation.calls import Call
    from telex.wire.message import Message

    Said = TypeVar("Said")

_NOBODY: Final = 0

_NEVER: Final = math.inf


class ClientDriver:
    """One connection and its socket, whoever waits for it."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        self.socket: Final = sock
        self.connection: Final = connection
        self.is_closing: bool = False
        """Whether this side has closed."""
        self.is_gone: bool = False
        """Whether nothing more can come or go."""
        self.is_released: bool = False
        """Whether nothing is left of the connection."""
        # Reentrant for the sake of signal handlers: they find out by _is_busy where they are.
        self._lock: Final = threading.RLock()
        # Set while bytes are on their way between socket and messages: signals may come there too.
        self._is_busy = False
        self._wakeup: Final = Wakeup()
        self._watch: Final = Watch(sock, self._wakeup)
        self._leader = _NOBODY
        self._leader_is_ready: Callable[[], object] = bool
        self._to_do: Final[deque[Callable[[], object]]] = deque()
        self._waiters: Final[deque[Waiter]] = deque()
        self._is_paused = False
        self._has_layer: Final = not connection.is_established  # that may have words of its own

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
                self._wakeup.wake()

    def gather(self, how: Callable[..., Said], *arguments: object) -> Said:
        """Have the conversation say something, to be sent together with what is said later."""
        try:
            with self._lock:
                said = self._add(how, arguments)
                self._is_busy = False
                return said
        finally:
            if self._is_busy:
                self._wakeup.wake()

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
                self._wakeup.wake()

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

    def look_for_end(self) -> None:
        """Take what has come, in case it is an end; raises ConnectionClosedError if it is."""
        with self._lock:
            self.check_open()
            if not self._leader and self.connection.wants_to_read:
                self._take_turn(RECEIVE, time.monotonic())
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

    def wait(
        self,
        is_ready: Callable[[], object],
        deadline: float | None = None,
        awaited: Call | None = None,
    ) -> bool:
        """Wait until ``is_ready()``, and do meanwhile what is to be done at the socket.

        An ``awaited`` call is one whose answer may come behind unread messages. Returns False when
        ``deadline`` comes first, or the connection is gone. Whatever is raised here, by signals at
        any point, leaves the lead to the next one.
        """
        me = get_ident()
        connection, watch = self.connection, self._watch
        until = _NEVER if deadline is None else deadline
        due = _NEVER
        previous = _NOBODY
        waiter: Waiter | None = None
        leads = has_waited = False
        ready = 0
        now = 0.0
        try:
            while True:
                with self._lock:
                    if leads and has_waited and not self._is_busy and (ready or now >= due):
                        self._take_turn(ready, now, due)
                    while self._to_do and not self._is_busy:
                        self._to_do.popleft()()
                    if is_ready():
                        return True
                    if self.is_gone or self._is_busy or (has_waited and now >= until):
                        return False
                    if not leads and waiter is None and self._leader:
                        # Who leaves hands over without the lock: be seen first, then look again.
                        waiter = Waiter(is_ready)
                        self._waiters.append(waiter)
                    if not has_waited and awaited is not None:
                        connection.unread.expect(awaited)
                        if self._is_paused:
                            self._wakeup.wake()
                    if not leads and (not self._leader or self._leader == me):
                        previous = self._leader
                        leads, self._leader = True, me
                        self._leader_is_ready = is_ready
                        if previous:  # a signal handler, called while this thread leads
                            watch = Watch(self.socket, self._wakeup)
                    if leads:
                        watch.look_for(self._events())
                        due = connection.next_deadline
                    elif connection.wants_to_write and not watch.events & SEND:
                        self._wakeup.wake()
                has_waited = True
                if leads:
                    ready = watch.wait(min(until, due))
                elif waiter is not None:
                    waiter.wait(deadline)
                now = time.monotonic()
        finally:
            # Nothing is called before what matters here is done, so no signal can keep it off.
            try:
                if waiter is not None:
                    self._waiters.remove(waiter)
            except ValueError:
                pass
            finally:
                if leads:
                    self._leader = previous
                if not self._leader:
                    for next_leader in self._waiters:
                        next_leader.tokens.put(None)
                        break
            if awaited is not None:
                connection.unread.expect_no_more(awaited)
            if self.is_released:
                self._close_sockets()

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
        """Subtract ``size`` bytes of parts that were taken or dropped."""
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

    def do_later(self, what: Callable[[], object]) -> None:
        """Have something done by the next thread that waits; may be called at any moment at all."""
        self._to_do.append(what)
        self._wakeup.wake()

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
            self.connection.close(now)
            self._transmit(now)
            self._is_busy = False
            self._tell_others()
        self.wait(lambda: self.is_gone, deadline)
        with self._lock:
            return self.is_gone or self._is_busy or self.connection.is_refused

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
        return self.connection.is_open and not self.is_gone and not self._is_interrupted

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

    def closed_error(self) -> ConnectionClosedError:
        """Return the error that says why the connection has ended, which is told by that."""
        with self._lock:
            ending = self.connection.ending
            if not self._is_busy:
                return ending.closed_error()
            ending.was_told = True
            reason = "it was interrupted while bytes were on their way"
            return ConnectionClosedError("us", reason, unsent=self.connection.unsent)

    def unseen_error(self) -> ConnectionClosedError | None:
        """Return what nobody was told yet, and somebody should be told when all is over."""
        with self._lock:
            return self.closed_error() if self._is_busy else self.connection.ending.unseen_error()

    # What is done under the lock

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

    def _events(self) -> int:
        """Return what the leader is to wait for."""
        connection = self.connection
        self._is_paused = True  # first: who takes a message while it is looked at says so
        self._is_paused = not connection.wants_to_read
        events = 0 if self._is_paused else RECEIVE
        return events | SEND if connection.wants_to_write else events

    def _look_for_room(self) -> None:
        """Have the leader read on where enough was taken."""
        with self._lock:
            if self._is_paused and self.connection.wants_to_read:
                self._is_paused = False
                self._wakeup.wake()

    def _take_turn(self, ready: int, now: float, due: float = _NEVER) -> None:
        """Receive and send what can be, and wake those that have what they wait for.

        ``due`` is when the connection's deadline is.
        """
        connection = self.connection
        self._is_busy = True
        if ready & RECEIVE:
            take(self.socket, connection, now)
        if now >= due:
            if ready & RECEIVE:
                take_rest(self.socket, connection, now)
            connection.handle_deadline(now)
        if self._has_layer or not connection.is_quiet:
            self._transmit(now)
        self._is_busy = False
        if self._waiters:
            self._wake_waiters()

    def _transmit(self, now: float, most: int | None = None) -> None:
        """Send what the socket takes now, at most ``most`` bytes."""
        if give(self.socket, self.connection, now, most):
            self.is_gone = True

    # Whom to wake

    def _wake_waiters(self) -> None:
        """Wake those who need not wait any more."""
        is_over = self.is_gone or self._is_busy
        for waiter in tuple(self._waiters):  # those who leave do not take the lock
            if is_over or waiter.is_ready():
                waiter.tokens.put(None)

    def _tell_others(self) -> None:
        """Wake those who need not wait any more, and a leader that should look again."""
        self._wake_waiters()
        if self._leader and (
            self.is_gone
            or (self.connection.wants_to_write and not self._watch.events & SEND)
            or self._leader_is_ready()
        ):
            self._wakeup.wake()

    def _close_sockets(self) -> None:
        """Give the sockets back, unless somebody still waits at them and will do it."""
        with self._lock:
            if not self._leader:
                self.socket.close()
                self._wakeup.close()
