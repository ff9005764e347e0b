"""Calls that wait for the system and cannot be interrupted, such as those of its resolver.

They are made in threads of their own, so that whoever waits can give up, and no pool of somebody
else must have room. The threads do not keep a program from ending.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from telex.network.resolver import needs_resolver, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.address import Address
    from telex.network.resolver import Endpoint

Result = TypeVar("Result")

_MOST_LOOKUPS: Final = 64
"""Names that are resolved at the same time; further ones wait for those."""


class _Call(NamedTuple):
    """A call, and where its outcome goes."""

    future: Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class BlockingCalls:
    """Makes calls in threads, at most ``most`` at a time; there is no thread without a call."""

    def __init__(self, most: int, name: str) -> None:
        self._most: Final = most
        self._name: Final = name
        self._forget_all()
        os.register_at_fork(after_in_child=self._forget_all)

    def start(self, function: Callable[..., Result], *arguments: object) -> Future[Result]:
        """Begin a call; return the future of its outcome, which may be cancelled before it begins.

        The call fails with OSError when the system has no more threads.
        """
        future: Future[Result] = Future()
        call = _Call(future, function, arguments)
        with self._lock:
            if self._running >= self._most:
                self._waiting.append(call)
                return future
            self._running += 1
        try:
            threading.Thread(target=self._work, args=(call,), name=self._name, daemon=True).start()
        except RuntimeError as error:
            with self._lock:
                self._running -= 1
            future.set_exception(OSError(errno.EAGAIN, str(error)))
        return future

    def _work(self, call: _Call | None) -> None:
        while call is not None:
            _make(call)
            with self._lock:
                call = self._waiting.popleft() if self._waiting else None
                if call is None:
                    self._running -= 1

    def _forget_all(self) -> None:
        """Begin anew: a process that was forked has none of the threads, nor their locks."""
        self._lock = threading.Lock()
        self._running = 0
        self._waiting: deque[_Call] = deque()


def _make(call: _Call) -> None:
    future = call.future
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call.function(*call.arguments)
    except BaseException as error:  # noqa: BLE001 - whoever asks the future gets it raised
        future.set_exception(error)
    else:
        future.set_result(result)


_lookups: Final = BlockingCalls(_MOST_LOOKUPS, "telex-resolver")
_others: Final = BlockingCalls(_MOST_LOOKUPS, "telex-opening")


def look_up(address: Address) -> Future[list[Endpoint]]:
    """Resolve an address; the future is done at once where no resolver has to be asked.

    It has the outcome of ``resolve``.
    """
    if needs_resolver(address):
        return _lookups.start(_resolve, address)
    future: Future[list[Endpoint]] = Future()
    _make(_Call(future, _resolve, (address,)))
    return future


def call_in_thread(function: Callable[[], Result]) -> Future[Result]:
    """Make a call that may wait, such as the one that opens a server."""
    return _others.start(function)


def _resolve(address: Address) -> list[Endpoint]:
    return resolve(address)
