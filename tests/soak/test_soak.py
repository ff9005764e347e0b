"""The soak itself, for as long as a test may take: ``make soak`` soaks for longer."""

from __future__ import annotations

import pytest

from tests.soak.report import text_of
from tests.soak.soak import FrontEnd, Plan, soak

_SEED = 10


@pytest.mark.parametrize("front_end", ["sync", "asyncio", "uvloop"])
def test_a_server_and_its_clients_are_back_where_they_were(front_end: FrontEnd) -> None:
    """Two hundred clients of all sorts leave nothing behind, and good ones are answered once."""
    if front_end == "uvloop":
        pytest.importorskip("uvloop")
    result = soak(Plan(front_end, seconds=5.0, warm_up=2.0, seed=_SEED))
    assert not result.problems, text_of(result)
