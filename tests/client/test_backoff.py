"""Pauses between attempts to connect."""

from __future__ import annotations

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
