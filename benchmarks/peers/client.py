"""A client in a process of its own: ``python -m benchmarks.peers.client MODULE KEY SERVICE PORT``.

It reads what it is to do from its input, a line of JSON each, and prints what came of it. Its
connection lasts from the first task to the end of the input.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import telex
from benchmarks.peers.catalogue import contestant_of
from benchmarks.peers.contestants.base import Client, Contestant, Service
from benchmarks.peers.crowd import Crowd
from benchmarks.peers.open_files import allow_most
from benchmarks.peers.works import OUTSTANDING, SMALL, SPREAD, Kind, content_of


def main(module: str, key: str, service: Service, port: int) -> None:
    """Do what is asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    allow_most()
    contestant = contestant_of(module, key)
    if service is Service.CROWD:
        do = _crowd_worker(contestant, port)
    else:
        do = _worker(contestant.connect(service, port))
    print(json.dumps({"is_compiled": telex.is_compiled()}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps(do(task)), flush=True)
    os._exit(0)  # a connection whose server is gone need not be closed well


def _worker(client: Client) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what does tasks on one connection."""

    def do(task: dict[str, Any]) -> dict[str, Any]:
        content, count = content_of(task["size"]), task["count"]
        begin = time.monotonic_ns()
        if task["kind"] == Kind.ONE_WAY:
            client.send_all(content, count)
            return {"begin": begin}
        if task["kind"] == Kind.REQUESTS:
            sizes = client.request_all(content, count, OUTSTANDING)
            return {"nanoseconds": time.monotonic_ns() - begin, "sizes": _counted(sizes)}
        times, sizes = client.ping_pong(content, count)
        return {
            "nanoseconds": time.monotonic_ns() - begin,
            "times": times,
            "sizes": _counted(sizes),
        }

    return do


def _crowd_worker(contestant: Contestant, port: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what does tasks on many connections."""
    content = content_of(SMALL)
    wire = contestant.wire(content)
    assert wire is not None
    idle = Crowd(port, wire, content, 0)

    def do(task: dict[str, Any]) -> dict[str, Any]:
        if task["kind"] == Kind.IDLE:
            idle.grow(task["connections"])
            return {}
        with Crowd(port, wire, content, task["connections"]) as crowd:
            begin = time.monotonic_ns()
            times = crowd.request_all(task["count"], SPREAD)
            nanoseconds = time.monotonic_ns() - begin
        return {
            "nanoseconds": nanoseconds,
            "times": times,
            "sizes": _counted([len(content)] * len(times)),
        }

    return do


def _counted(sizes: list[int]) -> list[tuple[int, int]]:
    return sorted(Counter(sizes).items())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Service(sys.argv[3]), int(sys.argv[4]))
