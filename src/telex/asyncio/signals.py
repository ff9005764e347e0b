"""The signals of the process, for all servers of an event loop together.

A loop has one handler for each signal. It is installed for the first server that wants it, calls
what all of them want, and goes with the last. What servers do then is not known here.
"""

from __future__ import annotations

import contextlib
import signal
import weakref
from typing import TYPE_CHECKING, Final

from telex.network.fork import belongs_to_this_process

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator, Mapping

_LOOPS: Final = ("asyncio.unix_events", "uvloop.loop")
"""Where the placeholders come from that the signal module has for what event loops handle."""


class _Signal:
    """A signal that a loop handles: what is called when it comes."""

    def __init__(self, loop: AbstractEventLoop, number: int) -> None:
        self.actions: list[Callable[[], object]] = []
        self._number: Final = number
        self._previous: Final = signal.getsignal(number)
        loop.add_signal_handler(number, self._call_all)
        belongs_to_this_process(self)

    def restore(self, loop: AbstractEventLoop) -> None:
        """Have the signal do what it did before."""
        loop.remove_signal_handler(self._number)
        signal.signal(self._number, self._previous or signal.SIG_DFL)

    def leave_to_owner(self, why: str) -> None:
        """Have the signal do in a forked process what it did before.

        Else it would be told to the process that this one was forked from.
        """
        signal.set_wakeup_fd(-1)
        signal.signal(self._number, self._previous or signal.SIG_DFL)

    def _call_all(self) -> None:
        for action in dict.fromkeys(self.actions):
            action()


_handled: Final[weakref.WeakKeyDictionary[AbstractEventLoop, dict[int, _Signal]]] = (
    weakref.WeakKeyDictionary()
)
"""For each loop the signals that are handled there for servers."""


@contextlib.contextmanager
def handling(
    loop: AbstractEventLoop, actions: Mapping[int, Callable[[], object]]
) -> Iterator[None]:
    """Have each signal call its action for the time of the context, and those of other servers.

    A signal that the loop already handles for the user is left alone.
    """
    handled = _handled.setdefault(loop, {})
    free = [number for number in actions if number in handled or not _is_taken(number)]
    for number in free:
        if number not in handled:
            handled[number] = _Signal(loop, number)
        handled[number].actions.append(actions[number])
    try:
        yield
    finally:
        for number in free:
            handled[number].actions.remove(actions[number])
            if not handled[number].actions:
                handled.pop(number).restore(loop)


def _is_taken(number: int) -> bool:
    return getattr(signal.getsignal(number), "__module__", None) in _LOOPS
