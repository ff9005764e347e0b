"""Waits for one socket, and can be woken. What is done when it is ready is not known here."""

from __future__ import annotations

import math
import select
import time
from typing import TYPE_CHECKING, Final

from telex.seconds import LONGEST_WAIT
from telex.sync.wakeup import Wakeup

if TYPE_CHECKING:
    import socket

RECEIVE: Final = select.POLLIN
SEND: Final = select.POLLOUT


class Watch:
    """One thread at a time waits; any other may wake it."""

    __slots__ = ("_only_to_receive", "_poll", "_socket", "_wakeup", "_wakeup_number", "events")

    def __init__(self, sock: socket.socket, wakeup: Wakeup) -> None:
        self.events: int = 0
        """What is waited for: RECEIVE, SEND, both, or only to be woken."""
        self._socket: Final = sock
        self._wakeup: Final = wakeup
        self._wakeup_number: Final = wakeup.socket.fileno()
        self._poll: Final = select.poll()
        self._poll.register(self._wakeup_number, select.POLLIN)
        self._only_to_receive: Final = [(sock.fileno(), RECEIVE)]

    def look_for(self, events: int) -> None:
        """Choose what the next wait is for."""
        if events != self.events:
            if events:
                self._poll.register(self._socket, events)
            else:
                self._poll.unregister(self._socket)
            self.events = events

    def wait(self, deadline: float) -> int:
        """Wait until the socket is ready; return for what, or 0 when it was woken or too late.

        An end or an error of the connection counts as something to receive.
        """
        if deadline == math.inf:
            found = self._poll.poll(None)
        else:
            seconds = min(deadline - time.monotonic(), LONGEST_WAIT)
            found = self._poll.poll(max(0, math.ceil(seconds * 1000)))
        if found == self._only_to_receive:
            return RECEIVE
        ready = 0
        for number, event in found:
            if number == self._wakeup_number:
                self._wakeup.ready(event)
            else:
                ready = event & SEND if event == SEND else event & SEND | RECEIVE
        return ready
