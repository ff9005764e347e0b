"""Shutdown under load: a server that is told to end answers all that it has received.

Clients with requests in flight must see answers and a ``close``, and nothing else.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import telex.asyncio
from benchmarks.loads.outcome import FrontEnd, Outcome
from benchmarks.loads.server import Server
from benchmarks.loads.waiting import until
from benchmarks.results import Bar
from telex import Address, ConnectionClosedError, TelexError

_TIMEOUT: Final = 30.0


def run(
    front_end: FrontEnd, *, connections: int = 50, in_flight: int = 4, seconds: float = 2.0
) -> Outcome:
    """Keep every connection busy for so many seconds, and terminate the server then."""
    with Server(front_end) as server:
        sheet = _Sheet()
        took = asyncio.run(_load(server, connections, in_flight, seconds, sheet))
        exit_code, counts = server.result()
    others = sum(count for ending, count in sheet.endings.items() if ending != "shutting-down")
    return Outcome(
        f"SIGTERM to {front_end} with {connections} connections and {in_flight} requests in flight "
        f"on each",
        {
            "answered": sheet.answered,
            "received by the server": counts["received"],
            "not received, and told so": sheet.endings["shutting-down"],
            "seconds from the signal to the last end": took,
        },
        [
            Bar(
                "received and not answered",
                "requests",
                counts["received"] - sheet.answered,
                most=0,
                least=0,
            ),
            Bar("ended in another way than by close", "requests", others, most=0),
            Bar("connections with another end", "", sheet.bad_ends, most=0),
            Bar("exit code", "", exit_code, most=0),
        ],
    )


@dataclass
class _Sheet:
    """What became of the requests, and of the connections."""

    answered: int = 0
    bad_ends: int = 0
    endings: Counter[str] = field(default_factory=Counter)


async def _load(
    server: Server, connections: int, in_flight: int, seconds: float, sheet: _Sheet
) -> float:
    """Ask, terminate, and wait for all to end; return how long that took."""
    numbers = itertools.count()
    clients = [
        asyncio.create_task(_client(server.address, in_flight, numbers, sheet))
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    at_least = connections * in_flight
    await until(lambda: sheet.answered >= at_least, "all connections are at work")
    server.terminate()
    begin = time.monotonic()
    await asyncio.gather(*clients)
    return time.monotonic() - begin


async def _client(
    address: Address, in_flight: int, numbers: itertools.count[int], sheet: _Sheet
) -> None:
    connection = await telex.asyncio.connect(address)

    async def ask() -> None:
        while True:
            try:
                await connection.request(next(numbers), subject="number", timeout=_TIMEOUT)
            except ConnectionClosedError as error:
                sheet.endings[error.code if error.by == "peer" else f"closed by {error.by}"] += 1
                return
            except TelexError as error:
                sheet.endings[type(error).__name__] += 1
                return
            sheet.answered += 1

    await asyncio.gather(*(ask() for _ in range(in_flight)))
    ending = connection.ending
    sheet.bad_ends += ending is None or ending.code != "shutting-down"
    try:
        await connection.close()
    except TelexError:
        sheet.bad_ends += 1
