"""The phases of a conversation: a table in which every way leads to an end."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from telex.conversation.states import TRANSITIONS, Phase, Step

DRAW_PHASES = Path(__file__).parents[2] / "docs" / "draw_phases.py"

ENDS = {Phase.CLOSED, Phase.FAILED}


def test_from_everywhere_there_is_a_way_to_both_ends() -> None:
    """No conversation gets stuck, and each can end in order or break."""
    for phase in set(Phase) - ENDS:
        reached = {phase}
        for _ in Phase:
            reached |= {to for (at, _), to in TRANSITIONS.items() if at in reached}
        assert reached >= ENDS
        assert TRANSITIONS[phase, Step.BREAKS] is Phase.FAILED


def test_an_end_is_an_end() -> None:
    """Nothing leads away from it, and nothing leads back to the beginning."""
    assert {phase for phase, _ in TRANSITIONS} == set(Phase) - ENDS
    assert set(TRANSITIONS.values()) == set(Phase) - {Phase.GREETING}


def test_the_diagram_on_the_page_is_the_table() -> None:
    """Who reads the wire format sees what the code does; ``draw_phases.py`` draws it anew."""
    script = runpy.run_path(str(DRAW_PHASES))
    page = script["PAGE"].read_text(encoding="utf-8")
    assert script["with_diagram"](page) == page


def test_a_page_without_a_place_for_the_diagram_is_an_error() -> None:
    """The diagram does not vanish from the page unnoticed."""
    with pytest.raises(ValueError, match="has 0"):
        runpy.run_path(str(DRAW_PHASES))["with_diagram"]("# No drawing\n")
