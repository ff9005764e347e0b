"""The codec benchmark: what is compared with what, and which promises the figures are held to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.builds import COMPILED, PURE, builds_here
from benchmarks.contest import Turn, Worker, hired, take_turns
from benchmarks.results import Bar, Comparison, Feed, Results, Row
from benchmarks.task import Task, Work
from benchmarks.worker import NAIVE
from benchmarks.workload import Variety

CONTENT_SIZES: Final = (100, 1024, 64 * 1024)
PIECE_SIZES: Final = (1, 1460, 256 * 1024)

DECODINGS: Final = [
    Comparison(Work.DECODE, size, variety, piece_size)
    for size, variety, piece_size in itertools.product(CONTENT_SIZES, Variety, PIECE_SIZES)
]
ENCODINGS: Final = [
    Comparison(work, size, variety)
    for size, variety, work in itertools.product(CONTENT_SIZES, Variety, (Work.ENCODE, Work.MAKE))
]

STEPS: Final = len(DECODINGS) + len(ENCODINGS) + 1
"""How often ``run`` says what comes next."""

_PROMISED_DECODING: Final = Comparison(Work.DECODE, 100, Variety.VARYING, 256 * 1024)
_PROMISED_ENCODING: Final = Comparison(Work.ENCODE, 100, Variety.VARYING)
_HEADER_SIZE: Final = 150  # about what a proto-header and a header block come to
_LARGEST_COUNT: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: rounds, and how many bytes each round sends through each contestant.

    Streams in pieces of one byte are shorter, because every byte costs a call. ``fed_size`` is the
    content of the message that is fed byte by byte.
    """

    rounds: int
    stream_size: int
    bytewise_size: int
    fed_rounds: int
    fed_size: int


FULL: Final = Effort(15, 2 * 1024 * 1024, 128 * 1024, 7, 1024 * 1024)
QUICK: Final = Effort(3, 256 * 1024, 16 * 1024, 3, 64 * 1024)


def run(effort: Effort, begin: Callable[[str], None]) -> Results:
    """Measure everything; ``begin`` is told what comes next."""
    builds = builds_here()
    numbers = itertools.count(1, _LARGEST_COUNT)
    rows = []
    with hired([NAIVE, *builds]) as workers:
        for comparison in (*DECODINGS, *ENCODINGS):
            begin(str(comparison))
            rows.append(_compare(comparison, workers, effort, numbers))
        begin("one message, byte by byte")
        feeds = _feed(workers, builds, effort)
    return Results(builds, rows, feeds, list(_bars(rows, feeds)))


def _compare(
    comparison: Comparison,
    workers: Mapping[str, Worker],
    effort: Effort,
    numbers: Iterator[int],
) -> Row:
    """Have every contestant do the same, in turns."""
    stream_size = effort.bytewise_size if comparison.piece_size == 1 else effort.stream_size
    count = max(1, stream_size // (comparison.content_size + _HEADER_SIZE))

    def turns_of() -> dict[str, Turn]:
        task = Task(
            comparison.work,
            comparison.variety,
            comparison.content_size,
            count,
            comparison.piece_size or 0,
            # What is to be different was never seen before, in no round.
            next(numbers) if comparison.variety is Variety.DIFFERENT else 1,
        )
        return {contestant: (worker, task) for contestant, worker in workers.items()}

    return Row(comparison, take_turns(turns_of, effort.rounds))


def _feed(workers: Mapping[str, Worker], builds: list[str], effort: Effort) -> list[Feed]:
    """Feed one message byte by byte, and one of twice its size, to both methods of every build."""
    size = effort.fed_size
    fed = list(itertools.product(builds, (Work.RECEIVE_BYTES, Work.RECEIVE_MESSAGES)))
    turns: dict[tuple[str, Work, int], Turn] = {
        (contestant, work, content_size): (
            workers[contestant],
            Task(work, Variety.SAME, content_size, count=1, piece_size=1),
        )
        for contestant, work in [(NAIVE, Work.EMPTY_LOOP), (NAIVE, Work.EMPTY_CALL), *fed]
        for content_size in (size, 2 * size)
    }
    figures = take_turns(lambda: turns, effort.fed_rounds)
    return [
        Feed(
            build,
            method,
            size,
            piece=figures[build, method, size],
            piece_when_doubled=figures[build, method, 2 * size],
            call=figures[NAIVE, Work.EMPTY_CALL, size],
            loop=figures[NAIVE, Work.EMPTY_LOOP, size],
        )
        for build, method in fed
    ]


def _bars(rows: list[Row], feeds: list[Feed]) -> Iterator[Bar]:
    """Hold the figures to what was promised of them."""
    by_comparison = {row.comparison: row for row in rows}
    decoding, encoding = by_comparison[_PROMISED_DECODING], by_comparison[_PROMISED_ENCODING]
    yield Bar(
        f"{_PROMISED_DECODING}, {COMPILED}", "times naive", decoding.times_naive(COMPILED), least=12
    )
    yield Bar(f"{_PROMISED_DECODING}, {PURE}", "times naive", decoding.times_naive(PURE), least=1.5)
    yield Bar(
        f"{_PROMISED_ENCODING}, {COMPILED}", "times naive", encoding.times_naive(COMPILED), least=4
    )
    for feed in feeds:
        if feed.method is Work.RECEIVE_BYTES:
            yield Bar(f"{feed}, one piece", "empty calls", feed.times_call, most=8)
            yield Bar(
                f"{feed}, twice the size", "times the time", feed.times_when_doubled, most=2.2
            )
