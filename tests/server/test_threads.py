"""Threads for handlers that block: as many as needed, bounded, and fair to every connection."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from telex.server.threads import Line, Threads

PATIENCE = 30.0


def line_of(work: Callable[[object], object], *, drops: bool = False) -> Line:
    """Return a line whose calls are all given up when they are withdrawn, or none of them."""
    return Line(work, lambda item: drops, id)


class Calls:
    """Calls that are noted, in their order, and the first of which waits for the test."""

    def __init__(self, threads: Threads) -> None:
        self.made: list[object] = []
        self.may_go = threading.Event()
        self.is_held = threading.Event()
        threads.submit(line_of(self.hold), "first")
        assert self.is_held.wait(PATIENCE)

    def hold(self, item: object) -> None:
        """Wait for the test."""
        self.is_held.set()
        assert self.may_go.wait(PATIENCE)

    def note(self, item: object) -> None:
        """Note a call."""
        self.made.append(item)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_lines_take_turns() -> None:
    """However many calls wait in one line, the first of another line is the next but one."""
    threads = Threads(1)
    calls = Calls(threads)
    long, short = line_of(calls.note), line_of(calls.note)
    for number in range(5):
        threads.submit(long, number)
    threads.submit(short, "short")
    calls.may_go.set()
    threads.shutdown()
    assert calls.made == [0, "short", 1, 2, 3, 4]


def test_what_is_withdrawn_is_not_called() -> None:
    """Unless the line keeps it; the calls of other lines are made all the same."""
    threads = Threads(1)
    calls = Calls(threads)
    dropped: list[object] = []
    odd = Line(calls.note, lambda number: number % 2 == 0, dropped.append)
    other, empty = line_of(calls.note), line_of(calls.note)
    for number in range(6):
        threads.submit(odd, number)
    threads.submit(other, "other")
    assert threads.withdraw(odd) == 3
    assert threads.withdraw(empty) == 0
    calls.may_go.set()
    threads.shutdown()
    assert dropped == [0, 2, 4]
    assert calls.made == [1, "other", 3, 5]


def test_a_line_may_grow_while_it_is_withdrawn() -> None:
    """Whoever is told of a dropped call may submit another one, behind those that are kept."""
    threads = Threads(1)
    calls = Calls(threads)
    line = Line(
        calls.note, lambda item: item == "one", lambda item: threads.submit(line, f"not {item}")
    )
    threads.submit(line, "one")
    threads.submit(line, "two")
    threads.withdraw(line)
    calls.may_go.set()
    threads.shutdown()
    assert calls.made == ["two", "not one"]


def test_a_call_that_is_kept_is_made_by_a_thread_that_looks_for_one_meanwhile() -> None:
    """A thread may become free at any moment, also while calls are withdrawn."""
    threads = Threads(1)
    calls = Calls(threads)

    def gives_up(item: object) -> bool:
        calls.may_go.set()
        wait_for(threads._signs.empty)  # the thread has taken the sign of this call
        return False

    threads.submit(Line(calls.note, gives_up, id), "kept")
    threads.withdraw(next(iter(threads._lines)))
    wait_for(lambda: calls.made)
    threads.shutdown()
    assert calls.made == ["kept"]


def test_a_call_waits_for_the_threads_there_are_when_the_system_has_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where there is none at all, the call is refused, and is not made later either."""
    threads, without = Threads(2), Threads(2)
    calls = Calls(threads)
    line, refused = line_of(calls.note), line_of(calls.note)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        threads.submit(line, "waits")
        with pytest.raises(RuntimeError, match="can't start"):
            without.submit(refused, "refused")
    without.submit(refused, "later")
    without.shutdown()
    assert calls.made == ["later"]
    calls.may_go.set()
    threads.shutdown()
    assert calls.made == ["later", "waits"]


def test_threads_are_made_when_they_are_needed() -> None:
    """One that is idle is used before another one is started, and there are never too many."""
    threads = Threads(3, "counted")
    assert count_of_threads("counted") == 0
    line = line_of(id)
    for _ in range(10):
        threads.submit(line, None)
        wait_for(lambda: threads._idle._value)
    assert count_of_threads("counted") == 1
    go_on = threading.Event()
    waiting = line_of(lambda item: go_on.wait(PATIENCE))
    for _ in range(10):
        threads.submit(waiting, None)
    assert count_of_threads("counted") == 3
    go_on.set()
    threads.shutdown()
    assert count_of_threads("counted") == 0


def refuse_to_start(thread: threading.Thread) -> None:
    """Fail as ``Thread.start`` does where the system allows no more threads."""
    raise RuntimeError("can't start new thread")


def test_a_call_without_any_thread_is_refused_and_never_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller is told, and the next call is made by a thread as soon as there is one."""
    threads, made = Threads(), list[object]()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse_to_start)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            threads.submit(line_of(made.append), "refused")
    threads.submit(line_of(made.append), "made")
    threads.shutdown()
    assert made == ["made"]


def count_of_threads(name: str) -> int:
    """Return how many threads there are of this name: others come and go."""
    return sum(thread.name.startswith(name) for thread in threading.enumerate())


@pytest.mark.parametrize("drops", [False, True])
def test_shutdown_makes_the_calls_that_are_not_given_up(drops: bool) -> None:
    """After it no further calls are taken; it says how many were given up."""
    threads = Threads(1)
    calls = Calls(threads)
    line = line_of(calls.note, drops=drops)
    threads.submit(line, 1)
    threads.submit(line, 2)
    assert threads.shutdown(wait=False) == (2 if drops else 0)
    with pytest.raises(RuntimeError, match="shut down"):
        threads.submit(line, 3)
    calls.may_go.set()
    threads.shutdown()
    assert calls.made == ([] if drops else [1, 2])


def test_threads_know_their_own() -> None:
    """A call can find out that it is made by one of them, and whose it is not."""
    threads, others = Threads(1), Threads(1)
    seen: list[bool] = []
    line = line_of(lambda item: seen.extend([threads.is_own_thread(), others.is_own_thread()]))
    threads.submit(line, None)
    threads.shutdown()
    assert seen == [True, False]
    assert not threads.is_own_thread()


def test_arguments_are_let_go() -> None:
    """An idle thread keeps nothing of its last call alive."""

    class Large:
        """Something that is noticed when it goes."""

        def __del__(self) -> None:
            gone.set()

    gone = threading.Event()
    threads = Threads(1)
    threads.submit(line_of(id), Large())
    assert gone.wait(PATIENCE)
    threads.shutdown()


def test_number_is_checked() -> None:
    """No threads can do nothing."""
    with pytest.raises(ValueError, match="at least 1 thread, not 0"):
        Threads(0)


def test_program_ends_though_a_call_does_not() -> None:
    """A handler that hangs does not keep the process alive."""
    program = (
        "import time; from telex.server.threads import Line, Threads; threads = Threads(); "
        "threads.submit(Line(time.sleep, bool, id), 60); time.sleep(0.2); "
        "threads.shutdown(wait=False)"
    )
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE)
    assert time.monotonic() - begun < PATIENCE
