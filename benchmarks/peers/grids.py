"""The figures of a run as people read them: what terminal and page show, without their layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.peers.budgets import Budget, Verdict
from benchmarks.peers.results import Results
from benchmarks.peers.works import MEASURES, Kind, Measure, Work


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: what it shows, the names of its columns, and its rows, each with its name first."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def grids(results: Results, kind: Kind) -> Iterator[Grid]:
    """Yield the table for a kind of work, or one for each measure where it has many works."""
    works = [work for work in results.works if work.kind is kind]
    measures = MEASURES[kind]
    if len(works) > 1:
        for measure in measures:
            cells = [(work, measure) for work in works]
            columns = [work.label for work in works]
            yield Grid(f"{kind.heading}: {measure}", columns, _rows(results, cells))
    elif works:
        cells = [(works[0], measure) for measure in measures]
        yield Grid(kind.heading, list(measures), _rows(results, cells))


def budget_grid(verdicts: list[Verdict]) -> Grid:
    """Return what became of each budget that was measured."""
    return Grid(
        "Budgets",
        ["of", "budget", "measured", ""],
        [
            [
                verdict.budget.what,
                str(verdict.claim),
                _bound(verdict.budget),
                f"{verdict.figure:.2f}",
                str(verdict),
            ]
            for verdict in verdicts
            if verdict.figure is not None
        ],
    )


def number(value: float | None, measure: Measure) -> str:
    """Return a figure as people read it.

    >>> number(1234567.0, Measure.RATE), number(12.345, Measure.P50), number(None, Measure.P50)
    ('1,234,567', '12.3', '-')
    """
    if value is None:
        return "-"
    return f"{value:,.0f}" if measure is Measure.RATE else f"{value:,.1f}"


def reasons(results: Results) -> Iterator[str]:
    """Yield a line for each reason why somebody is missing, with who that is and where."""
    for name, why in results.absent.items():
        yield f"{name}: {why}"
    left_out: dict[tuple[str, str], list[str]] = {}
    for entrant in results.entrants:
        works: dict[str, list[str]] = {}
        for work in results.works:
            if (reason := results.left_out.get((work, entrant.key))) is not None:
                works.setdefault(reason, []).append(str(work))
        for why, titles in works.items():
            left_out.setdefault((" and ".join(titles), why), []).append(entrant.name)
    for (where, why), names in left_out.items():
        who = "all of them" if len(names) == len(results.entrants) else "; ".join(names)
        yield f"{who}: not in {where}, because {why}"


def _rows(results: Results, cells: list[tuple[Work, Measure]]) -> list[list[str]]:
    rows = []
    for entrant in results.entrants:
        figures = [results.figure(work, measure, entrant.key) for work, measure in cells]
        if any(figure is not None for figure in figures):
            texts = [number(figure, cell[1]) for figure, cell in zip(figures, cells, strict=True)]
            rows.append([entrant.name, *texts])
    return rows


def _bound(budget: Budget) -> str:
    if budget.least is not None:
        return f"at least {budget.least:g}"
    return f"at most {budget.most:g}"
