"""Pauses between attempts to connect."""

from __future__ import annotations

import math

import pytest

from telex.client.backoff import Backoff


@pytest.fixture(autouse=True)
def longest_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each pause be as long as it may be."""
    monkeypatch.setattr("telex.client.backoff.random.uniform", lambda least, most: most)


def test_pauses_double_up_to_a_bound() -> None:
    """There is none before the first attempt, and no number of failures is too large."""
    backoff = Backoff(0.1, 1.0)
    pauses = []
    for _ in range(6):
        pauses.append(backoff.pause())
        backoff.failed()
    assert pauses == [0.0, 0.1, 0.2, 0.4, 0.8, 1.0]
    for _ in range(2_000):
        backoff.failed()
    assert backoff.pause() == 1.0


def test_a_long_connection_makes_up_for_all_failures() -> None:
    """A short one counts as one failure more."""
    backoff = Backoff(0.1, 1.0)
    backoff.failed()
    backoff.failed()
    backoff.ended(0.3)
    assert backoff.pause() == 0.4
    backoff.ended(0.8)
    assert backoff.pause() == 0.1


@pytest.mark.parametrize(("longest", "words"), [(-1.0, "not be negative"), (math.nan, "not NaN")])
def test_a_pause_that_is_none_is_refused(longest: float, words: str) -> None:
    """The error comes with the first attempt, and not with the first failure."""
    with pytest.raises(ValueError, match=f"max_delay must .*{words}"):
        Backoff(0.1, longest)


def test_a_pause_without_end_is_a_day() -> None:
    """Whoever sleeps for so long is given a time that the system takes."""
    backoff = Backoff(math.inf, math.inf)
    backoff.failed()
    assert 0 <= backoff.pause() <= 24 * 60 * 60
