"""The command ``peers``: what may be asked for, and in which order it is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks import report
from benchmarks.peers import budgets, catalogue, document, schedule, table
from benchmarks.peers.builds import builds_here
from benchmarks.peers.catalogue import Field
from benchmarks.peers.effort import FULL, QUICK, Effort
from benchmarks.peers.results import Results
from benchmarks.peers.works import WORKS, Kind, Work


def peers(
    quick: Annotated[
        bool, typer.Option("--quick", metavar="", help="A short run; its figures are rough.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only those with this in their names; repeat for more."),
    ] = None,
    work: Annotated[
        list[Kind] | None, typer.Option(help="Only this kind of work; repeat for more.")
    ] = None,
    compiled: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY",
            help="Where a compiled Telex is, if not where `make compiled` puts it.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the figures there too."),
    ] = None,
    write: Annotated[
        bool,
        typer.Option("--write", metavar="", help="Renew docs/performance.md and its pictures."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", metavar="", help="Exit with 1 when a budget is missed.")
    ] = False,
) -> None:
    """Compare Telex with raw sockets and other libraries, side by side, and judge its budgets."""
    if write:
        _check_can_write(only, work)
    effort = QUICK if quick else FULL
    works = [one for one in WORKS if not work or one.kind in work]
    results = _measure(_field(compiled, only or []), works, effort)
    verdicts = budgets.judge(results)
    table.show(results, verdicts, report.console())
    if json_file is not None:
        json_file.write_text(json.dumps(document.as_json(results, verdicts), indent=1) + "\n")
    if write:
        from benchmarks.peers import page

        page.renew(results, verdicts, effort)
    if strict and any(verdict.met is False for verdict in verdicts):
        raise typer.Exit(1)


def _check_can_write(only: list[str] | None, work: list[Kind] | None) -> None:
    """Refuse, before all the work, what would not come to a page."""
    if only or work:
        raise typer.BadParameter("the page is of all peers and all works", param_hint="--write")
    if catalogue.version_of("matplotlib") is None:
        reason = f"matplotlib is not installed{catalogue.REMEDY}"
        raise typer.BadParameter(reason, param_hint="--write")


def _field(compiled: Path | None, only: list[str]) -> Field:
    try:
        return catalogue.field(builds_here(compiled), only)
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="--only") from problem


def _measure(field: Field, works: list[Work], effort: Effort) -> Results:
    """Measure, and show how far it is."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=schedule.steps(field, works, effort))
        return schedule.run(
            field, works, effort, lambda what: progress.update(bar, advance=1, description=what)
        )
