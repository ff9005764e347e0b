"""The check: counts every work, holds the counts to the figures that are kept, and says the result.

What cannot be compared is said before anything is counted, because counting takes a minute.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import telex
from benchmarks.instructions import callgrind
from benchmarks.instructions.figures import MARGIN, Comparison, Figures, Setting, Verdict
from benchmarks.instructions.work import Work

KEPT: Final = Path(__file__).with_name("figures.json")

_STYLES: Final = {Verdict.KEPT: "", Verdict.WORSE: "bold red", Verdict.BETTER: "green"}


class CannotCompareError(Exception):
    """There is nothing to compare with, or no way to count; the text says what to do about it."""


def run(file: Path, console: Console, *, update: bool) -> bool:
    """Compare with the figures of a file, or write them; return whether no work takes too much.

    Raises CannotCompareError, and RuntimeError when a work fails.
    """
    check_can_count()
    setting = Setting.here()
    kept = None if update else figures_for_here(file, setting)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("counting instructions", total=len(Work))
        counts = count_all(lambda work: progress.update(bar, advance=1))
    if kept is not None:
        return show(kept.compare(counts), console)
    Figures(setting, counts).write(file)
    show_kept(counts, file, console)
    return True


def check_can_count() -> None:
    """Raise CannotCompareError unless instructions of the compiled build can be counted here."""
    obstacle = callgrind.obstacle()
    if obstacle is None and not telex.is_compiled():
        obstacle = "the compiled build, which is what is counted, is missing: see make bench-check"
    if obstacle is not None:
        raise CannotCompareError(obstacle)


def figures_for_here(file: Path, setting: Setting) -> Figures:
    """Return the figures of a file; raises CannotCompareError where they say nothing here."""
    try:
        figures = Figures.read(file)
    except (OSError, ValueError) as problem:
        raise CannotCompareError(f"no figures to compare with: {problem}") from problem
    differences = setting.differences(figures.setting)
    if differences:
        raise CannotCompareError(
            f"{file.name} is from elsewhere, where the same source takes other counts:\n  "
            + "\n  ".join(differences)
            + "\nTo judge a change here, keep figures of your own:\n"
            "  make bench-check FIGURES=own.json UPDATE=1  # before the change\n"
            "  make bench-check FIGURES=own.json           # after it"
        )
    if figures.instructions.keys() != set(Work):
        raise CannotCompareError(
            f"{file.name} has figures of other works than are counted now: renew it (UPDATE=1)"
        )
    return figures


def count_all(done: Callable[[Work], None]) -> dict[str, int]:
    """Count every work, as many at a time as there are processors; ``done`` is told of each.

    Raises RuntimeError when a work fails.
    """
    counted = {}
    with TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = pool.map(partial(callgrind.count, folder=Path(folder)), Work)
        for work, count in zip(Work, counts, strict=True):
            counted[str(work)] = count
            done(work)
    return counted


def show(comparisons: list[Comparison], console: Console) -> bool:
    """Print what became of each work; return whether none takes too many instructions."""
    table = Table(box=box.SIMPLE)
    table.add_column("instructions for each message", no_wrap=True)
    for name in ("before", "now", "change"):
        table.add_column(name, justify="right")
    table.add_column()
    for comparison in comparisons:
        table.add_row(
            comparison.work,
            f"{comparison.before:,}",
            f"{comparison.now:,}",
            f"{comparison.change:+.1%}",
            comparison.verdict.value,
            style=_STYLES[comparison.verdict],
        )
    console.print(table)
    verdicts = {comparison.verdict for comparison in comparisons}
    if Verdict.WORSE in verdicts:
        console.print(
            f"{MARGIN:.0%} more instructions than before are too many. Where they are worth it, "
            "say why in the commit that renews the figures: make bench-check UPDATE=1"
        )
    elif Verdict.BETTER in verdicts:
        console.print("Renew the figures, so that the gain is guarded: make bench-check UPDATE=1")
    return Verdict.WORSE not in verdicts


def show_kept(counts: Mapping[str, int], file: Path, console: Console) -> None:
    """Print the figures that are kept from now on."""
    for work, instructions in counts.items():
        console.print(f"{work}: {instructions:,} instructions", highlight=False)
    console.print(f"Kept in {file}.", highlight=False, soft_wrap=True)
