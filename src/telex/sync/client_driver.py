"""Drives a client's connection: shared by all threads that use it, and none of them is its own.

Whoever waits does the work: one of the waiting threads, the leader, waits at the socket, receives
and sends for all, and wakes those that have what they wait for. When it leaves, the next one leads.
What threads do with the connection is in ``shared_connection``, how bytes move is in ``pump``.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Final

from telex.network.fork import belongs_to_this_process, give_up_connection, lead_nowhere
from telex.network.poll import RECEIVE, SEND
from telex.sync.pump import give, take, take_rest
from telex.sync.shared_connection import SharedConnection
from telex.sync.waiter import Waiter
from telex.sync.wakeup import Wakeup
from telex.sync.watch import Watch

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from telex.connection.connection import Connection
    from telex.conversation.calls import Call

JOIN_SECONDS: Final = 1.0
"""How long the end of a connection's own thread is awaited, which needs no time."""

_NOBODY: Final = 0

_NEVER: Final = math.inf


class ClientDriver(SharedConnection):
    """One connection and its socket, whoever waits for it."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        super().__init__(connection)
        self.socket: Final = sock
        self._wakeup: Final = Wakeup()
        self._watch = Watch(sock, self._wakeup)
        self._leader = _NOBODY
        self._leader_is_ready: Callable[[], object] = bool
        self._waiters: Final[deque[Waiter]] = deque()
        self._thread: threading.Thread | None = None
        self._has_layer: Final = not connection.is_established  # that may have words of its own
        belongs_to_this_process(self)

    # A thread of its own

    def read_in_background(self) -> None:
        """Have a thread of the connection's own wait, receive and send, until the end."""
        self._thread = threading.Thread(
            target=self.wait, args=(lambda: self.is_gone,), name="telex-connection", daemon=True
        )
        self._thread.start()

    def release(self) -> None:
        """Close the connection at once, and wait for the end of its own thread."""
        super().release()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)

    # Waiting, and the end

    def look_for_end(self) -> None:
        """Take what has come, in case it is an end; raises ConnectionClosedError if it is."""
        with self._lock:
            self.check_open()
            if not self._leader and self.connection.wants_to_read:
                self._take_turn(RECEIVE, time.monotonic())
                self.check_open()

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
        connection = self.connection
        outer_watch = watch = self._watch
        outer_is_ready = self._leader_is_ready
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
                        outer_watch, outer_is_ready = self._watch, self._leader_is_ready
                        if previous:  # a signal handler, called while this thread leads
                            watch = Watch(self.socket, self._wakeup)
                        leads, self._leader = True, me
                        self._leader_is_ready, self._watch = is_ready, watch
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
                    self._leader_is_ready, self._watch = outer_is_ready, outer_watch
                    self._leader = previous
                if not self._leader:
                    for next_leader in self._waiters:
                        next_leader.tokens.put(None)
                        break
            if awaited is not None:
                connection.unread.expect_no_more(awaited)
            if self.is_released:
                self._close_sockets()

    def leave_to_owner(self, why: str) -> None:
        """Leave the connection to the process that this one was forked from."""
        self._lock = threading.RLock()
        self._is_busy = False
        self._leader, self._thread = _NOBODY, None
        self.is_inherited = self.is_gone = self.is_released = True
        self._to_do.clear()
        self._waiters.clear()
        lead_nowhere((self.socket.fileno(),))
        self._wakeup.leave_to_owner()
        give_up_connection(self.connection, why)

    # What is done under the lock

    def _events(self) -> int:
        """Return what the leader is to wait for."""
        connection = self.connection
        self._is_paused = True  # first: who takes a message while it is looked at says so
        self._is_paused = not connection.wants_to_read
        events = 0 if self._is_paused else RECEIVE
        return events | SEND if connection.wants_to_write else events

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

    def _take_rest(self, now: float) -> None:
        """Take what has come, unless a thread that waits does so."""
        if not self._leader:
            take_rest(self.socket, self.connection, now)

    def _transmit(self, now: float, most: int | None = None) -> None:
        """Send what the socket takes now, at most ``most`` bytes."""
        if give(self.socket, self.connection, now, most):
            self.is_gone: bool = True

    # Whom to wake

    def _wake(self) -> None:
        """Have the leader look again."""
        self._wakeup.wake()

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
