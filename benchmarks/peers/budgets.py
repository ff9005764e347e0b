"""What Telex is held to, in one table, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.peers.results import Results
from benchmarks.peers.works import (
    CONNECTIONS,
    IDLE,
    ONE_WAY,
    PING_PONG,
    REQUESTS,
    START,
    Measure,
    Work,
)

BLOCKING: Final = "telex-blocking-compiled"
ASYNCIO: Final = "telex-asyncio-compiled"
UVLOOP: Final = "telex-uvloop-compiled"
PYZMQ: Final = "pyzmq"
PYZMQ_PARTS: Final = "pyzmq-parts"
RAW: Final = "raw"
WEBSOCKETS: Final = "websockets"
WEBSOCKETS_UVLOOP: Final = "websockets-uvloop"


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure of one entrant: by itself, or as a ratio to another's, or to its own elsewhere."""

    of: str
    work: Work
    measure: Measure
    to: str | None = None
    to_work: Work | None = None

    def __str__(self) -> str:
        if self.to_work is not None:
            return f"{self.of}: times its rate with {self.to_work}"
        return self.of if self.to is None else f"{self.of} / {self.to}"

    def figure(self, results: Results) -> float | None:
        """Return the figure; None where it was not measured."""
        if self.to is None and self.to_work is None:
            return results.figure(self.work, self.measure, self.of)
        other = (self.to_work or self.work, self.to or self.of)
        return results.ratio(self.measure, (self.work, self.of), other)


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound on one figure, or on the worst of several."""

    what: str
    claims: tuple[Claim, ...]
    least: float | None = None
    most: float | None = None

    def judge(self, results: Results) -> Verdict:
        """Hold it to what was measured."""
        figures = [
            (figure, claim)
            for claim in self.claims
            if (figure := claim.figure(results)) is not None
        ]
        if not figures:
            return Verdict(self, None, None)
        worst = min if self.least is not None else max
        figure, claim = worst(figures, key=lambda pair: pair[0])
        return Verdict(self, figure, claim)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a budget; ``figure`` is None where it was not measured."""

    budget: Budget
    figure: float | None
    claim: Claim | None

    @property
    def met(self) -> bool | None:
        """Whether it was kept; None where that is not known."""
        if self.figure is None:
            return None
        least, most = self.budget.least, self.budget.most
        return (least is None or self.figure >= least) and (most is None or self.figure <= most)

    def __str__(self) -> str:
        if self.figure is None:
            return "not measured"
        if self.met:
            return "met"
        bound = self.budget.least if self.budget.least is not None else self.budget.most
        assert bound is not None
        return f"missed by {abs(self.figure - bound) / bound:.0%}"


def judge(results: Results) -> list[Verdict]:
    """Hold every budget to what was measured."""
    return [budget.judge(results) for budget in BUDGETS]


_COMPILED: Final = (BLOCKING, ASYNCIO, UVLOOP)
_RATE: Final = Measure.RATE
_PURE_PAIRS: Final = (
    ("telex-blocking-pure", WEBSOCKETS_UVLOOP),
    ("telex-asyncio-pure", WEBSOCKETS),
    ("telex-uvloop-pure", WEBSOCKETS_UVLOOP),
)


def _one_way() -> Iterator[Budget]:
    small, kibibyte, *large = ONE_WAY
    for work, least in ((small, 3.0), (kibibyte, 2.0), *((work, 1.2) for work in large)):
        for entrant in _COMPILED:
            yield Budget(str(work), (Claim(entrant, work, _RATE, PYZMQ),), least=least)
    for work in large:
        for entrant in _COMPILED:
            yield Budget(str(work), (Claim(entrant, work, _RATE, RAW),), least=0.85)


def _pure() -> Iterator[Budget]:
    """Yield what holds without a compiler: ahead of websockets, on a loop of the same sort."""
    for work in (*ONE_WAY, REQUESTS, *CONNECTIONS):
        claims = tuple(Claim(of, work, _RATE, to) for of, to in _PURE_PAIRS)
        yield Budget(f"{work}, pure", claims, least=1)
    claims = tuple(Claim(of, PING_PONG, Measure.P50, to) for of, to in _PURE_PAIRS)
    yield Budget(f"{PING_PONG} p50, pure", claims, most=1)


BUDGETS: Final[list[Budget]] = [
    *_one_way(),
    Budget(str(REQUESTS), (Claim(BLOCKING, REQUESTS, _RATE, PYZMQ),), least=6),
    Budget(str(REQUESTS), (Claim(BLOCKING, REQUESTS, _RATE, PYZMQ_PARTS),), least=6),
    Budget(str(REQUESTS), (Claim(BLOCKING, REQUESTS, _RATE, WEBSOCKETS_UVLOOP),), least=10),
    Budget(str(REQUESTS), (Claim(ASYNCIO, REQUESTS, _RATE, WEBSOCKETS),), least=4),
    Budget(str(REQUESTS), (Claim(ASYNCIO, REQUESTS, _RATE, PYZMQ),), least=1),
    Budget(str(REQUESTS), (Claim(ASYNCIO, REQUESTS, _RATE, PYZMQ_PARTS),), least=1),
    Budget(str(REQUESTS), (Claim(UVLOOP, REQUESTS, _RATE, WEBSOCKETS_UVLOOP),), least=4),
    Budget(str(REQUESTS), (Claim(UVLOOP, REQUESTS, _RATE, PYZMQ),), least=1),
    Budget(str(REQUESTS), (Claim(UVLOOP, REQUESTS, _RATE, PYZMQ_PARTS),), least=1),
    Budget("ping-pong p50", (Claim(BLOCKING, PING_PONG, Measure.P50, RAW),), most=1.2),
    *(
        Budget(
            str(CONNECTIONS[-1]),
            (Claim(of, CONNECTIONS[-1], _RATE, to_work=CONNECTIONS[1]),),
            least=0.7,
        )
        for of in _COMPILED
    ),
    Budget("idle connection, KiB", (Claim(BLOCKING, IDLE, Measure.MEMORY),), most=2.5),
    Budget("idle connection, KiB", (Claim(ASYNCIO, IDLE, Measure.MEMORY),), most=5),
    Budget("idle connection, KiB", (Claim(UVLOOP, IDLE, Measure.MEMORY),), most=5),
    Budget("import telex, ms", (Claim(BLOCKING, START, Measure.IMPORT),), most=40),
    Budget("telex --version, ms", (Claim(BLOCKING, START, Measure.VERSION),), most=200),
    *_pure(),
]
"""The budgets of Telex."""
