"""How long to measure: what a quick run does less of than a full one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.peers.works import Kind, Work


@dataclass(frozen=True, slots=True)
class Effort:
    """Rounds, and seconds that a work takes in one of them.

    What takes long by itself has rounds of its own: many connections (``most_connections`` at
    most), ``idle_connections`` that are idle, and the start.
    """

    rounds: int
    seconds: float
    crowd_rounds: int
    most_connections: int
    idle_rounds: int
    idle_connections: int
    start_rounds: int

    def __str__(self) -> str:
        return (
            f"{self.rounds} rounds of {self.seconds:g} s for each, {self.crowd_rounds} with many "
            f"connections, {self.idle_rounds} with {self.idle_connections:,} idle ones, "
            f"{self.start_rounds} of the start"
        )

    def rounds_of(self, work: Work) -> int:
        """Return how many rounds a work has."""
        own = {
            Kind.CONNECTIONS: self.crowd_rounds,
            Kind.IDLE: self.idle_rounds,
            Kind.START: self.start_rounds,
        }
        return own.get(work.kind, self.rounds)


FULL: Final = Effort(5, 0.3, 3, 10_000, 3, 2_000, 11)
QUICK: Final = Effort(2, 0.08, 1, 1_000, 1, 500, 2)
