"""What was measured, and the figures that follow from it. It neither measures nor prints.

Samples at the same place of two lists are of the same round, measured one shortly after the other.
So ratios are taken round by round, and the figure is their median.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.peers.catalogue import Entrant
from benchmarks.peers.works import Measure, Work


@dataclass(slots=True)
class Results:
    """All that a run measured, by work, measure and key of the entrant.

    ``left_out`` says why an entrant has no figures in a work, ``absent`` why somebody is no
    entrant.
    """

    entrants: Sequence[Entrant]
    works: Sequence[Work]
    absent: dict[str, str]
    samples: dict[tuple[Work, Measure, str], list[float]] = field(default_factory=dict)
    left_out: dict[tuple[Work, str], str] = field(default_factory=dict)

    def add(self, work: Work, key: str, sample: dict[Measure, float]) -> None:
        """Take note of what one round measured."""
        for measure, figure in sample.items():
            self.samples.setdefault((work, measure, key), []).append(figure)

    def leave_out(self, work: Work, key: str, reason: str) -> None:
        """Take note that somebody has no part in a work, or no longer."""
        self.left_out[work, key] = reason
        for measure in Measure:
            self.samples.pop((work, measure, key), None)

    def figure(self, work: Work, measure: Measure, key: str) -> float | None:
        """Return the median of a measure; None where it was not measured."""
        samples = self.samples.get((work, measure, key))
        return median(samples) if samples else None

    def ratio(self, measure: Measure, of: tuple[Work, str], to: tuple[Work, str]) -> float | None:
        """Return the median of the rounds' ratios; None where one of the two was not measured.

        ``of`` and ``to`` are each a work and the key of an entrant.
        """
        dividends = self.samples.get((of[0], measure, of[1]))
        divisors = self.samples.get((to[0], measure, to[1]))
        if not dividends or not divisors:
            return None
        return median(
            dividend / divisor for dividend, divisor in zip(dividends, divisors, strict=True)
        )
