"""Connections and servers belong to the process that made them; a fork of it has only copies.

A copy shares its socket with the owner: the bytes of both would mix, and each would receive what
is for the other. So all copies are cut off in the forked process, before anything else runs there.
Whoever uses a copy is told which process it belongs to, and the owner does not notice. That costs
nothing while messages are sent. Where there is no fork, as on Windows, nothing is ever cut off.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import socket
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakSet

from telex.errors import ConnectionClosedError
from telex.log import safe_logger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from telex.connection.connection import Connection


class Owned(Protocol):
    """What belongs to one process."""

    def leave_to_owner(self, why: str) -> None:
        """Become useless, because this is a copy in a forked process; ``why`` says so in words.

        Other threads do not exist in this process, and their locks may be held for ever.
        """


logger: Final = safe_logger("telex.server")

_owned: Final[WeakSet[Owned]] = WeakSet()

_process = os.getpid()
"""This process, as far as it is known: in a forked process that is its parent at first."""


def belongs_to_this_process(thing: Owned) -> None:
    """Have something cut off in processes that are forked from this one."""
    _owned.add(thing)


def give_up_connection(connection: Connection, why: str) -> None:
    """End the copy of a connection without a word: its owner sends and receives what is left."""
    while pieces := connection.data_to_send():
        connection.data_sent(sum(map(len, pieces)))
    connection.unread.clear()
    connection.lost(ConnectionClosedError("us", why), time.monotonic())
    connection.finish()


def lead_nowhere(numbers: Iterable[int]) -> None:
    """Have descriptors of this process lead to no peer; those of other processes stay as they are.

    The numbers stay taken: event loops still close them, and remove them from their selectors,
    which are shared with the owner, and where another file of that number would be removed.
    """
    numbers = [number for number in numbers if number >= 0]
    if not numbers:
        return
    try:
        unconnected = socket.socket(socket.AF_UNIX).detach()
    except OSError:  # no descriptor is free; one of these is used instead, and stays open
        os.close(numbers[0])
        unconnected = socket.socket(socket.AF_UNIX).detach()
    for number in numbers:
        if number != unconnected:
            os.dup2(unconnected, number, inheritable=False)
    if unconnected not in numbers:
        os.close(unconnected)


def empty_selector(selector: object) -> None:
    """Have the copy of a selector watch nothing; that of the owner, which is shared, goes on.

    Only epoll is shared (epoll(7)): whoever closes a copy's sockets would take them out of both.
    """
    if sys.platform == "linux" and isinstance(selector, selectors.EpollSelector):
        with contextlib.suppress(ValueError):  # it may be closed already
            number = selector.fileno()
            try:
                with select.epoll() as empty:
                    os.dup2(empty.fileno(), number, inheritable=False)
            except OSError:  # no descriptor is free
                lead_nowhere((number,))


def _cut_off_copies() -> None:
    global _process
    owner, _process = _process, os.getpid()
    why = (
        f"it belongs to process {owner}, of which this process, {_process}, is a fork; "
        "right would be to open another one here"
    )
    for thing in list(_owned):
        try:
            thing.leave_to_owner(why)
        except Exception:
            logger.exception("a copy in a forked process may not be cut off")
    _owned.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_cut_off_copies)
