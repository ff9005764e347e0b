"""Calls from other threads to a server's thread, which alone may touch connections.

The size of the waiting calls is bounded: a thread that posts more has to wait. The wait has a
limit, because the server may be waiting for that same thread. The server makes calls for a bounded
time, and has its connections go on between. This module knows no socket.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from telex.application.run import Turn
from telex.errors import ConnectionClosedError, WaitTimeoutError
from telex.log import safe_logger

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BYTES: Final = 1024 * 1024
"""Bytes of waiting calls; with more, the next thread has to wait."""

CALL_BYTES: Final = 512
"""Bytes of memory that a waiting call takes besides what it brings."""

WAIT_SECONDS: Final = 10.0
"""How long a thread waits for room before ``post`` raises."""

logger: Final = safe_logger("telex.server")


class _Call(NamedTuple):
    """A call to be made in the server's thread; ``size`` is the size of its arguments in bytes."""

    function: Callable[..., object]
    arguments: tuple[Any, ...]
    size: int


class ThreadCalls:
    """The waiting calls of all threads, in order. ``wake`` makes the server call ``make`` soon."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake: Final = wake
        self._calls: deque[_Call] = deque()
        self._size = 0
        self._has_room = threading.Condition()
        self._own_thread: int | None = None
        self._why_closed: str | None = None

    def enter(self) -> None:
        """Make the calling thread the server's own."""
        self._own_thread = threading.get_ident()

    def is_own_thread(self) -> bool:
        """Say whether the calling thread is the server's own."""
        return threading.get_ident() == self._own_thread

    def post(self, function: Callable[..., object], *arguments: object, size: int = 0) -> None:
        """Have a function called in the server's thread; any thread may call this.

        With a ``size`` in bytes, the caller waits until there is room. Raises WaitTimeoutError when
        there is no room within ``WAIT_SECONDS``, ConnectionClosedError when the server has ended.
        """
        with self._has_room:
            if size and not self._has_room.wait_for(self._can_go_on, WAIT_SECONDS):
                raise WaitTimeoutError("the server to send what waits already", WAIT_SECONDS)
            if self._why_closed is not None:
                raise ConnectionClosedError("us", self._why_closed, code="shutting-down")
            if size:
                size += CALL_BYTES
            self._calls.append(_Call(function, arguments, size))
            self._size += size
            is_first = len(self._calls) == 1
        if is_first:
            try:
                self._wake()
            except BaseException:
                self.end()  # else the next calls would be taken, and never made
                raise

    def make(self) -> None:
        """Make calls that were posted until now, for ``TURN_SECONDS``; wake the threads that wait.

        What is left then is made at the next call of this, to which the server is woken. The
        exception of a call is logged; the calls behind that one are made all the same.
        """
        if self._make(Turn()):
            self._wake()

    def make_all(self) -> None:
        """Make all calls that were posted until now, before something that would make them vain."""
        self._make(None)

    def _make(self, turn: Turn | None) -> bool:
        """Make calls until the turn is over; return whether calls are left."""
        for _ in range(len(self._calls)):
            if turn is not None and turn.is_over():
                break
            with self._has_room:
                call = self._calls.popleft()
                had_room = self._can_go_on()
                self._size -= call.size
                if not had_room and self._can_go_on():
                    self._has_room.notify_all()
            try:
                call.function(*call.arguments)
            except KeyboardInterrupt:
                raise
            except BaseException:
                logger.exception("a call from another thread failed")
            del call
        return len(self._calls) > 0

    def __len__(self) -> int:
        return len(self._calls)

    def end(self, why: str = "the server was shut down") -> None:
        """Accept no more calls; any thread may call this. Harmless when repeated."""
        with self._has_room:
            self._why_closed = self._why_closed or why
            self._has_room.notify_all()

    def leave_to_owner(self, why: str) -> None:
        """Leave the calls that wait to the process that this one was forked from."""
        self._has_room = threading.Condition()
        self._calls, self._size = deque(), 0
        self.end(why)

    def close(self) -> None:
        """Accept no more calls, and make those that still wait."""
        self.end()
        self._make(None)

    def _can_go_on(self) -> bool:
        return self._why_closed is not None or self._size < MAX_BYTES
