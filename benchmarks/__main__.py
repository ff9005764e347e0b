"""The command line of the benchmarks: ``python -m benchmarks codec``, and what ``--help`` lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks import codec as codec_benchmark
from benchmarks import large as large_benchmark
from benchmarks import report
from benchmarks import watching as watching_benchmark
from benchmarks.instructions.command import instructions
from benchmarks.loads import catalogue
from benchmarks.peers.command import peers
from telex.cli.sizes import parse_size

program = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@program.callback()
def benchmarks() -> None:
    """Measure what Telex costs."""


@program.command()
def codec(
    quick: Annotated[
        bool, typer.Option("--quick", metavar="", help="A short run; its figures are rough.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the figures there too."),
    ] = None,
) -> None:
    """Compare encoding and decoding: naive, pure Python and compiled, in one run."""
    effort = codec_benchmark.QUICK if quick else codec_benchmark.FULL
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=codec_benchmark.STEPS)
        results = codec_benchmark.run(
            effort, lambda what: progress.update(bar, advance=1, description=what)
        )
    report.show(results, report.console())
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_json(results), indent=1) + "\n")


@program.command()
def large(
    size: Annotated[
        str, typer.Option(metavar="SIZE", help="How large the content of the message is.")
    ] = "1GiB",
) -> None:
    """Send one very large message, and tell how much memory that took."""
    try:
        number_of_bytes = parse_size(size)
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="--size") from problem
    transfer = large_benchmark.run(number_of_bytes)
    report.show_transfer(transfer, report.console())


@program.command()
def watching(
    quick: Annotated[
        bool, typer.Option("--quick", metavar="", help="A short run; its figures are rough.")
    ] = False,
) -> None:
    """Tell what a message costs a server that is watched, and one that is not."""
    costs = watching_benchmark.run(rounds=10 if quick else 300)
    report.show_costs(costs, report.console())


@program.command()
def loads(
    names: Annotated[
        list[catalogue.Load] | None, typer.Argument(metavar="[LOAD]...", show_default=False)
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", metavar="", help="A small load, for a few seconds each.")
    ] = False,
) -> None:
    """Apply loads to servers: requests, slow-senders, hoarders, shutdown, workers, or all.

    Exit code 1 says that a promise was not kept.
    """
    are_good = []
    for load in names or catalogue.Load:
        for outcome in catalogue.outcomes(load, quick=quick):
            print(f"{outcome}\n", flush=True)
            are_good.append(outcome.is_good)
    if not all(are_good):
        raise typer.Exit(1)


program.command()(peers)
program.command()(instructions)

if __name__ == "__main__":
    program(prog_name="python -m benchmarks")
