"""Threads for handlers that block: as many as are needed, up to a bound, and none before.

In contrast to ``concurrent.futures.ThreadPoolExecutor`` they do not keep a program from ending: a
handler that never returns must not outlive the server that was told to end. What the calls are is
not known here.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Result = TypeVar("Result")

_MOST: Final = min(32, (os.cpu_count() or 1) + 4)
"""How many threads there may be when nobody says: as many as the standard library's pool has."""


class _Call:
    """A call that waits for a thread."""

    __slots__ = ("_arguments", "_function", "_keywords", "future")

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> None:
        self.future: Future[Any] = Future()
        self._function = function
        self._arguments = arguments
        self._keywords = keywords

    def make(self) -> None:
        """Call, unless it was cancelled, and keep what comes of it."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self._function(*self._arguments, **self._keywords)
        except BaseException as error:  # noqa: BLE001 - whoever asks the future gets it raised
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Threads(Executor):
    """At most ``most`` threads, each of which takes the next call when it is done with one."""

    def __init__(self, most: int | None = None, name: str = "telex-handler") -> None:
        if most is not None and most < 1:
            raise ValueError(f"there must be at least 1 thread, not {most}")
        self._most: Final = most or _MOST
        self._name: Final = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._is_closed = False

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Have a thread make this call. Raises RuntimeError after ``shutdown()``."""
        call = _Call(fn, args, kwargs)
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the threads have been shut down")
            self._calls.put(call)
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
                number = len(self._threads) + 1
                thread = threading.Thread(
                    target=self._work, name=f"{self._name}-{number}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
        return call.future

    def is_own_thread(self) -> bool:
        """Say whether the calling thread is one of these: a call that must not wait for its end."""
        return threading.current_thread() in self._threads

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end each thread when it has nothing left to do."""
        with self._lock:
            self._is_closed = True
        if cancel_futures:  # without the lock: who is told of that may want to submit again
            self._cancel_waiting()
        for _ in self._threads:
            self._calls.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def leave_to_owner(self) -> None:
        """Make no more calls: those that wait are made by the process that this was forked from."""
        self._lock = threading.Lock()
        self._is_closed = True
        self._calls = SimpleQueue()
        self._calls.put(None)  # this may be one of these threads, and the only one here

    def _cancel_waiting(self) -> None:
        while True:
            try:
                call = self._calls.get_nowait()
            except Empty:
                return
            if call is not None:
                call.future.cancel()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.make()
            del call  # an idle thread keeps no message alive
            self._idle.release()
