"""Ends a wait for sockets from outside: from another thread, or when a signal arrives.

The waiting side watches one end of a socket pair, everybody else writes to the other one. For how
long a server handles signals is here too; what each of them means is the server's part.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from typing import TYPE_CHECKING

from telex.network.fork import lead_nowhere
from telex.network.sockets import NO_SIGNAL
from telex.server.signals import let_in_hangup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Wakeup:
    """A socket that becomes readable when somebody calls ``wake()``."""

    def __init__(self) -> None:
        self.socket: socket.socket
        self.socket, self._writer = socket.socketpair()
        self.socket.setblocking(False)
        self._writer.setblocking(False)
        self.watched = 0
        self._restore_signals: Callable[[], None] | None = None

    def wake(self) -> None:
        """End the wait; safe from any thread and from a signal handler, also after ``close()``."""
        with contextlib.suppress(OSError):  # full: it is awake already; closed: nobody waits
            self._writer.send(b"\0", NO_SIGNAL)

    def ready(self, events: int) -> None:
        """End the wait: read what woke it."""
        with contextlib.suppress(BlockingIOError):
            self.socket.recv(4096)

    def leave_to_owner(self) -> None:
        """Wake nobody, and handle no signals: the process that this was forked from does that."""
        if self._restore_signals is not None:
            self._restore_signals()
        lead_nowhere((self.socket.fileno(), self._writer.fileno()))

    def close(self) -> None:
        """Give the sockets back."""
        self.socket.close()
        self._writer.close()

    @contextlib.contextmanager
    def handling_signals(self, actions: Mapping[int, Callable[[], object]]) -> Iterator[None]:
        """Have each of these signals do something and end the wait, for the time of the context.

        Without an action this does nothing, as it must in any thread but the main one.
        """
        if not actions:
            yield
            return
        # The handler alone runs too late when the signal comes just before the wait begins.
        previous_wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        previous = {
            number: signal.signal(number, lambda number, _frame: actions[number]())
            for number in actions
        }

        def restore() -> None:
            for number, handler in previous.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            signal.set_wakeup_fd(previous_wakeup)

        self._restore_signals = restore
        let_in_hangup(actions)
        try:
            yield
        finally:
            self._restore_signals = None
            restore()
