"""Every load that is applied, quick or in full, to every front-end that it is meant for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from benchmarks.loads import hoarders, requests, shutdown, slow_senders, workers
from benchmarks.loads.outcome import FrontEnd, Outcome

_FRONT_ENDS: Final[tuple[FrontEnd, ...]] = ("sync", "asyncio")


class Load(StrEnum):
    """What may be applied."""

    REQUESTS = "requests"
    """Requests over a bad network, answered out of order."""
    SLOW_SENDERS = "slow-senders"
    """Connections that send a byte a second."""
    HOARDERS = "hoarders"
    """Peers that never read, and peers that stall."""
    SHUTDOWN = "shutdown"
    """SIGTERM with requests in flight."""
    WORKERS = "workers"
    """``kill -9`` of one of two workers."""


def outcomes(load: Load, *, quick: bool) -> Iterator[Outcome]:
    """Apply a load to each front-end, one after the other; yield what came of it."""
    if load is Load.WORKERS:
        yield workers.run(seconds=0.5) if quick else workers.run()
    elif load is Load.REQUESTS:
        for client, server in itertools.product(_FRONT_ENDS, repeat=2):
            yield from _requests(client, server, quick=quick)
    else:
        for front_end in _FRONT_ENDS:
            yield _on_server(load, front_end, quick=quick)


def _requests(client: FrontEnd, server: FrontEnd, *, quick: bool) -> Iterator[Outcome]:
    count, reset_every = (4_000, 100_000) if quick else (100_000, 1_000_000)
    for weather in (requests.ROUGH, requests.stormy(reset_every)):
        yield requests.run(client, server, count, weather=weather)


def _on_server(load: Load, front_end: FrontEnd, *, quick: bool) -> Outcome:
    if load is Load.SLOW_SENDERS:
        if quick:
            return slow_senders.run(front_end, slow=200, good=5, header_timeout=1.0, quiet=1.0)
        return slow_senders.run(front_end)
    if load is Load.HOARDERS:
        if quick:
            return hoarders.run(front_end, each=30, max_buffered=16 * hoarders.MEBIBYTE)
        return hoarders.run(front_end)
    return shutdown.run(front_end, seconds=0.5) if quick else shutdown.run(front_end)
