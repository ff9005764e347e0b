"""One thread's wait for many sockets: who is watched for what, and whose turn it is.

It calls ``ready()`` on whatever has something to do, and remembers what has to be done later. It
knows nothing of messages, and nothing of what a connection does in its turn.
"""

from __future__ import annotations

import selectors
import threading
import time
from typing import TYPE_CHECKING, Final

from telex.sync.deadlines import Deadlines, seconds_until
from telex.sync.posted import Post, Posted
from telex.sync.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.sync.server_connection import ServerConnection
    from telex.sync.source import Source

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE

SWEEP_SECONDS: Final = 0.25
"""How often connections are held to their times."""

LATE_SECONDS: Final = 1.0
"""How late a look at the clock may come. One that comes later finds peers slow which were not read
from for so long, because a handler kept the loop from it."""

REST_SECONDS: Final = 0.5
"""How long a source rests that could not do its work because the system was out of something."""


class Loop:
    """Waits for all the sockets of a server, in one thread."""

    def __init__(self) -> None:
        self.connections: set[ServerConnection] = set()
        """Those that have not ended yet."""
        self.unflushed: list[ServerConnection] = []
        """Those that were given output outside of their own turn."""
        self._resting: Deadlines[Source] = Deadlines(REST_SECONDS)
        self._next_sweep = 0.0
        self._posted = Posted()
        self._thread_id: int | None = None
        self._selector = selectors.DefaultSelector()
        self.wakeup: Wakeup = Wakeup()
        self.watch(self.wakeup, READ)

    def watch(self, source: Source, events: int) -> None:
        """Watch a source for these events from now on, for nothing with 0."""
        if events == source.watched:
            return
        if not source.watched:
            self._selector.register(source.socket, events, source)
        elif events:
            self._selector.modify(source.socket, events, source)
        else:
            self._selector.unregister(source.socket)
        source.watched = events

    def rest(self, source: Source) -> None:
        """Leave a source alone for a moment, then watch it for reading again."""
        self.watch(source, 0)
        self._resting.start(source)

    def forget(self, source: Source) -> None:
        """Watch a source no longer: it is about to close its socket."""
        self.watch(source, 0)
        self._resting.cancel(source)

    def add(self, connection: ServerConnection) -> None:
        """Watch a connection, and hold it to its times. Raises OSError if it cannot be watched."""
        self.watch(connection, READ)
        if not self.connections:
            self._next_sweep = time.monotonic() + SWEEP_SECONDS
        self.connections.add(connection)

    def remove(self, connection: ServerConnection) -> None:
        """Let go of a connection that ends."""
        self.watch(connection, 0)
        self.connections.discard(connection)

    def enter(self) -> None:
        """Make the calling thread the one that the loop runs in."""
        self._thread_id = threading.get_ident()

    def is_own_thread(self) -> bool:
        """Say whether the calling thread is the one that the loop runs in."""
        return threading.get_ident() == self._thread_id

    def post(self, function: Callable[..., object], *arguments: object, size: int = 0) -> None:
        """Have something called in the loop's thread; any other thread calls this.

        Where it brings ``size`` bytes, it waits while too much is on its way already. Raises what
        ``Posted.put`` raises.
        """
        if self._posted.put(Post(function, arguments, size)):
            self.wakeup.wake()

    def turn(self, until: float | None = None) -> None:
        """Wait until something can be done, at the latest until ``until``, and do it."""
        ready = self._selector.select(self._patience(until))
        if self._posted:
            for post in self._posted.take():  # what was sent before a peer ended goes before that
                post.make()
        for key, events in ready:
            key.data.ready(events)
        if self.unflushed:
            unflushed, self.unflushed = self.unflushed, []
            for connection in unflushed:
                connection.flush()
        if self.connections:
            self._sweep()
        if self._resting:
            for source in self._resting.expired():
                self.watch(source, READ)

    def has_work(self) -> bool:
        """Say whether a turn would find something to do without waiting for it."""
        return bool(self.unflushed or self._posted or self._selector.select(0))

    def close(self) -> None:
        """Give back what the loop itself holds; the sources close their own sockets."""
        self._thread_id = None
        self._selector.close()
        self.wakeup.close()
        for post in self._posted.close():
            post.make()

    def _sweep(self) -> None:
        """Look at the clock for all connections, if it is time."""
        now = time.monotonic()
        if now < self._next_sweep:
            return
        is_late = now - self._next_sweep > LATE_SECONDS
        self._next_sweep = now + SWEEP_SECONDS
        for connection in list(self.connections):
            connection.check_time(now, is_late)

    def _patience(self, until: float | None) -> float | None:
        """Return how long nothing has to be done if nothing happens, in seconds."""
        if self.unflushed or self._posted:  # posted in this turn: their wake-up may be consumed
            return 0.0
        moment = until
        if self.connections and (moment is None or self._next_sweep < moment):
            moment = self._next_sweep
        if self._resting and (moment is None or self._resting.next() < moment):
            moment = self._resting.next()
        return seconds_until(moment)
