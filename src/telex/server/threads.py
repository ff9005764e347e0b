"""Threads for handlers that block: as many as are needed, up to a bound, and none before.

The calls of each connection wait in a line of their own, and the lines take turns: who asks for a
thousand calls keeps nobody else waiting for more than one of them. In contrast to
``concurrent.futures.ThreadPoolExecutor`` the threads do not keep a program from ending: a handler
that never returns must not outlive the server that was told to end. What the calls are is not known
here.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST: Final = min(32, (os.cpu_count() or 1) + 4)
"""How many threads there may be when nobody says: as many as the standard library's pool has."""


class Line:
    """Calls of ``work`` that wait for a thread, each with its item.

    When calls are taken back, ``gives_up(item)`` says whether a call is given up; the lock is held
    meanwhile, so it must not submit. Then ``dropped(item)`` is called for each that was given up.
    """

    __slots__ = ("dropped", "gives_up", "waiting", "work")

    def __init__(
        self,
        work: Callable[[Any], object],
        gives_up: Callable[[Any], bool],
        dropped: Callable[[Any], object],
    ) -> None:
        self.work: Final = work
        self.gives_up: Final = gives_up
        self.dropped: Final = dropped
        self.waiting: deque[Any] = deque()


class Threads:
    """At most ``most`` threads, each of which takes the next call when it is done with one."""

    def __init__(self, most: int | None = None, name: str = "telex-handler") -> None:
        if most is not None and most < 1:
            raise ValueError(f"there must be at least 1 thread, not {most}")
        self._most: Final = most or _MOST
        self._name: Final = name
        # A sign for each call that was submitted; the call that is made for it is the next one.
        self._signs: SimpleQueue[bool] = SimpleQueue()
        self._lines: deque[Line] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self.is_closed: bool = False
        """Whether no more calls are taken."""

    def submit(self, line: Line, item: object) -> None:
        """Have a thread call ``line.work(item)``.

        Raises RuntimeError after ``shutdown()``, and where the system has no thread for the call;
        the call is not made then.
        """
        with self._lock:
            if self.is_closed:
                raise RuntimeError("the threads have been shut down")
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
                self._add_thread()
            line.waiting.append(item)
            if len(line.waiting) == 1:
                self._lines.append(line)
            self._signs.put(True)

    def _add_thread(self) -> None:
        """Start a thread. Raises RuntimeError where that fails and no other thread is there."""
        name = f"{self._name}-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads for this process
            if not self._threads:
                raise
        else:
            self._threads.append(thread)

    def withdraw(self, line: Line) -> int:
        """Take back the calls that ``line.gives_up``; return how many they were.

        The others never leave the line: a thread that looks for them meanwhile would find nothing,
        and nobody would make them.
        """
        given_up: list[Any] = []
        left: deque[Any] = deque()
        with self._lock:
            for item in line.waiting:
                (given_up if line.gives_up(item) else left).append(item)
            line.waiting = left
            if given_up and not left:
                self._lines.remove(line)
        for item in given_up:
            line.dropped(item)
        return len(given_up)

    def is_own_thread(self) -> bool:
        """Say whether the calling thread is one of these: a call that must not wait for its end."""
        return threading.current_thread() in self._threads

    def shutdown(self, *, wait: bool = True) -> int:
        """Take no more calls, and end each thread when it has nothing left to do.

        The calls that wait are withdrawn first; return how many were given up.
        """
        with self._lock:
            self.is_closed = True
            lines = list(self._lines)
        given_up = sum([self.withdraw(line) for line in lines])
        for _ in self._threads:
            self._signs.put(False)
        if wait:
            for thread in self._threads:
                thread.join()
        return given_up

    def leave_to_owner(self) -> None:
        """Make no more calls: those that wait are made by the process that this was forked from."""
        self._lock = threading.Lock()
        self.is_closed = True
        self._lines = deque()
        self._signs = SimpleQueue()
        self._signs.put(False)  # this may be one of these threads, and the only one here

    def _work(self) -> None:
        while self._signs.get():
            self._make_next()
            self._idle.release()

    def _make_next(self) -> None:
        """Make the first call of the first line, which then is the last one."""
        with self._lock:
            if not self._lines:  # the call of this sign was withdrawn
                return
            line = self._lines.popleft()
            item = line.waiting.popleft()
            if line.waiting:
                self._lines.append(line)
        line.work(item)
