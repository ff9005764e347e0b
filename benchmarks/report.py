"""Shows what a run of the codec benchmark measured: tables for people, JSON for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.builds import COMPILED, PURE
from benchmarks.large import Transfer
from benchmarks.results import Bar, Feed, Results, Row, size_name
from benchmarks.task import Work
from benchmarks.watching import Cost
from benchmarks.worker import NAIVE

_PURE_ONLY: Final = (
    "The compiled build is not here: only pure Python is measured. "
    "`make bench` builds it, and measures both."
)
_MIB: Final = 1024 * 1024
_VERDICTS: Final = {True: "[green]met[/]", False: "[bold red]missed[/]", None: "not measured"}


def console() -> Console:
    """Return what to print on; tables have room where no terminal says how much there is."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=120)


def show(results: Results, console: Console) -> None:
    """Print every figure, and each promise with what became of it."""
    _show_machine(console)
    if COMPILED not in results.builds:
        console.print(f"{_PURE_ONLY}\n", style="bold yellow", highlight=False)
    decoding = [row for row in results.rows if row.comparison.work is Work.DECODE]
    encoding = [row for row in results.rows if row.comparison.work is not Work.DECODE]
    fed = size_name(results.feeds[0].size)
    _section(console, "Decoding: ns a message", _comparison_table("pieces", decoding))
    _section(console, "Encoding: ns a message", _comparison_table("work", encoding))
    _section(console, f"One message of {fed}, byte by byte: ns a piece", _feed_table(results.feeds))
    _section(console, "What was promised", _bar_table(results.bars))


def show_transfer(transfer: Transfer, console: Console) -> None:
    """Print what became of a large message."""
    _show_machine(console)
    title = f"One message of {size_name(transfer.size)}, from client to server"
    _section(console, title, _transfer_table(transfer))
    _section(console, "What was promised", _bar_table([transfer.bar]))


def show_costs(costs: list[Cost], console: Console) -> None:
    """Print what a message costs, by who watches; the first is what it costs anyway."""
    _show_machine(console)
    table = _table("watched by", "ns", "more", "bytecodes", "more")
    for column in table.columns[1:]:
        column.justify = "right"
    nobody = costs[0]
    for cost in costs:
        more = cost.nanoseconds - nobody.nanoseconds, cost.bytecodes - nobody.bytecodes
        nanoseconds, bytecodes = _number(cost.nanoseconds), f"{cost.bytecodes:,.1f}"
        table.add_row(cost.watched_by, nanoseconds, _number(more[0]), bytecodes, f"{more[1]:,.1f}")
    _section(console, "Watching a server: one request and its answer", table)


def as_json(results: Results) -> dict[str, Any]:
    """Return every figure, with the samples behind it."""
    return {
        "machine": machine.description(),
        "unit": "nanoseconds",
        "builds": results.builds,
        "rows": [_row_as_json(row) for row in results.rows],
        "byte by byte": [_feed_as_json(feed) for feed in results.feeds],
        "bars": [asdict(bar) | {"met": bar.met} for bar in results.bars],
    }


def _show_machine(console: Console) -> None:
    console.print(f"{machine.description()}\n", highlight=False)


def _section(console: Console, title: str, table: Table) -> None:
    console.print(title, style="bold")
    console.print(table)


def _comparison_table(what: str, rows: list[Row]) -> Table:
    """Return a row for each comparison; both quotients say how many times as fast Telex is."""
    table = _table("content", "headers", what)
    for name in (NAIVE, PURE, COMPILED, f"{NAIVE} / {PURE}", f"{NAIVE} / {COMPILED}"):
        table.add_column(name, justify="right")
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        comparison = row.comparison
        is_last_of_size = after is None or after.comparison.content_size != comparison.content_size
        table.add_row(
            size_name(comparison.content_size),
            comparison.variety,
            size_name(comparison.piece_size) if comparison.piece_size else comparison.work,
            *(_number(row.nanoseconds(name)) for name in (NAIVE, PURE, COMPILED)),
            *(_times(row.times_naive(build)) for build in (PURE, COMPILED)),
            end_section=is_last_of_size,
        )
    return table


def _feed_table(feeds: list[Feed]) -> Table:
    table = _table("build", "method")
    for name in ("piece", "empty call", "piece / call", "time for twice the size"):
        table.add_column(name, justify="right")
    for feed in feeds:
        table.add_row(
            feed.build,
            feed.method,
            _number(feed.nanoseconds),
            _number(feed.call_nanoseconds),
            _times(feed.times_call),
            _times(feed.times_when_doubled),
        )
    return table


def _bar_table(bars: list[Bar]) -> Table:
    table = _table("", "promise", "measured", "")
    for bar in bars:
        table.add_row(bar.what, _promise(bar), _times(bar.figure), _VERDICTS[bar.met])
    return table


def _transfer_table(transfer: Transfer) -> Table:
    table = _table("", "")
    table.add_row("arrived equal", "yes" if transfer.arrived_equal else "[bold red]no[/]")
    table.add_row("took", f"{transfer.seconds:.1f} s")
    for name, size in (
        ("receiver's memory before it", transfer.idle_memory),
        ("receiver's memory at its peak", transfer.peak_memory),
        ("sender's memory at its peak", transfer.sender_memory),
    ):
        table.add_row(name, f"{size / _MIB:,.0f} MiB")
    return table


def _table(*columns: str) -> Table:
    return Table(*columns, box=box.SIMPLE_HEAD, show_header=any(columns))


def _promise(bar: Bar) -> str:
    bound = f"at least {bar.least:g}" if bar.least is not None else f"at most {bar.most:g}"
    return f"{bound} {bar.unit}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _row_as_json(row: Row) -> dict[str, Any]:
    contestants = list(row.samples)
    return {
        **asdict(row.comparison),
        "median": {name: row.nanoseconds(name) for name in contestants},
        "times naive": {name: row.times_naive(name) for name in contestants if name != NAIVE},
        "samples": row.samples,
    }


def _feed_as_json(feed: Feed) -> dict[str, Any]:
    return asdict(feed) | {
        "times call": feed.times_call,
        "times when doubled": feed.times_when_doubled,
    }
