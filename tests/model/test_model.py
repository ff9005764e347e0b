"""The model of two ends that both ask, searched; ``make model`` searches longer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.model.books import BrokenRuleError, Rules
from tests.model.end import End
from tests.model.histories import CROWDED, EVERY, TIGHT, histories_until_found, search
from tests.model.owners import Plan
from tests.model.pipe import Frame, Pipe
from tests.model.world import DeadlockError, World

SHORT = 300
"""Histories of each set of rules in the normal tests."""

OUTCOMES = {"answered", "cancelled", "closed", "handler-failed", "lost", "shutting-down", "timeout"}

USUAL = Rules()
PAUSING = Rules(pauses_for_pending=True)

MISTAKES = [
    ("a cancelled request is answered twice", USUAL, 50),
    ("a dropped answer is told", USUAL, 50),
    ("a late part kills", USUAL, 100),
    ("asking waits for others to be answered", TIGHT, 3_000),
    ("close overtakes parts", USUAL, 300),
    ("credit is doubled", USUAL, 1_000),
    ("credit is given on arrival", USUAL, 1_000),
    ("credit is lost above high water", USUAL, 1_000),
    ("generators do not wait for output", USUAL, 3_000),
    ("given up requests do not count as open", CROWDED, 3_000),
    ("no credit after close", USUAL, 1_500),
    ("own messages pause reading", USUAL, 3_000),
    ("parts do not wait for credit", USUAL, 200),
    ("reading pauses for pending requests", USUAL, 200),
    ("reading pauses for unsent output", USUAL, 100),
    ("replies to given up requests are unknown", USUAL, 50),
    ("streams do not count as open", PAUSING, 3_000),
    ("streams wait for a peer that has ended", USUAL, 3_000),
    ("the close of the peer ends no request", USUAL, 100),
]
"""Each planted mistake, where it is planted, and within how many histories it is found."""


@pytest.mark.parametrize("name", EVERY)
def test_two_ends_come_to_rest_and_to_an_end_whatever_happens(name: str) -> None:
    """No history leaves a request stuck, ends one twice, or holds more than the limits allow."""
    seen = search(EVERY[name], SHORT)
    assert seen["histories"] >= SHORT
    assert seen.keys() >= OUTCOMES


def test_reading_may_pause_for_pending_requests_whose_handlers_end_by_themselves() -> None:
    """Where no owner stops in the middle, and nothing is open here, pausing is no deadlock."""
    assert search(PAUSING, SHORT, may_be_wilful=False)["answered"]


@pytest.mark.parametrize(("mistake", "rules", "within"), MISTAKES)
def test_a_planted_mistake_is_found(mistake: str, rules: Rules, within: int) -> None:
    """The search finds each mistake within the number of histories that stands beside it."""
    planted = replace(rules, mistakes=frozenset({mistake}))
    assert histories_until_found(planted, within) is not None


@pytest.mark.parametrize("pauses", [False, True])
def test_a_cancel_behind_a_refused_request_is_read_and_behind_a_pause_it_is_not(
    pauses: bool,
) -> None:
    """A handler that only ``cancel`` ends is never told where full pending pauses reading."""
    world = World(Rules(max_pending=1, pauses_for_pending=pauses))
    endless = world.ask(0, Plan(hangs=True))
    world.settle()
    second = world.ask(0, Plan())
    assert endless is not None
    assert second is not None
    world.ends[0].cancel(endless.asked)
    world.settle()
    if pauses:
        with pytest.raises(DeadlockError):
            world.check_rest()
        assert list(world.ends[1].pending) == [endless.asked.number]
    else:
        world.check_rest()
        assert second.asked.outcomes == ["overloaded"]
        assert not world.ends[1].pending


@pytest.mark.parametrize("mistakes", [frozenset[str](), frozenset({"own messages pause reading"})])
def test_two_ends_that_both_push_do_not_wait_for_each_other(mistakes: frozenset[str]) -> None:
    """Only unsent answers may pause reading: they alone prove that the peer reads on."""
    world = World(Rules(mistakes=mistakes, capacity=4))
    for end in world.ends:
        while end.push(12):
            pass
    world.settle()
    if mistakes:
        with pytest.raises(DeadlockError):
            world.check_rest()
    else:
        world.check_rest()


def test_a_peer_that_asks_on_and_never_reads_is_cut() -> None:
    """Refusals are bounded by the hard limit of what is unsent, where the peer breaks the rule."""
    end, pipe = End(USUAL), Pipe(1_000_000)
    end.request(0, False, None, Plan())
    for number in range(1, 1_000):
        frame = Frame("request", number, plan=Plan(hangs=True))
        pipe.begin(frame)
        pipe.write(frame.length)
    end.read_from(pipe, 1_000_000)
    assert end.failure == "too slow to read"
    assert end.every[0].outcomes == ["lost"]
    assert not end.pending
    assert pipe.unread


def test_a_part_without_credit_is_refused() -> None:
    """A receiver counts what it allowed, and holds at most the window and one part of a stream."""
    end, pipe = End(USUAL), Pipe(1_000)
    for frame in (
        Frame("request", 1, more=True, plan=Plan()),
        Frame("part", 1, USUAL.window - 1, more=True),
        Frame("part", 1, USUAL.largest, more=True),
    ):
        pipe.begin(frame)
        pipe.write(frame.length)
    end.read_from(pipe, 1_000)
    assert [incoming.held for incoming in end.incomings()] == [USUAL.window - 1 + USUAL.largest]
    late = Frame("part", 1, 1, more=True)
    pipe.begin(late)
    pipe.write(late.length)
    with pytest.raises(BrokenRuleError, match="without credit"):
        end.read_from(pipe, 1_000)
