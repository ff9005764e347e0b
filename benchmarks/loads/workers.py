"""A worker is killed under load: the other one goes on, and soon there is a new one.

The server is ``telex serve --workers 2``, as its users start it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final

import telex.asyncio
from benchmarks.loads.outcome import Outcome
from benchmarks.loads.server import PATIENCE, PROJECT, environment
from benchmarks.loads.waiting import until
from benchmarks.results import Bar
from telex import ConnectError, ConnectionClosedError

_TIMEOUT: Final = 10.0
_MOST_SECONDS: Final = 1.0


@dataclass
class _Sheet:
    """What the clients saw, by the process that they were connected to."""

    victim: int = 0
    at_home: int = 0
    answered_by_others: int = 0
    lost_with_victim: int = 0
    lost_with_others: int = 0
    lost_early: int = 0


def run(*, connections: int = 20, seconds: float = 2.0) -> Outcome:
    """Kill one of two workers, and watch ``connections`` clients for so long before and after."""
    address = f"tcp://127.0.0.1:{_free_port()}"
    arguments = ["benchmarks.loads.application:app", "-q", "--workers", "2", "--listen", address]
    process = subprocess.Popen(
        [sys.executable, "-m", "telex", "serve", *arguments], cwd=PROJECT, env=environment()
    )
    try:
        sheet = _Sheet()
        took = asyncio.run(_load(address, connections, seconds, sheet))
        process.send_signal(signal.SIGTERM)
        exit_code = process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return Outcome(
        f"kill -9 of one of two workers, with {connections} connections",
        {
            "connections lost with the worker": sheet.lost_with_victim,
            "answers by others afterwards": sheet.answered_by_others,
            "lost before it was known whose": sheet.lost_early,
        },
        [
            Bar("a new worker after", "s", took, most=_MOST_SECONDS),
            Bar("connections of others lost", "", sheet.lost_with_others, most=0),
            Bar("answers by others", "", sheet.answered_by_others, least=1),
            Bar("exit code", "", exit_code, most=0),
        ],
    )


async def _load(address: str, connections: int, seconds: float, sheet: _Sheet) -> float:
    """Keep clients busy, kill a worker, and return after how many seconds there was a new one."""
    workers = await _workers(address, known=set(), count=2)
    clients = [asyncio.create_task(_client(address, sheet)) for _ in range(connections)]
    await until(lambda: sheet.at_home >= connections, "all clients know their process")
    await asyncio.sleep(seconds)
    sheet.victim = min(workers)
    os.kill(sheet.victim, signal.SIGKILL)
    begin = time.monotonic()
    await _workers(address, known=workers, count=1)
    took = time.monotonic() - begin
    await asyncio.sleep(seconds)
    await until(lambda: sheet.answered_by_others, "others answer")
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return took


async def _workers(address: str, *, known: set[int], count: int) -> set[int]:
    """Connect until this many workers have answered that are not known."""
    found: set[int] = set()
    deadline = time.monotonic() + PATIENCE
    while len(found) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{count} more workers did not come within {PATIENCE:g} s")
        with contextlib.suppress(ConnectError, ConnectionClosedError):
            async with telex.asyncio.connect(address) as connection:
                found |= {await _process_of(connection)} - known
        await asyncio.sleep(0.005)
    return found


async def _client(address: str, sheet: _Sheet) -> None:
    """Ask for ever; where a connection is lost, note whose it was, and connect again."""
    while True:
        try:
            async with telex.asyncio.connect(address) as connection:
                process = await _process_of(connection)
                sheet.at_home += 1
                await _ask_on(connection, process, sheet)
        except (ConnectError, ConnectionClosedError):
            sheet.lost_early += 1


async def _ask_on(connection: telex.asyncio.Connection, process: int, sheet: _Sheet) -> None:
    """Ask until the connection is lost."""
    try:
        while True:
            await connection.request("x", subject="echo", timeout=_TIMEOUT)
            sheet.answered_by_others += sheet.victim not in (0, process)
    except ConnectionClosedError:
        if process == sheet.victim:
            sheet.lost_with_victim += 1
        else:
            sheet.lost_with_others += 1


async def _process_of(connection: telex.asyncio.Connection) -> int:
    answer = await connection.request("who are you?", subject="process", timeout=_TIMEOUT)
    process: int = answer.content
    return process


def _free_port() -> int:
    """Return a port that is free, and that the system gives to nobody who takes any port."""
    for port in random.sample(range(15_000, 20_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("none of a hundred ports is free")
