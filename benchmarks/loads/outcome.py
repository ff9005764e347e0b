"""What came of a load: figures, and promises kept or not. It neither measures nor prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.results import Bar

FrontEnd = Literal["sync", "asyncio"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a load; ``figures`` are what is worth knowing beside the promises."""

    title: str
    figures: dict[str, str | int | float]
    bars: list[Bar]

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        return all(bar.met for bar in self.bars)

    def __str__(self) -> str:
        figures = [f"  {what}: {_shown(figure)}" for what, figure in self.figures.items()]
        bars = [
            f"  {'met' if bar.met else 'MISSED'}: {bar.what}, {_shown(bar.figure)} {bar.unit}"
            f"{_bound('at least', bar.least)}{_bound('at most', bar.most)}"
            for bar in self.bars
        ]
        return "\n".join([self.title, *figures, *bars])


def _shown(figure: str | float | None) -> str:
    return f"{figure:,.2f}" if isinstance(figure, float) else f"{figure}"


def _bound(what: str, bound: float | None) -> str:
    return "" if bound is None else f" ({what} {bound:,g})"
