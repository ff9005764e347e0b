"""The command ``instructions``: what may be asked for, and how it says that it cannot tell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import report
from benchmarks.instructions import check


def instructions(
    update: Annotated[
        bool, typer.Option("--update", metavar="", help="Keep the counts as the new figures.")
    ] = False,
    figures: Annotated[
        Path, typer.Option(metavar="FILE", help="Where they are kept.", show_default=False)
    ] = check.KEPT,
) -> None:
    """Count the instructions of a message, and compare with the figures that are kept.

    Exit code 1 says that something takes 10 % more than before, 2 that it cannot be told.
    """
    try:
        is_good = check.run(figures, report.console(), update=update)
    except check.CannotCompareError as problem:
        Console(stderr=True).print(str(problem), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from problem
    if not is_good:
        raise typer.Exit(1)
