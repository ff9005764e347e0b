"""Threads for handlers that block: as many as needed, bounded, and in nobody's way at the end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError

import pytest

from telex.server.threads import Threads

PATIENCE = 30.0


def test_calls_are_made_and_their_outcomes_kept() -> None:
    """What a function returns or raises is what its future has."""

    def add(one: int, two: int) -> int:
        return one + two

    def fail() -> None:
        raise SystemExit(3)

    threads = Threads(1)
    assert threads.submit(add, 1, two=2).result(PATIENCE) == 3
    with pytest.raises(SystemExit):
        threads.submit(fail).result(PATIENCE)
    assert threads.submit(add, 3, 4).result(PATIENCE) == 7
    threads.shutdown()


def test_threads_are_made_when_they_are_needed() -> None:
    """One that is idle is used before another one is started, and there are never too many."""
    threads = Threads(3, "counted")
    assert count_of_threads("counted") == 0
    for _ in range(10):
        threads.submit(int).result(PATIENCE)
        wait_for_idle(threads)
    assert count_of_threads("counted") == 1
    go_on = threading.Event()
    futures = [threads.submit(go_on.wait, PATIENCE) for _ in range(10)]
    assert count_of_threads("counted") == 3
    go_on.set()
    assert all(future.result(PATIENCE) for future in futures)
    threads.shutdown()
    assert count_of_threads("counted") == 0


def count_of_threads(name: str) -> int:
    """Return how many threads there are of this name: others come and go."""
    return sum(thread.name.startswith(name) for thread in threading.enumerate())


def wait_for_idle(threads: Threads) -> None:
    """Wait until a thread is ready for the next call."""
    deadline = time.monotonic() + PATIENCE
    while not threads._idle._value:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_shutdown_makes_the_calls_that_wait_unless_told_otherwise() -> None:
    """After it no further calls are taken; those there are made, or cancelled."""
    for cancels in (False, True):
        go_on = threading.Event()
        threads = Threads(1)
        first = threads.submit(go_on.wait, PATIENCE)
        second = threads.submit(int, "2")
        while not first.running():
            time.sleep(0.001)
        threads.shutdown(wait=False, cancel_futures=cancels)
        with pytest.raises(RuntimeError, match="shut down"):
            threads.submit(int)
        go_on.set()
        assert first.result(PATIENCE)
        if cancels:
            with pytest.raises(CancelledError):
                second.result(PATIENCE)
        else:
            assert second.result(PATIENCE) == 2


def test_threads_know_their_own() -> None:
    """A call can find out that it is made by one of them, and whose it is not."""
    threads, others = Threads(1), Threads(1)
    assert threads.submit(threads.is_own_thread).result(PATIENCE)
    assert not threads.submit(others.is_own_thread).result(PATIENCE)
    assert not threads.is_own_thread()
    threads.shutdown()


def test_arguments_are_let_go() -> None:
    """An idle thread keeps nothing of its last call alive."""

    class Large:
        """Something that is noticed when it goes."""

        def __del__(self) -> None:
            gone.set()

    gone = threading.Event()
    threads = Threads(1)
    threads.submit(id, Large()).result(PATIENCE)
    assert gone.wait(PATIENCE)
    threads.shutdown()


def test_number_is_checked() -> None:
    """No threads can do nothing."""
    with pytest.raises(ValueError, match="at least 1 thread, not 0"):
        Threads(0)


def test_program_ends_though_a_call_does_not() -> None:
    """A handler that hangs does not keep the process alive."""
    program = (
        "import time; from telex.server.threads import Threads; threads = Threads(); "
        "threads.submit(time.sleep, 60); time.sleep(0.2); threads.shutdown(wait=False)"
    )
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE)
    assert time.monotonic() - begun < PATIENCE
