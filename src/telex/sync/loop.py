"""The loop of the selectors server: one thread waits for all sockets and serves the ready ones.

It polls, keeps the time and makes the calls of other threads. What a connection does in its turn is
the driver's part, and what is due at which time is the registry's.
"""

from __future__ import annotations

import math
import selectors
from time import monotonic
from typing import TYPE_CHECKING, Final

from telex.connection.times import LOOK_SECONDS
from telex.network.fork import empty_selector
from telex.server.thread_calls import ThreadCalls
from telex.sync.wakeup import Wakeup

if TYPE_CHECKING:
    from telex.server.registry import Registry
    from telex.sync.pollable import Pollable

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE


class Loop:
    """Polls all sockets of a server, in one thread."""

    def __init__(self, registry: Registry) -> None:
        self.registry: Final = registry
        self.now: float = monotonic()
        """The time of the current turn: taken after the wait, before anything is received."""
        self.unsent: list[Pollable] = []
        """Those that were given output outside of their own turn; they get one in this turn."""
        self.later: list[Pollable] = []
        """Those that go on in the next turn: others come first."""
        self._selector: Final = selectors.DefaultSelector()
        try:
            self.wakeup: Final = Wakeup()
        except OSError:
            self._selector.close()
            raise
        self.calls: Final = ThreadCalls(self.wakeup.wake)
        """Calls of other threads."""
        self._next_look = 0.0
        self._resting: set[Pollable] = set()
        self._rest_until = math.inf
        self.watch(self.wakeup, READ)

    def watch(self, pollable: Pollable, events: int) -> None:
        """Poll for these events from now on, for none with 0. Raises OSError when that fails."""
        if events == pollable.watched:
            return
        if not pollable.watched:
            self._selector.register(pollable.socket, events, pollable)
        elif events:
            self._selector.modify(pollable.socket, events, pollable)
        else:
            self._selector.unregister(pollable.socket)
        pollable.watched = events

    def rest(self, pollable: Pollable, seconds: float) -> None:
        """Do not poll for so many seconds, then poll for reading again."""
        self.watch(pollable, 0)
        self._resting.add(pollable)  # once, even if it rests already
        self._rest_until = self.now + seconds

    def forget(self, pollable: Pollable) -> None:
        """Poll no longer: the socket is about to be closed."""
        self.watch(pollable, 0)
        self._resting.discard(pollable)

    def turn(self, until: float = math.inf) -> None:
        """Wait until something can be done, at the latest until ``until``, and do it."""
        ready = self._selector.select(self._seconds_to_wait(until))
        self.now = now = monotonic()
        later, self.later = self.later, []
        if self.calls:
            self.calls.make()  # what a thread sent before its peer ended goes out before the end
        for key, events in ready:
            key.data.ready(events)
        for pollable in later:
            pollable.ready(0)
        if self.unsent:
            unsent, self.unsent = self.unsent, []
            for pollable in unsent:
                pollable.ready(0)
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self.registry.handle_deadlines(now)
        if now >= self._rest_until:
            self._end_rest()

    def leave_to_owner(self, why: str) -> None:
        """Leave the sockets to the process that this one was forked from."""
        empty_selector(self._selector)
        self.wakeup.leave_to_owner()
        self.calls.leave_to_owner(why)

    def close(self) -> None:
        """Give back what the loop itself holds; the pollables close their own sockets."""
        self._selector.close()
        self.wakeup.close()
        self.calls.close()

    def _end_rest(self) -> None:
        resting, self._resting = self._resting, set()
        self._rest_until = math.inf
        for pollable in resting:
            self.watch(pollable, READ)

    def _seconds_to_wait(self, until: float) -> float | None:
        """Return how long nothing has to be done if nothing happens; None means for ever."""
        # Calls of this turn: their wake-up may be received already.
        if self.unsent or self.later or self.calls:
            return 0.0
        moment = min(until, self._rest_until)
        if self.registry.drivers:
            moment = min(moment, self._next_look)
        return None if moment == math.inf else max(0.0, moment - monotonic())
