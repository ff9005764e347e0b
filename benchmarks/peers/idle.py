"""What a connection costs its server while nothing happens on it: resident memory, from Linux."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from benchmarks.peers.catalogue import Entrant
from benchmarks.peers.contestants.base import Service
from benchmarks.peers.process import Pair
from benchmarks.peers.works import KIBIBYTE, Kind, Measure

_FIRST: Final = 100
"""Connections that come before, for what a server takes only once."""


def sample_of(entrant: Entrant, connections: int) -> dict[Measure, float]:
    """Return how much the server grew with each connection; each had asked once before.

    Raises ContestantError.
    """
    with Pair(entrant, Service.CROWD) as pair:
        pair.client.ask({"kind": Kind.IDLE, "connections": _FIRST})
        before = _resident_memory(pair.server.pid)
        pair.client.ask({"kind": Kind.IDLE, "connections": connections})
        grown = _resident_memory(pair.server.pid) - before
    return {Measure.MEMORY: grown / connections / KIBIBYTE}


def is_known_here() -> bool:
    """Whether this system tells how much memory a process has."""
    return Path("/proc/self/statm").exists()


def _resident_memory(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
