"""What is cut off in a forked process, and how."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import selectors
import signal
import socket
from pathlib import Path

from telex.network.fork import belongs_to_this_process, empty_selector, lead_nowhere
from telex.sync.wakeup import Wakeup
from tests.forking import PATIENCE, in_fork


class Owned:
    """Something that belongs to a process."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def leave_to_owner(self, why: str) -> None:
        """Remember that, and why."""
        self.told.append(why)


def test_only_forked_processes_are_told_and_each_once() -> None:
    """A fork of the fork has nothing of its own to lose, and dropped objects are forgotten."""
    thing = Owned()
    belongs_to_this_process(thing)

    def look() -> tuple[list[str], list[str], int]:
        return thing.told, in_fork(lambda: thing.told), os.getpid()

    told, told_again, fork = in_fork(look)
    assert len(told) == 1
    assert f"belongs to process {os.getpid()}, of which this process, {fork}, is a fork" in told[0]
    assert told_again == told
    assert thing.told == []


def test_descriptors_lead_to_no_peer_in_the_forked_process_alone() -> None:
    """Bytes that are sent there go nowhere, and the number is not taken by the next file."""
    near, far = socket.socketpair()
    with near, far:
        number = near.fileno()

        def send() -> tuple[bool, bool]:
            lead_nowhere([number, -1])
            try:
                near.send(b"from a fork")
            except OSError:
                with socket.socket() as other:
                    return True, other.fileno() != number
            return False, False

        assert in_fork(send) == (True, True)
        near.send(b"from the owner")
        assert far.recv(100) == b"from the owner"


def use_up_descriptors() -> None:
    """Leave this process without a free descriptor."""
    gc.collect()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir()) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, most))
    with contextlib.suppress(OSError):
        while True:
            os.dup(0)


def test_descriptors_lead_nowhere_where_none_is_free() -> None:
    """A process that has used up its descriptors lets go of its copies; the numbers stay taken."""
    pairs = [socket.socketpair() for _ in range(2)]

    def send() -> list[str]:
        use_up_descriptors()
        lead_nowhere(near.fileno() for near, _ in pairs)
        for near, _ in pairs:
            os.fstat(near.fileno())
        outcomes = []
        for near, _ in pairs:
            try:
                near.send(b"from a fork")
                outcomes.append("sent")
            except OSError:
                outcomes.append("not sent")
        return outcomes

    assert in_fork(send) == ["not sent", "not sent"]
    for near, far in pairs:
        near.close()
        assert far.recv(100) == b""
        far.close()


def test_a_selector_is_left_to_its_owner_where_no_descriptor_is_free() -> None:
    """The fork takes nothing out of what the owner watches."""
    near, far = socket.socketpair()
    with near, far, selectors.DefaultSelector() as selector:
        selector.register(near, selectors.EVENT_READ)

        def close() -> None:
            use_up_descriptors()
            empty_selector(selector)
            selector.unregister(near)

        in_fork(close)
        far.send(b"for the owner")
        assert [key.fileobj for key, _ in selector.select(timeout=PATIENCE)] == [near]


def test_signals_do_in_a_forked_process_what_they_did_before() -> None:
    """The handlers of a server are for the process that serves."""
    wakeup = Wakeup()
    before = signal.getsignal(signal.SIGTERM)
    with wakeup.handling_signals({signal.SIGTERM: lambda: None}):

        def look() -> tuple[bool, int]:
            wakeup.leave_to_owner()
            return signal.getsignal(signal.SIGTERM) == before, signal.set_wakeup_fd(-1)

        assert in_fork(look) == (True, -1)
        assert signal.getsignal(signal.SIGTERM) != before
    wakeup.close()
