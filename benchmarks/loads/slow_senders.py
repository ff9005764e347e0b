"""Slow senders: each connection sends one byte a second of a header, and would go on for hours.

All must be closed when ``header_timeout`` is over, while good clients hardly notice. The slow ones
are in a process of their own, so that the good ones wait for the server alone:
``python -m benchmarks.loads.slow_senders ADDRESS COUNT`` prints how each of them ended.
"""

from __future__ import annotations

import asyncio
import json
import resource
import struct
import sys
import time
from collections import Counter
from statistics import median
from typing import Final

from benchmarks.loads.good_clients import GoodClients
from benchmarks.loads.outcome import FrontEnd, Outcome
from benchmarks.loads.server import PROJECT, Server, environment
from benchmarks.loads.waiting import until
from benchmarks.results import Bar
from telex import Address, MessageProcessor

_HEADER: Final = struct.pack(">H", 10_000) + b'{"subject":"' + b"x" * 10_000
_SWEEP: Final = 1.0
_MOST_TIMES: Final = 2.0


def run(
    front_end: FrontEnd,
    *,
    slow: int = 2000,
    good: int = 20,
    header_timeout: float = 10.0,
    quiet: float = 5.0,
) -> Outcome:
    """Have good clients ask for ``quiet`` seconds, then let the slow ones in."""
    _allow_files(slow + 200)
    with Server(front_end, header_timeout=header_timeout) as server:
        before, during, endings = asyncio.run(_watch(server.address, slow, good, quiet))
        server.terminate()
        exit_code, _counts = server.result()
    codes = Counter(code for code, _seconds in endings)
    slowest = max(seconds for _code, seconds in endings)
    return Outcome(
        f"{slow:,} connections that send {front_end} a byte a second, beside {good} good clients",
        {
            "answers before": len(before),
            "answers meanwhile": len(during),
            "median before, in ms": 1000 * median(before),
            "median meanwhile, in ms": 1000 * median(during),
            "longest meanwhile, in ms": 1000 * max(during),
            "first closed after, in s": min(seconds for _code, seconds in endings),
            **{f"closed with {code}": count for code, count in codes.items()},
        },
        [
            Bar("last closed after", "s", slowest, most=header_timeout + _SWEEP),
            Bar("not closed with timeout", "connections", slow - codes["timeout"], most=0),
            Bar(
                "median latency of the good clients",
                "times what it was",
                median(during) / median(before),
                most=_MOST_TIMES,
            ),
            Bar("exit code of the server", "", exit_code, most=0),
        ],
    )


async def _watch(
    address: Address, slow: int, good: int, quiet: float
) -> tuple[list[float], list[float], list[tuple[str, float]]]:
    """Return the times of the good clients before and meanwhile, and how the slow ones ended."""
    async with GoodClients(address, good) as clients:
        await asyncio.sleep(quiet / 5)
        clients.times_since_last_asked()
        await asyncio.sleep(quiet)
        await until(clients.have_been_answered, "good clients are answered")
        before = clients.times_since_last_asked()
        endings = await _endings_of(address, slow)
        await until(clients.have_been_answered, "good clients are answered")
        return before, clients.times_since_last_asked(), endings


async def _endings_of(address: Address, slow: int) -> list[tuple[str, float]]:
    """Have slow senders do their worst in another process; return how they ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.loads.slow_senders",
        str(address),
        str(slow),
        stdout=asyncio.subprocess.PIPE,
        cwd=PROJECT,
        env=environment(),
    )
    printed, _errors = await process.communicate()
    return [(code, seconds) for code, seconds in json.loads(printed)]


async def _send_all_slowly(address: Address, slow: int) -> list[tuple[str, float]]:
    """Return how each connection ended; they begin one after the other, within a second."""
    return await asyncio.gather(
        *(_send_slowly(address, position / slow) for position in range(slow))
    )


async def _send_slowly(address: Address, delay: float) -> tuple[str, float]:
    """Send a byte a second until the server has enough; return its code, and after how long."""
    await asyncio.sleep(delay)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    begin = time.monotonic()
    ending = asyncio.ensure_future(reader.read())
    try:
        for byte in _HEADER:
            writer.write(bytes([byte]))
            done, _waiting = await asyncio.wait((ending,), timeout=1.0)
            if done:
                break
        said = await ending
    except ConnectionError:
        return "a reset", time.monotonic() - begin
    finally:
        writer.close()
    return _code_in(said), time.monotonic() - begin


def _code_in(said: bytes) -> str:
    messages = MessageProcessor().receive_messages(said)
    return str(json.loads(messages[-1].body)["code"]) if messages else "nothing said"


def _allow_files(count: int) -> None:
    """Allow this process, and those that it starts, so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_send_all_slowly(Address.parse(sys.argv[1]), int(sys.argv[2])))))
