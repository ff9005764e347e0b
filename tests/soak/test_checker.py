"""The soak finds faults that are planted in a server; each part of it finds those of its kind."""

from __future__ import annotations

import asyncio
import threading

import pytest

from telex import ConnectionClosedError, RequestTimeoutError
from tests.soak import counters
from tests.soak.ledger import Ledger
from tests.soak.report import text_of
from tests.soak.soak import Plan, Result, soak


def soaked(front_end: str, *faults: str) -> Result:
    """Soak a server with these faults for a short time, by few clients."""
    plan = Plan(
        front_end,  # type: ignore[arg-type]
        seconds=2.0,
        warm_up=1.0,
        seed=7,
        clients=40,
        faults=faults,
    )
    return soak(plan)


def test_what_a_server_leaves_behind_is_found() -> None:
    """A thread, a descriptor, memory and a generator, and the answer to what nobody has asked."""
    plants = ("thread", "descriptor", "memory", "generator", "answer to nobody")
    result = soaked("sync", *plants)
    found = "\n".join(result.problems)
    for what in ("threads: ", "descriptors: ", "blocks of memory", "resident memory"):
        assert f"not back, in the process of the server: {what}" in found, found
    assert "generators and coroutines of _add_" in found
    assert "and the server handled" in found


def test_what_an_event_loop_leaves_behind_is_found() -> None:
    """A task and a connection that are left."""
    result = soaked("asyncio", "task", "connection")
    found = "\n".join(result.problems)
    assert "in the process of the server: tasks: " in found, found
    assert "1 telex.connection.connection.Connection" in found


@pytest.mark.parametrize("front_end", ["sync", "asyncio"])
def test_wrong_answers_are_found(front_end: str) -> None:
    """An answer with the number of another request, and a request that is answered twice."""
    result = soaked(front_end, "wrong answer", "second answer")
    found = "\n".join(result.problems)
    assert "was answered with {'number': " in found, found
    assert "a reply must name a request that has no answer yet" in found


def test_a_server_that_ends_is_found() -> None:
    """The soak ends, and says with which exit code the process has ended."""
    result = soaked("sync", "end")
    assert "tests.soak.server ended with 3" in "\n".join(result.problems)


def test_the_ledger_tells_what_was_not_answered_once() -> None:
    """Each must be answered once, with its number; over a rough network it may be lost."""
    ledger = Ledger()
    with ledger.request("right", is_calm=True) as entry:
        entry.answered({"number": entry.number})
    with ledger.request("lost", is_calm=False) as entry:
        entry.failed(ConnectionClosedError("peer", "reset"))
    assert not ledger.problems.texts()
    assert (ledger.answered, ledger.lost, ledger.open) == (1, 1, {})
    with ledger.request("twice", is_calm=True) as entry:
        entry.answered({"number": entry.number})
        entry.answered({"number": entry.number})
    with ledger.request("another's", is_calm=True) as entry:
        entry.answered({"number": 1})
    with ledger.request("lost without a reason", is_calm=True) as entry:
        entry.failed(ConnectionClosedError("peer", "reset"))
    with ledger.request("late", is_calm=False) as entry:
        entry.failed(RequestTimeoutError("an answer", 1.0))
    with ledger.request("forgotten", is_calm=True):
        pass
    askers = [problem.partition(":")[0] for problem in ledger.problems.texts()]
    assert askers == ["twice", "another's", "lost without a reason", "late", "forgotten"]


def test_a_request_that_waits_is_open_in_the_ledger() -> None:
    """Whoever waits is named."""
    ledger = Ledger()
    entry = ledger.request("waiting", is_calm=True)
    assert ledger.open == {entry.number: "waiting"}


def test_counters_tell_what_is_not_back() -> None:
    """A thread and a generator more, which are back when they have ended."""

    async def watch() -> list[str]:
        loop = asyncio.get_running_loop()
        before = counters.count(loop)
        event = threading.Event()
        thread = threading.Thread(target=event.wait)
        thread.start()
        numbers = (number for number in range(3))
        next(numbers)
        task = asyncio.ensure_future(asyncio.sleep(60))
        between = counters.count(loop)
        event.set()
        thread.join()
        task.cancel()
        await asyncio.wait([task])
        numbers.close()
        del numbers
        assert not counters.differences(before, counters.count(loop), slack={})
        return counters.differences(before, between, slack={})

    found = "; ".join(asyncio.run(watch()))
    assert "threads: " in found
    assert "tasks: 1 before, 2 after" in found
    assert "watch.<locals>.<genexpr>: 0 before, 1 after" in found


def test_the_report_says_how_to_repeat_a_soak() -> None:
    """A result with a problem names its seed and the command."""
    result = Result(Plan("asyncio", seconds=9, warm_up=1, seed=42, is_encrypted=False))
    assert "Everything is back" in text_of(result)
    result.problems.append("something is left")
    report = text_of(result)
    assert "- something is left" in report
    assert "make soak SERVER=asyncio SECONDS=9 SEED=42 TLS=no" in report
