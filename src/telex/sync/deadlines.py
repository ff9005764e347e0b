"""Timers that cost nothing until they are needed: one queue for each length of time.

Whoever waits in a queue waits equally long, so the order of arrival is the order of expiry, and
there is nothing to sort. This module knows nothing of what it is that waits.
"""

from __future__ import annotations

import time
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting")


class Deadlines(Generic[Waiting]):
    """Things that each wait for ``seconds`` from the moment they were started."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expiry: dict[Waiting, float] = {}

    def start(self, waiting: Waiting) -> None:
        """Have it wait, from now on."""
        self._expiry.pop(waiting, None)
        self._expiry[waiting] = time.monotonic() + self._seconds

    def cancel(self, waiting: Waiting) -> None:
        """Have it wait no longer, if it did."""
        self._expiry.pop(waiting, None)

    def __bool__(self) -> bool:
        """Say whether anything waits."""
        return bool(self._expiry)

    def next(self) -> float:
        """Return the moment of the next expiry, of what waits."""
        return next(iter(self._expiry.values()))

    def expired(self) -> list[Waiting]:
        """Return what has waited long enough; it waits no longer."""
        now = time.monotonic()
        due = []
        for waiting, expiry in self._expiry.items():
            if expiry > now:
                break
            due.append(waiting)
        for waiting in due:
            del self._expiry[waiting]
        return due


def moment_in(seconds: float | None) -> float | None:
    """Return the moment that is ``seconds`` away, by the clock that all deadlines go by."""
    return None if seconds is None else time.monotonic() + seconds


def seconds_until(moment: float | None) -> float | None:
    """Return how far away a moment is, 0 when it has passed; None, for ever, stays None."""
    return None if moment is None else max(0.0, moment - time.monotonic())
