"""The page of figures in the documentation: renews what a run measured, and leaves the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import machine
from benchmarks.peers import plots
from benchmarks.peers.budgets import Verdict
from benchmarks.peers.document import versions
from benchmarks.peers.effort import Effort
from benchmarks.peers.grids import Grid, budget_grid, grids, reasons
from benchmarks.peers.process import PROJECT
from benchmarks.peers.results import Results
from benchmarks.peers.works import Kind

PAGE: Final = PROJECT / "docs" / "performance.md"

BEGIN: Final = "<!-- what follows is written by: python -m benchmarks peers --write -->"
END: Final = "<!-- what comes before is written by: python -m benchmarks peers --write -->"


def renew(results: Results, verdicts: list[Verdict], effort: Effort, page: Path = PAGE) -> None:
    """Draw the pictures beside the page, and write tables, machine and versions into it.

    Raises ValueError when the page does not say where.
    """
    text = page.read_text(encoding="utf-8")
    kinds = plots.draw(results, page.with_suffix(""))
    written = "\n".join(_lines(results, verdicts, effort, kinds, page.stem))
    page.write_text(with_part(text, written), encoding="utf-8")


def with_part(text: str, part: str) -> str:
    r"""Return the text with another part between the marks; raises ValueError without marks.

    >>> with_part(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\n\nnew\n\n{END}\nb"
    True
    """
    before, begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{part}\n\n{END}{after}"


def _lines(
    results: Results, verdicts: list[Verdict], effort: Effort, kinds: list[Kind], pictures: str
) -> Iterator[str]:
    yield f"Measured on {machine.description()}: {effort}."
    yield ""
    yield f"Versions: {', '.join(map(' '.join, versions(results).items()))}."
    yield ""
    for kind in kinds:
        yield f"### {kind.heading}\n"
        yield f"![{kind.heading}]({pictures}/{kind}.svg)\n"
        for grid in grids(results, kind):
            if grid.title != kind.heading:
                yield f"{grid.title}\n"
            yield from _table(grid, "---:")
    yield "### Budgets\n"
    yield from _table(budget_grid(verdicts), "---")
    yield "### How each library is used\n"
    for name, how in {
        entrant.contestant.name: entrant.contestant.how for entrant in results.entrants
    }.items():
        yield f"- **{name}**: {how}"
    left_out = list(reasons(results))
    if left_out:
        yield "\n### What is left out\n"
        yield from (f"- {line}" for line in left_out)


def _table(grid: Grid, alignment: str) -> Iterator[str]:
    """Yield a table of Markdown; ``alignment`` is the columns' after the first."""
    yield f"| | {' | '.join(grid.columns)} |"
    yield f"| --- | {' | '.join([alignment] * len(grid.columns))} |"
    for row in grid.rows:
        yield f"| {' | '.join(row)} |"
    yield ""
