"""Deadlines: what has waited long enough, and how long there is to wait."""

from __future__ import annotations

import time

import pytest

from telex.sync.deadlines import Deadlines, moment_in, seconds_until


class Clock:
    """A clock that the test winds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the time."""
    return Clock(monkeypatch)


def test_what_has_waited_long_enough_expires_once(clock: Clock) -> None:
    """Things expire in the order in which they began to wait, each when its time is over."""
    deadlines: Deadlines[str] = Deadlines(5.0)
    assert not deadlines
    deadlines.start("first")
    clock.now += 2
    deadlines.start("second")
    assert deadlines.next() == 1_005
    assert deadlines.expired() == []
    clock.now = 1_005
    assert deadlines.expired() == ["first"]
    assert deadlines.next() == 1_007
    clock.now = 1_100
    assert deadlines.expired() == ["second"]
    assert deadlines.expired() == []
    assert not deadlines


def test_what_starts_again_waits_anew(clock: Clock) -> None:
    """Starting again puts it behind those that began to wait meanwhile."""
    deadlines: Deadlines[str] = Deadlines(5.0)
    deadlines.start("again")
    deadlines.start("once")
    clock.now += 1
    deadlines.start("again")
    clock.now = 1_005
    assert deadlines.expired() == ["once"]
    assert deadlines.next() == 1_006


def test_what_is_cancelled_does_not_expire(clock: Clock) -> None:
    """Cancelling is final, and harmless for what does not wait."""
    deadlines: Deadlines[str] = Deadlines(5.0)
    deadlines.start("one")
    deadlines.cancel("one")
    deadlines.cancel("another")
    clock.now += 10
    assert deadlines.expired() == []


def test_moments_and_seconds(clock: Clock) -> None:
    """A moment is so many seconds away, never fewer than none; None is never."""
    assert moment_in(3) == 1_003
    assert seconds_until(1_003) == 3
    assert seconds_until(999) == 0
    assert moment_in(None) is None
    assert seconds_until(None) is None
