"""Has the contestants take turns at every work, so that all meet the same disturbances.

Who is compared is measured in the same round, one shortly after the other; who begins changes from
round to round. How often each repeats a work is found out before its first round.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from benchmarks.peers import idle, start
from benchmarks.peers.catalogue import Entrant, Field
from benchmarks.peers.contestants.base import Service
from benchmarks.peers.effort import Effort
from benchmarks.peers.open_files import most_connections
from benchmarks.peers.process import ContestantError, Pair
from benchmarks.peers.results import Results
from benchmarks.peers.turn import take_turn
from benchmarks.peers.works import (
    CONNECTIONS,
    IDLE,
    ONE_WAY,
    PING_PONG,
    REQUESTS,
    START,
    Measure,
    Work,
    content_of,
)

Begin = Callable[[str], None]
"""Is told what comes next."""

_GROUPS: Final[list[tuple[Service, list[list[Work]]]]] = [
    (Service.SINK, [[work] for work in ONE_WAY]),
    (Service.ECHO, [[REQUESTS], [PING_PONG]]),
    (Service.CROWD, [CONNECTIONS]),
]
"""Works for one server; those in one list are done one after the other in each round."""

_FIRST_COUNT: Final = 16
_LARGEST_GROWTH: Final = 16
_CLOSE_ENOUGH: Final = 0.5
_COSTLY: Final = 1_000
"""Connections that take longer to open than what is to be measured on them."""


def steps(field: Field, works: Sequence[Work], effort: Effort) -> int:
    """Return how often ``run`` says what comes next, when nobody is left out."""
    return sum(effort.rounds_of(work) * len(field.entrants) for work in works)


def run(field: Field, works: Sequence[Work], effort: Effort, begin: Begin) -> Results:
    """Measure all works; an entrant that fails in one of them is left out of it."""
    results = Results(field.entrants, works, field.absent)
    _leave_out(results, effort)
    for service, batches in _GROUPS:
        chosen = [[work for work in batch if work in works] for batch in batches]
        if any(chosen):
            with contextlib.ExitStack() as processes:
                group = _Group(service, effort, processes)
                for batch in filter(None, chosen):
                    _measure(results, batch, effort, begin, group.sample_of)
    if IDLE in works:
        connections = effort.idle_connections
        _measure(results, [IDLE], effort, begin, lambda e, _: idle.sample_of(e, connections))
    if START in works:
        _measure(results, [START], effort, begin, lambda e, _: start.sample_of(e))
    return results


def _measure(
    results: Results,
    works: Sequence[Work],
    effort: Effort,
    begin: Begin,
    sample_of: Callable[[Entrant, Work], dict[Measure, float]],
) -> None:
    """Have all entrants do these works, round by round."""
    for number in range(effort.rounds_of(works[0])):
        for entrant in _in_turn(results.entrants, number):
            for work in works:
                if (work, entrant.key) in results.left_out:
                    continue
                begin(f"{work}: {entrant.name}")
                try:
                    results.add(work, entrant.key, sample_of(entrant, work))
                except ContestantError as error:
                    results.leave_out(work, entrant.key, str(error))


class _Group:
    """Servers and clients for one service, and how often each repeats what it is asked to do."""

    def __init__(self, service: Service, effort: Effort, processes: contextlib.ExitStack) -> None:
        self._service: Final = service
        self._effort: Final = effort
        self._processes: Final = processes
        self._pairs: Final[dict[str, Pair]] = {}
        self._counts: Final[dict[tuple[str, Work], int]] = {}

    def sample_of(self, entrant: Entrant, work: Work) -> dict[Measure, float]:
        """Have a work done; raises ContestantError, and then begins anew with the next one."""
        try:
            pair = self._pair_of(entrant)
            count = self._counts.get((entrant.key, work))
            if count is None:
                count = self._counts[entrant.key, work] = self._count_for(entrant, work, pair)
            sample, _seconds = take_turn(pair, work, count)
        except ContestantError:
            if (failed := self._pairs.pop(entrant.key, None)) is not None:
                failed.close()
            raise
        return sample

    def _pair_of(self, entrant: Entrant) -> Pair:
        pair = self._pairs.get(entrant.key)
        if pair is None:
            pair = self._processes.enter_context(Pair(entrant, self._service))
            self._pairs[entrant.key] = pair
        return pair

    def _count_for(self, entrant: Entrant, work: Work, pair: Pair) -> int:
        """Return how often to do it, so that it takes about as long as it should."""
        if work.connections > _COSTLY:
            before = self._counts.get((entrant.key, CONNECTIONS[-2]))
            if before is not None:
                return before
        wanted = self._effort.seconds
        count = _FIRST_COUNT
        take_turn(pair, work, count)  # whatever is done for the first time takes longer
        while True:
            _sample, seconds = take_turn(pair, work, count)
            if seconds > _CLOSE_ENOUGH * wanted:
                return max(_FIRST_COUNT, int(count * wanted / seconds))
            count = int(count * min(_LARGEST_GROWTH, max(2.0, wanted / seconds)))


def _leave_out(results: Results, effort: Effort) -> None:
    """Take note of all that has no part in a work from the beginning."""
    for work in results.works:
        for entrant in results.entrants:
            reason = _reason(entrant, work, effort)
            if reason is not None:
                results.leave_out(work, entrant.key, reason)


def _reason(entrant: Entrant, work: Work, effort: Effort) -> str | None:
    contestant = entrant.contestant
    if work.connections > effort.most_connections:
        return "a quick run leaves this work out"
    if work.connections > most_connections():
        return f"a process may have no more than {most_connections():,} connections here"
    if work is START and contestant.imports is None:
        return "there is no separate package to import"
    if work is IDLE and not idle.is_known_here():
        return "this system does not show the memory of a process"
    if work in (IDLE, *CONNECTIONS) and contestant.wire(content_of(work.size)) is None:
        return "the load generator for many connections cannot produce its bytes"
    return contestant.why_not(work)


def _in_turn(entrants: Sequence[Entrant], number: int) -> Iterator[Entrant]:
    """Yield all, beginning with another one in each round, every other time backwards."""
    first = number % len(entrants) if entrants else 0
    turned = [*entrants[first:], *entrants[:first]]
    yield from turned if number % 2 == 0 else reversed(turned)
