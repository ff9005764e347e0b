"""Problems that were found, each text once, with how often it came."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

_MOST: Final = 20


class Problems:
    """A bounded collection; any thread may add to it."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._counts: Final[Counter[str]] = Counter()
        self._others = 0

    def add(self, problem: str) -> None:
        """Add a problem; past the first different ones, the others are only counted."""
        with self._lock:
            if problem in self._counts or len(self._counts) < _MOST:
                self._counts[problem] += 1
            else:
                self._others += 1

    def texts(self) -> list[str]:
        """Return what was found."""
        with self._lock:
            texts = [
                f"{problem} ({count:,} times)" if count > 1 else problem
                for problem, count in self._counts.items()
            ]
            return [*texts, f"{self._others:,} others"] if self._others else texts
