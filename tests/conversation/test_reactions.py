"""The reactions of a conversation: a table that is whole, and that agrees with the phases."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from telex.conversation.reactions import PHASES, REACTIONS, Arrival, Reaction, Role
from telex.conversation.states import TRANSITIONS, Phase, Step

DRAW_PHASES = Path(__file__).parents[2] / "docs" / "draw_phases.py"

STEPS = {
    Reaction.OPEN: Step.GREETED,
    Reaction.FINISH: Step.PEER_CLOSES,
    Reaction.DONE: Step.PEER_CLOSES,
    Reaction.BAD_MESSAGE: Step.BREAKS,
    Reaction.TOO_LARGE: Step.BREAKS,
    Reaction.UNAUTHORIZED: Step.BREAKS,
    Reaction.FAIL: Step.BREAKS,
}

ENDS = {
    Reaction.OPEN: Phase.OPEN,
    Reaction.FINISH: Phase.FINISHING,
    Reaction.DONE: Phase.CLOSED,
}

SAID = {
    Reaction.PONG,
    Reaction.WELCOME,
    Reaction.NO_HANDLER,
    Reaction.UNSUPPORTED,
    Reaction.BAD_MESSAGE,
    Reaction.TOO_LARGE,
    Reaction.UNAUTHORIZED,
}


def test_every_arrival_comes_somewhere() -> None:
    """Nothing is named that can happen at neither end."""
    assert {arrival for _, _, arrival in REACTIONS} == set(Arrival)
    assert {role for role, _, _ in REACTIONS} == set(Role)
    assert set(REACTIONS.values()) == set(Reaction)


def test_something_arrives_in_every_phase_that_is_no_end() -> None:
    """A conversation reads until it is closed or has failed."""
    assert set(PHASES) == {phase for phase, _ in TRANSITIONS}
    for role in Role:
        assert {phase for at, phase, _ in REACTIONS if at is role} == set(PHASES)


def test_a_reaction_goes_where_the_phases_go() -> None:
    """What the table of reactions says of the next phase, that of the phases says too."""
    for (_, phase, _), reaction in REACTIONS.items():
        if reaction in STEPS:
            assert TRANSITIONS[phase, STEPS[reaction]] is ENDS.get(reaction, Phase.FAILED)


def test_a_side_that_has_said_close_says_nothing() -> None:
    """It receives what is on its way, and answers nothing."""
    closing = {said for (_, phase, _), said in REACTIONS.items() if phase is Phase.CLOSING}
    assert not closing & SAID


def test_the_tables_on_the_page_are_the_table() -> None:
    """Who reads the wire format sees each cell; ``draw_phases.py`` writes them anew."""
    script = runpy.run_path(str(DRAW_PHASES))
    page = script["PAGE"].read_text(encoding="utf-8")
    assert script["with_reactions"](page) == page
    for role in Role:
        rows = script["reactions"](role).splitlines()
        assert len(rows) == 2 + len({arrival for at, _, arrival in REACTIONS if at is role})
        assert {row.count("|") for row in rows} == {len(PHASES) + 2}


def test_a_page_without_a_place_for_the_tables_is_an_error() -> None:
    """The tables do not vanish from the page unnoticed."""
    with pytest.raises(ValueError, match="one place for the server, and has 0"):
        runpy.run_path(str(DRAW_PHASES))["with_reactions"]("# No table\n")


def test_the_table_costs_no_program_anything() -> None:
    """It is data for the page and for tests: no program that uses Telex loads it."""
    program = (
        "import sys, telex, telex.asyncio; print('telex.conversation.reactions' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
