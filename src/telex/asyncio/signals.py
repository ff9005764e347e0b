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
from telex.server.signals import let_in_hangup

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from collections.abc import Callable, Iterator, Mapping

_LOOPS: Final = ("asyncio.unix_events", "uvloop.loop")
"""Where the placeholders come from that the signal module has for what event loops handle."""


_LOOK_SECONDS: Final = 0.25
"""How often a loop looks whether a signal has come, where a signal does not end its wait."""


class _Signal:
    """A signal that a loop handles: what is called when it comes."""

    def __init__(self, loop: AbstractEventLoop, number: int) -> None:
        self.actions: list[Callable[[], object]] = []
        self._number: Final = number
        self._previous: Final = signal.getsignal(number)
        self._timer: TimerHandle | None = None
        try:
            loop.add_signal_handler(number, self._call_all)
        except NotImplementedError:  # the loops of Windows have none
            signal.signal(number, lambda _n, _f: loop.call_soon_threadsafe(self._call_all))
            self._look(loop)
        belongs_to_this_process(self)

    def restore(self, loop: AbstractEventLoop) -> None:
        """Have the signal do what it did before."""
        if self._timer is None:
            loop.remove_signal_handler(self._number)
        else:
            self._timer.cancel()
        signal.signal(self._number, self._previous or signal.SIG_DFL)

    def leave_to_owner(self, why: str) -> None:
        """Have the signal do in a forked process what it did before.

        Else it would be told to the process that this one was forked from.
        """
        signal.set_wakeup_fd(-1)
        signal.signal(self._number, self._previous or signal.SIG_DFL)

    def _look(self, loop: AbstractEventLoop) -> None:
        """End the wait of the loop now and then: Python calls the handler of a signal after it."""
        self._timer = loop.call_later(_LOOK_SECONDS, self._look, loop)

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
    let_in_hangup(free)
    try:
        yield
    finally:
        for number in free:
            handled[number].actions.remove(actions[number])
            if not handled[number].actions:
                handled.pop(number).restore(loop)


def _is_taken(number: int) -> bool:
    return getattr(signal.getsignal(number), "__module__", None) in _LOOPS
