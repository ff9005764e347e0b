"""The search: Hypothesis makes the histories, and what they reached is counted."""

from __future__ import annotations

from collections import Counter
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.model.books import Rules
from tests.model.choices import run_history

HISTORIES: Final = st.binary(min_size=150, max_size=450).map(lambda data: data.rstrip(b"\0"))
"""Long rows of choices; the zeros that a search for the shortest history leaves are cut off."""

TIGHT: Final = Rules(max_asked=2, max_pending=4, high_water=4, capacity=4)
"""Hardly any room between the ends, and more requests taken than asked."""

ROOMY: Final = Rules(window=16, max_window=64, max_windows=200, high_water=40, capacity=50)
"""Pipes that hold several messages, so that much crosses."""

CROWDED: Final = Rules(max_asked=3, max_pending=3, high_water=0, capacity=3)
"""Each unsent byte is above high water, and the pipes hold not even one message."""

EVERY: Final = {"usual": Rules(), "tight": TIGHT, "roomy": ROOMY, "crowded": CROWDED}


def search(rules: Rules, histories: int, *, may_be_wilful: bool = True) -> Counter[str]:
    """Run so many histories; return how many, and how the requests in them ended.

    Raises AssertionError with the shortest history that breaks a rule.
    """
    seen: Counter[str] = Counter()

    @settings(
        max_examples=histories,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(HISTORIES)
    def history(data: bytes) -> None:
        seen.update(run_history(data, rules, may_be_wilful=may_be_wilful).seen)
        seen["histories"] += 1

    history()
    return seen


def histories_until_found(rules: Rules, most: int, *, number: int = 0) -> int | None:
    """Return the number of the first history that breaks a rule; None if ``most`` break none.

    ``number`` chooses the histories: the same number makes the same ones.
    """
    count = 0
    found: int | None = None

    @seed(number)
    @settings(
        max_examples=most,
        deadline=None,
        database=None,
        derandomize=False,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(HISTORIES)
    def history(data: bytes) -> None:
        nonlocal count, found
        count += 1
        try:
            run_history(data, rules)
        except AssertionError:
            if found is None:
                found = count
            raise

    try:
        history()
    except AssertionError:
        return found
    return None
