"""Calls that wait for the system: made in threads of their own, a bounded number at a time."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from telex import Address
from telex.network import lookup
from telex.network.lookup import BlockingCalls, look_up

PATIENCE = 30.0


def test_so_many_calls_are_made_at_a_time_and_the_others_wait() -> None:
    """Each gets its outcome in the end, in the order in which they were begun."""
    may_return = threading.Event()
    at_work = threading.Semaphore(0)

    def wait(number: int) -> int:
        at_work.release()
        may_return.wait(PATIENCE)
        return number

    calls = BlockingCalls(2, "test")
    futures = [calls.start(wait, number) for number in range(4)]
    assert at_work.acquire(timeout=PATIENCE)
    assert at_work.acquire(timeout=PATIENCE)
    assert not at_work.acquire(timeout=0.01)
    assert futures[2].cancel()
    may_return.set()
    assert [futures[number].result(PATIENCE) for number in (0, 1, 3)] == [0, 1, 3]


def test_a_call_that_fails_tells_why() -> None:
    """The exception is the future's, and the thread goes on to the next call."""
    calls = BlockingCalls(1, "test")
    with pytest.raises(ZeroDivisionError):
        calls.start(lambda: 1 // 0).result(PATIENCE)
    assert calls.start(lambda: "next").result(PATIENCE) == "next"


def test_a_system_without_threads_is_an_error_of_the_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It becomes the reason why a connection cannot be made; the place is free again."""
    calls = BlockingCalls(1, "test")

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OSError, match="can't start new thread"):
            calls.start(lambda: None).result(0)
    assert calls.start(lambda: "next").result(PATIENCE) == "next"


@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_process_that_was_forked_begins_anew() -> None:
    """The threads of its parent are not there, and their calls keep nobody from making another."""
    may_return = threading.Event()
    calls = BlockingCalls(1, "test")
    parents = calls.start(may_return.wait, PATIENCE)
    child = os.fork()
    if not child:
        is_well = calls.start(lambda: "next").result(PATIENCE) == "next"
        os._exit(0 if is_well else 1)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        may_return.set()
    assert parents.result(PATIENCE)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tcp://127.0.0.1:7766", [("127.0.0.1", 7766)]),
        ("tcp://[::1]:7766", [("::1", 7766, 0, 0)]),
        ("tcp://localhost:7766", [("::1", 7766, 0, 0), ("127.0.0.1", 7766)]),
        ("tls://a.LOCALHOST.:7766", [("::1", 7766, 0, 0), ("127.0.0.1", 7766)]),
        ("unix:///run/telex.sock", ["/run/telex.sock"]),
    ],
)
def test_what_needs_no_resolver_is_known_at_once(
    monkeypatch: pytest.MonkeyPatch, text: str, found: list[object]
) -> None:
    """No thread is started for numbers, paths and this machine."""
    monkeypatch.setattr(lookup, "_lookups", None)
    future = look_up(Address.parse(text))
    assert future.done()
    assert [endpoint.address for endpoint in future.result()] == found


def test_a_zone_that_is_not_there_is_told_at_once() -> None:
    """A number of an interface that the machine does not have is no reason to ask anybody."""
    future = look_up(Address("tcp", "fe80::1%nowhere", 7766))
    with pytest.raises(socket.gaierror):
        future.result(0)


def test_abstract_names_are_refused_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of that name can be meant, and is said how."""
    monkeypatch.setattr("telex.network.resolver._HAS_ABSTRACT_NAMES", False)
    future = look_up(Address.parse("unix://@telex"))
    with pytest.raises(OSError, match=r"only Linux has .*; right would be .* unix://\./@telex"):
        future.result(0)
