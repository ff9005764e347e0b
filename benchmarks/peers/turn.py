"""One turn of a contestant at a work: asks for it, takes the time, and checks what came of it."""

from __future__ import annotations

from statistics import quantiles
from typing import Any, Final

from benchmarks.peers.process import ContestantError, Pair
from benchmarks.peers.works import Kind, Measure, Work

_NANOSECONDS: Final = 1e9
_MICROSECOND: Final = 1e3


def take_turn(pair: Pair, work: Work, count: int) -> tuple[dict[Measure, float], float]:
    """Have a work done with so many messages; return what was measured, and the seconds it took.

    Raises ContestantError, also when not all messages arrived, each of the right size.
    """
    said = pair.client.ask(
        {"kind": work.kind, "size": work.size, "connections": work.connections, "count": count}
    )
    if work.kind is Kind.ONE_WAY:
        received = pair.server.next_line()
        _check(received, work, count)
        # Both processes read the machine's clock, which is one and the same.
        seconds = (received["at"] - said["begin"]) / _NANOSECONDS
        return {Measure.RATE: count / seconds}, seconds
    _check(said, work, count)
    seconds = said["nanoseconds"] / _NANOSECONDS
    if work.kind is Kind.REQUESTS:
        return {Measure.RATE: count / seconds}, seconds
    percentiles = quantiles(said["times"], n=100, method="inclusive")
    p50, p99 = (percentiles[percent - 1] / _MICROSECOND for percent in (50, 99))
    if work.kind is Kind.CONNECTIONS:
        return {Measure.RATE: count / seconds, Measure.P99: p99}, seconds
    return {Measure.P50: p50, Measure.P99: p99}, seconds


def _check(said: dict[str, Any], work: Work, count: int) -> None:
    """Raise ContestantError unless there were so many messages, all of the work's size."""
    if said["sizes"] != [[work.size, count]]:
        raise ContestantError(f"{count} messages of {work.size} bytes became {said['sizes']}")
