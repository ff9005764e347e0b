"""Shows on a terminal what a run measured."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.peers.budgets import Verdict
from benchmarks.peers.grids import Grid, budget_grid, grids, reasons
from benchmarks.peers.results import Results
from benchmarks.peers.works import Kind

_STYLES: Final[dict[bool | None, str]] = {True: "green", False: "bold red"}


def show(results: Results, verdicts: list[Verdict], console: Console) -> None:
    """Print a table for each kind of work, who is missing, and what became of the budgets."""
    console.print(f"{machine.description()}\n", highlight=False)
    for kind in Kind:
        for grid in grids(results, kind):
            _print(grid, console)
    for line in reasons(results):
        console.print(f"Left out: {line}", style="yellow", highlight=False, markup=False)
    judged = [verdict for verdict in verdicts if verdict.figure is not None]
    if judged:
        _print(budget_grid(judged), console, [_STYLES.get(verdict.met) for verdict in judged])


def _print(grid: Grid, console: Console, styles: list[str | None] | None = None) -> None:
    table = Table("", box=box.SIMPLE_HEAD)
    is_numeric = styles is None
    for column in grid.columns:
        table.add_column(column, justify="right" if is_numeric else "left")
    for row, style in zip(grid.rows, styles or [None] * len(grid.rows), strict=True):
        table.add_row(*row, style=style)
    console.print(grid.title, style="bold")
    console.print(table)
