"""Calls of other threads come in order, are bounded, and never make a thread wait for ever."""

from __future__ import annotations

import threading

import pytest

from telex import ConnectionClosedError, WaitTimeoutError
from telex.server import thread_calls
from telex.server.thread_calls import ThreadCalls
from tests.sync.stage import PATIENCE, wait_until


def test_calls_are_made_in_their_order_and_the_first_wakes() -> None:
    """Only the first call since the last time wakes the server."""
    made: list[int] = []
    woken: list[int] = []
    calls = ThreadCalls(lambda: woken.append(len(made)))
    calls.make()
    for number in range(3):
        calls.post(made.append, number, size=number)
    assert len(calls) == 3
    calls.make()
    calls.make()
    assert made == [0, 1, 2]
    calls.post(made.append, 3)
    assert woken == [0, 3]


def test_call_that_raises_is_logged_and_the_calls_behind_it_are_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log has the traceback; the server's thread goes on."""
    made: list[str] = []
    calls = ThreadCalls(lambda: None)
    calls.post(int, "no number")
    calls.post(made.append, "second")
    calls.make()
    assert made == ["second"]
    [record] = caplog.records
    assert record.getMessage() == "a call from another thread failed"
    assert record.exc_info


def test_thread_waits_while_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound a thread waits until the server has made the calls; nothing is lost."""
    monkeypatch.setattr(thread_calls, "MAX_BYTES", 1_000)
    made: list[int] = []
    calls = ThreadCalls(lambda: None)

    def post() -> None:
        for number in range(500):
            calls.post(made.append, number, size=100)

    thread = threading.Thread(target=post)
    thread.start()
    while len(made) < 500:
        wait_until(lambda: calls, "something is posted")
        before = len(made)
        calls.make()
        assert len(made) - before <= 10
    thread.join(PATIENCE)
    assert made == list(range(500))


def test_large_call_needs_no_more_room_than_there_is() -> None:
    """A single call may bring more bytes than the bound."""
    made: list[str] = []
    calls = ThreadCalls(lambda: None)
    calls.post(made.append, "large", size=10 * thread_calls.MAX_BYTES)
    calls.make()
    assert made == ["large"]


def test_thread_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server does not go on, perhaps because it waits for this thread, that is told."""
    monkeypatch.setattr(thread_calls, "MAX_BYTES", 1)
    monkeypatch.setattr(thread_calls, "WAIT_SECONDS", 0.05)
    calls = ThreadCalls(lambda: None)
    calls.post(print, size=1)
    with pytest.raises(WaitTimeoutError, match="waiting for the server to send"):
        calls.post(print, size=1)


def test_closing_tells_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that nobody made are made; a thread that waits, or comes later, is told of the end."""
    monkeypatch.setattr(thread_calls, "MAX_BYTES", 1)
    made: list[str] = []
    calls = ThreadCalls(lambda: None)
    calls.post(made.append, "first", size=1)
    failures: list[ConnectionClosedError] = []

    def wait() -> None:
        try:
            calls.post(made.append, "second", size=1)
        except ConnectionClosedError as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    calls.close()
    thread.join(PATIENCE)
    assert made == ["first"]
    assert "the server was shut down" in str(failures[0])
    with pytest.raises(ConnectionClosedError, match="the server was shut down"):
        calls.post(made.append, "third", size=1)


def test_call_that_brings_nothing_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call without a size, as the outcome of a handler, is taken at once in any case."""
    monkeypatch.setattr(thread_calls, "MAX_BYTES", 1)
    made: list[str] = []
    calls = ThreadCalls(lambda: None)
    calls.post(made.append, "full", size=1)
    calls.post(made.append, "outcome")
    calls.make()
    assert made == ["full", "outcome"]


def test_calls_that_take_long_are_made_in_several_turns() -> None:
    """Between them the server does something else; it is woken for the rest, in its order."""
    made: list[int] = []
    woken: list[int] = []
    calls = ThreadCalls(lambda: woken.append(len(made)))

    def take_long(number: int) -> None:
        made.append(number)
        threading.Event().wait(0.002)

    for number in range(10):
        calls.post(take_long, number)
    while calls:
        before = len(made)
        calls.make()
        assert 1 <= len(made) - before <= 3
    assert made == list(range(10))
    assert woken[0] == 0
    assert len(woken) > 3


def test_a_call_counts_more_than_it_brings() -> None:
    """Calls that bring a byte each are bounded too: they take memory themselves."""
    calls = ThreadCalls(lambda: None)
    posted = 0
    while calls._can_go_on():
        calls.post(print, size=1)
        posted += 1
    assert posted < 10_000
