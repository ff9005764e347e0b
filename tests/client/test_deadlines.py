"""From seconds to wait to a moment of the clock, and back."""

from __future__ import annotations

import time

import pytest

from telex.client.deadlines import moment_in, seconds_until


class Clock:
    """A clock that the test winds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the time."""
    return Clock(monkeypatch)


def test_moments_and_seconds(clock: Clock) -> None:
    """A moment is so many seconds away, never fewer than none; None is never."""
    assert moment_in(3) == 1_003
    assert seconds_until(1_003) == 3
    assert seconds_until(999) == 0
    assert moment_in(None) is None
    assert seconds_until(None) is None
