"""The ledger of requests: each has a number, and must be answered once, with this number.

Any thread may write. A request over a calm network must be answered; one over a rough network may
be lost with its connection, and its asker must be told so. The server counts what it handles of the
requests over calm networks (numbers above 0), so that both sides can be compared.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Final, Self

from telex import ConnectionClosedError
from tests.soak.problems import Problems


class Ledger:
    """What became of each request."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._last = 0
        self.asked: int = 0
        """Requests over calm networks."""
        self.sum: int = 0
        """Of their numbers."""
        self.answered: int = 0
        self.rough: int = 0
        """Requests over rough networks."""
        self.lost: int = 0
        """Those of them that ended with their connection."""
        self.open: Final[dict[int, str]] = {}
        """Numbers of the requests that wait, and who waits."""
        self.problems: Final = Problems()

    def request(self, asker: str, *, is_calm: bool) -> Entry:
        """Begin a request; the entry is a context that the answer must be handed to."""
        with self._lock:
            self._last += 1
            number = self._last if is_calm else -self._last
            self.open[number] = asker
            if is_calm:
                self.asked += 1
                self.sum += number
            else:
                self.rough += 1
        return Entry(self, asker, number)

    def end(self, entry: Entry, problem: str, *, is_lost: bool = False) -> None:
        """Note the end of a request."""
        with self._lock:
            if self.open.pop(entry.number, None) is None:
                problem = problem or "answered twice"
            if not problem and not is_lost:
                self.answered += 1
            self.lost += is_lost
        if problem:
            self.problems.add(f"{entry.asker}: {problem}")


class Entry:
    """One request, from before it is sent until its answer, or an error, is here."""

    def __init__(self, ledger: Ledger, asker: str, number: int) -> None:
        self.asker: Final = asker
        self.number: Final = number
        self._ledger: Final = ledger
        self._is_ended = False

    def answered(self, content: Any) -> None:
        """Hand over the content of the answer, or of the last part of it."""
        self._is_ended = True
        number = content.get("number") if isinstance(content, dict) else content
        right = number == self.number
        self._ledger.end(
            self, "" if right else f"request {self.number} was answered with {content!r}"
        )

    def failed(self, error: BaseException) -> None:
        """Hand over what came in place of an answer."""
        self._is_ended = True
        if self.number < 0 and isinstance(error, ConnectionClosedError):
            self._ledger.end(self, "", is_lost=True)
        else:
            self._ledger.end(self, f"{type(error).__name__} in place of an answer: {error}")

    def wrong(self, what: str) -> None:
        """Say what is wrong with the answer."""
        self._is_ended = True
        self._ledger.end(self, what)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_ended:
            return
        if exception is not None:
            self.failed(exception)
        else:
            self.wrong("no answer, and no error")
