"""A server that works for others: it counts primes and compresses files, and says how far it is.

    python examples/jobs.py serve --threads 4
    python examples/jobs.py primes 200000 300000
    python examples/jobs.py compress big.log

A job is a generator in a thread of the server (``blocking=True``). Each part of its answer says in
the header ``done`` how much is done, and brings what there is of the result. Jobs of one client run
side by side (``concurrent=True``).
"""

from __future__ import annotations

import asyncio
import bz2
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress

import telex
import telex.asyncio
from telex.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS: Final = "tcp://127.0.0.1:7766"

STEPS: Final = 20
"""How often a job says how far it is."""

PATIENCE: Final = 60.0
"""Seconds that a client waits for the next sign of a job."""

app = telex.Application()
cli = typer.Typer(help="Have a server do the work.", no_args_is_help=True)


@app.on("job.primes", blocking=True, concurrent=True)
def count_primes(message: telex.Message[int]) -> Iterator[telex.Message]:
    """Count the prime numbers below a limit; the last part is their number."""
    limit = message.content
    if not 0 <= limit <= 10_000_000:
        raise telex.Refusal("too-large", "limits from 0 to 10,000,000 are taken")
    count = 0
    for done, numbers in in_steps(range(limit)):
        count += sum(map(is_prime, numbers))
        yield telex.Message(str(count) if done == 1 else "", headers={"done": done})


@app.on("job.compress", blocking=True, concurrent=True)
def compress(message: telex.Message[bytes]) -> Iterator[telex.Message]:
    """Compress content, and give what there is of it after each step."""
    compressor = bz2.BZ2Compressor()
    for done, indexes in in_steps(range(len(message.content))):
        piece = compressor.compress(message.content[indexes.start : indexes.stop])
        if done == 1:
            piece += compressor.flush()
        yield telex.Message(piece, headers={"done": done})


def in_steps(work: range) -> Iterator[tuple[float, range]]:
    """Cut work into parts that are about equally long; with each, say what is done after it."""
    for step in range(STEPS):
        part = work[len(work) * step // STEPS : len(work) * (step + 1) // STEPS]
        yield (step + 1) / STEPS, part


def is_prime(number: int) -> bool:
    """Say whether a number is prime, by trying what could divide it."""
    return number >= 2 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


async def result_of(
    connection: telex.asyncio.Connection, title: str, job: telex.Message, progress: Progress
) -> bytes:
    """Have a job done, show how far it is, and return what came of it."""
    task, pieces = progress.add_task(title, total=1.0), []
    async for part in connection.request_parts(job, timeout=PATIENCE):
        pieces.append(part.body)
        progress.update(task, completed=part.headers["done"])
    return b"".join(pieces)


async def have_done(address: str, jobs: list[tuple[str, telex.Message]]) -> list[bytes]:
    """Have jobs done side by side; return what came of each."""
    async with telex.asyncio.connect(address) as connection:
        with Progress(console=Console(stderr=True)) as progress:
            work = [result_of(connection, title, job, progress) for title, job in jobs]
            return await asyncio.gather(*work)


@cli.command()
def serve(
    listen: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS,
    threads: Annotated[int, typer.Option(metavar="N", min=1)] = 4,
) -> None:
    """Do what others ask for, in threads."""
    with telex.sync.serve(app, listen, max_workers=threads) as server:
        print(f"listening on {server.address}", flush=True)
        server.serve_forever()


@cli.command()
def primes(
    limits: Annotated[list[int], typer.Argument(metavar="LIMIT...")],
    to: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS,
) -> None:
    """Count the prime numbers below each of some limits."""
    jobs = [(f"below {limit:,}", telex.Message(limit, subject="job.primes")) for limit in limits]
    for (title, _), count in zip(jobs, asyncio.run(have_done(to, jobs)), strict=True):
        print(f"{title}: {int(count):,} primes")


@cli.command("compress")
def compress_files(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)],
    to: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS,
) -> None:
    """Have files compressed, each into FILE.bz2."""
    jobs = [(file.name, telex.Message(file.read_bytes(), subject="job.compress")) for file in files]
    for file, result in zip(files, asyncio.run(have_done(to, jobs)), strict=True):
        file.with_name(f"{file.name}.bz2").write_bytes(result)
        print(f"{file}: {file.stat().st_size:,} bytes, compressed {len(result):,}")


if __name__ == "__main__":
    try:
        cli()
    except telex.TelexError as error:
        sys.exit(printable(f"jobs: {error}"))
