"""The conformance vectors catch the faults that a decoder of somebody else may have.

Each mutant is the naive reference decoder with one fault, made by replacing a piece of its source.
The vectors run over it until one of them shows the fault.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import reference
from tests.framing import exact
from tests.wire.mutants import MUTANTS
from tests.wire.test_conformance import CASES, bytes_of, outcome_of

SOURCE = Path(reference.__file__).read_text("utf-8")


class Case(NamedTuple):
    """A vector, with what must come of it in a form that can be compared at once."""

    name: str
    stream: bytes
    limits: dict[str, int]
    messages: list[tuple[str, bytes]]
    failure: tuple[Any, ...] | None
    contents: list[str]


def _prepared(case: dict[str, Any]) -> Case:
    outcome = outcome_of(case)
    failure = outcome.failure and tuple(outcome.failure)
    contents = [repr(_content_of(said)) for said in case["messages"]]
    return Case(
        case["name"],
        bytes_of(case["stream"]),
        case["limits"],
        exact(outcome.messages),
        failure,
        contents,
    )


def _content_of(said: dict[str, Any]) -> dict[str, Any]:
    return {key: said[key] for key in ("text", "json", "unreadable") if key in said}


PREPARED = sorted(map(_prepared, CASES), key=lambda case: len(case.stream))
"""Short streams first: most faults show in one of these."""


def mutant_of(old: str, new: str) -> types.ModuleType:
    """Return the reference decoder with one piece of its source replaced."""
    assert SOURCE.count(old) == 1, f"{old!r} is there {SOURCE.count(old)} times, not once"
    module = types.ModuleType("mutant")
    exec(compile(SOURCE.replace(old, new), "mutant", "exec"), vars(module))
    return module


def first_that_differs(
    parse: Callable[..., reference.Outcome],
    read_content: Callable[[reference.Parsed], dict[str, object]],
) -> str | None:
    """Return the name of the first vector that a decoder does not pass, or None."""
    return next(_failed_by(parse, read_content), None)


def _failed_by(parse: Callable[..., Any], read_content: Callable[[Any], Any]) -> Iterator[str]:
    for case in PREPARED:
        try:
            outcome = parse(case.stream, **case.limits)
            contents = [repr(read_content(message)) for message in outcome.messages]
            passes = (
                outcome.failure == case.failure
                and exact(outcome.messages) == case.messages
                and contents == case.contents
            )
        except Exception:  # noqa: BLE001 - a decoder that breaks down has not passed
            passes = False
        if not passes:
            yield case.name


def test_the_decoder_without_a_fault_passes() -> None:
    """What catches the mutants does not catch everything."""
    assert first_that_differs(reference.parse, reference.read_content) is None


@pytest.mark.parametrize(("old", "new"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS])
def test_a_fault_is_caught(old: str, new: str) -> None:
    """There is a vector that a decoder with this fault does not pass."""
    mutant = mutant_of(old, new)
    assert first_that_differs(mutant.parse, mutant.read_content) is not None
