"""A timer that lets the loop receive first where the loop was held up.

What has come meanwhile counts: no peer is blamed for a time in which nobody listened to it. asyncio
receives before it looks at its timers, uvloop after that.
"""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from contextvars import Context

_LATE_SECONDS: Final = 0.05
"""How late the timer may be before the loop counts as held up."""

_TICK: Final = 0.001
"""The shortest time that uvloop waits. Every loop has polled once when it has passed."""


class Timer:
    """Calls ``call`` in a loop, once for each time that it is set."""

    __slots__ = ("_call", "_handle", "_loop", "moment")

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
        self._loop: Final = loop
        self._call: Final = call
        self._handle: asyncio.TimerHandle | None = None
        self.moment: float = math.inf
        """When it is due, by ``time.monotonic``; infinity where it is not set."""

    def set(self, moment: float, context: Context | None = None) -> None:
        """Call at this moment, in ``context``, and no more at the one that was set before."""
        self.cancel()
        self.moment = moment
        delay = max(moment - monotonic(), 0.0) + _TICK
        self._handle = self._loop.call_later(delay, self._ring, context=context)

    def cancel(self) -> None:
        """Call no more; harmless when nothing is set."""
        self.moment = math.inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        """Call now, or after the next poll where the loop was kept from polling."""
        if monotonic() - self.moment > _LATE_SECONDS:
            self._handle = self._loop.call_later(_TICK, self._fire)
        else:
            self._fire()

    def _fire(self) -> None:
        self.cancel()
        self._call()
