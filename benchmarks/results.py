"""What was measured, and the figures that follow from it. It neither measures nor prints.

Samples are nanoseconds, one a round. Those at the same place of two lists were measured one shortly
after the other, so ratios are taken round by round; a figure is the median over the rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks.task import Work
from benchmarks.worker import NAIVE
from benchmarks.workload import Variety


@dataclass(frozen=True, slots=True)
class Comparison:
    """What every contestant has to do; sizes in bytes."""

    work: Work
    content_size: int
    variety: Variety
    piece_size: int | None = None

    def __str__(self) -> str:
        pieces = f", in pieces of {size_name(self.piece_size)}" if self.piece_size else ""
        return f"{self.work} {size_name(self.content_size)}, {self.variety} headers{pieces}"


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a comparison: nanoseconds a message, for each contestant that was there."""

    comparison: Comparison
    samples: dict[str, list[float]]

    def nanoseconds(self, contestant: str) -> float | None:
        """Return what a message costs this contestant."""
        return median(self.samples[contestant]) if contestant in self.samples else None

    def times_naive(self, build: str) -> float | None:
        """Return how many times as fast as the naive one a build is."""
        if build not in self.samples:
            return None
        return median(_quotients(self.samples[NAIVE], self.samples[build]))


@dataclass(frozen=True, slots=True)
class Feed:
    """A message that was handed to a method of one build byte by byte: nanoseconds a piece.

    ``piece_when_doubled`` is what a piece of a message of twice the size costs, ``call`` a call
    that does nothing, ``loop`` the loop alone, which the others contain.
    """

    build: str
    method: Work
    size: int
    piece: list[float]
    piece_when_doubled: list[float]
    call: list[float]
    loop: list[float]

    def __str__(self) -> str:
        return f"{size_name(self.size)} byte by byte to {self.method}, {self.build}"

    @property
    def nanoseconds(self) -> float:
        """What a piece costs, without the loop."""
        return median(_differences(self.piece, self.loop))

    @property
    def call_nanoseconds(self) -> float:
        """What a call that does nothing costs, without the loop."""
        return median(_differences(self.call, self.loop))

    @property
    def times_call(self) -> float:
        """How many empty calls a piece costs, the loop counted on neither side."""
        pieces = _differences(self.piece, self.loop)
        return median(_quotients(pieces, _differences(self.call, self.loop)))

    @property
    def times_when_doubled(self) -> float:
        """How many times as long a message of twice the size takes."""
        return 2 * median(_quotients(self.piece_when_doubled, self.piece))


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise and what was measured; ``figure`` is None where that could not be done here."""

    what: str
    unit: str
    figure: float | None
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the promise is kept; None where that is not known."""
        if self.figure is None:
            return None
        enough = self.least is None or self.figure >= self.least
        return enough and (self.most is None or self.figure <= self.most)


@dataclass(frozen=True, slots=True)
class Results:
    """All that a run measured."""

    builds: list[str]
    rows: list[Row]
    feeds: list[Feed]
    bars: list[Bar]


def size_name(size: int) -> str:
    """Return a size as people say it.

    >>> size_name(100), size_name(1460), size_name(65536)
    ('100 B', '1,460 B', '64 KiB')
    """
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size:,} B"


def _differences(samples: list[float], less: list[float]) -> list[float]:
    return [sample - other for sample, other in zip(samples, less, strict=True)]


def _quotients(samples: list[float], divisors: list[float]) -> list[float]:
    return [sample / divisor for sample, divisor in zip(samples, divisors, strict=True)]
