"""poll(2), and what stands in for it on systems that have only select(2), such as Windows."""

from __future__ import annotations

import select
from typing import Final, Protocol

RECEIVE: Final[int] = getattr(select, "POLLIN", 1)
SEND: Final[int] = getattr(select, "POLLOUT", 4)


class Poll(Protocol):
    """The methods of ``select.poll()`` that are used here."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Wait for these events at a descriptor from now on, and for no others."""

    def unregister(self, fd: int, /) -> None:
        """Wait no longer at a descriptor."""

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """Wait at most so many milliseconds; return what happened at which descriptor."""


class SelectPoll:
    """Waits with select(2), and is used like ``select.poll()``."""

    def __init__(self) -> None:
        self._events: Final[dict[int, int]] = {}

    def register(self, fd: int, eventmask: int, /) -> None:
        """Wait for these events at a descriptor from now on, and for no others."""
        self._events[fd] = eventmask

    def unregister(self, fd: int, /) -> None:
        """Wait no longer at a descriptor."""
        del self._events[fd]

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """Wait at most so many milliseconds; return what happened at which descriptor."""
        to_receive = [fd for fd, events in self._events.items() if events & RECEIVE]
        to_send = [fd for fd, events in self._events.items() if events & SEND]
        receiving, sending, failing = select.select(  # Windows tells a failed connect as the last
            to_receive, to_send, to_send, None if timeout is None else timeout / 1000
        )
        happened = dict.fromkeys(receiving, RECEIVE)
        for fd in {*sending, *failing}:
            happened[fd] = happened.get(fd, 0) | SEND
        return list(happened.items())


def new_poll() -> Poll:
    """Return what this system has."""
    return select.poll() if hasattr(select, "poll") else SelectPoll()
