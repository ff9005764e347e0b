"""Times that users give: what is taken for which time, and what is refused."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from telex.seconds import LONGEST_WAIT, pause_of, timeout_of


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (None, None),
        (0, 0.0),
        (2, 2.0),
        (0.25, 0.25),
        (Decimal("1.5"), 1.5),
        (1e9, 1e9),
        (1e10, None),
        (10**400, None),
        (math.inf, None),
        (-0.001, 0.0),
        (-(10**400), 0.0),
        (-math.inf, 0.0),
    ],
)
def test_a_timeout_is_a_time_that_can_be_waited(given: Any, meant: float | None) -> None:
    """Longer than anybody lives is for ever; less than nothing is nothing."""
    assert timeout_of(given) == meant


@pytest.mark.parametrize(
    ("given", "meant"), [(0, 0.0), (1.5, 1.5), (math.inf, LONGEST_WAIT), (10**400, LONGEST_WAIT)]
)
def test_a_pause_ends(given: Any, meant: float) -> None:
    """It lasts for a day at most, which the system's calls take."""
    assert pause_of(given, "delay") == meant


@pytest.mark.parametrize("check", [timeout_of, pause_of])
@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (math.nan, ValueError, "delay must be a number of seconds, not NaN"),
        ("5", TypeError, "delay must be a number of seconds, not '5' .str."),
        (object, TypeError, "delay must be a number of seconds"),
    ],
)
def test_what_is_no_time_is_refused(
    check: Any, given: Any, error: type[Exception], words: str
) -> None:
    """The error names the argument, and says what would be right."""
    with pytest.raises(error, match=words):
        check(given, "delay")


@pytest.mark.parametrize("given", [-1, -0.001, -math.inf])
def test_a_negative_pause_is_refused(given: float) -> None:
    """Unlike a timeout, which may have run out, it can only be a mistake."""
    with pytest.raises(ValueError, match="delay must not be negative"):
        pause_of(given, "delay")
