"""The server under load, as a process: ``python -m benchmarks.loads.server FRONT_END LIMITS``.

It prints two lines of JSON: where it listens, and, when it has ended, its counts. ``Server`` starts
it from another process, and knows how to look at it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import telex.asyncio
import telex.sync
from benchmarks.loads.application import Counts, new_application
from benchmarks.loads.outcome import FrontEnd
from telex import Address, Limits

PATIENCE: Final = 60.0
"""Seconds in which a server must have ended."""

PROJECT: Final = Path(__file__).parent.parent.parent
"""Where processes find the benchmarks, and what these need of the tests."""

_THREADS: Final = 64


class Server:
    """A server in a process of its own, for the time of the context."""

    def __init__(self, front_end: FrontEnd, **limits: float) -> None:
        self._process: Final = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.loads.server", front_end, json.dumps(limits)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env=environment(),
        )
        self.address: Final = Address.parse(self._next_line()["address"])
        """Where it listens."""

    @property
    def peak_memory(self) -> int:
        """The most memory that it has had at any time, in bytes; Linux tells that."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "VmHWM":
                return int(value.split()[0]) * 1024
        raise RuntimeError("this system does not tell how much memory a process has had")

    def terminate(self) -> None:
        """Have it end as a service manager does."""
        self._process.send_signal(signal.SIGTERM)

    def result(self) -> tuple[int, dict[str, int]]:
        """Wait for its end; return its exit code and its last counts."""
        counts: dict[str, int] = self._next_line()
        return self._process.wait(PATIENCE), counts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        with self._process:
            pass

    def _next_line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server under load ended with {self._process.wait(PATIENCE)}")
        said: dict[str, Any] = json.loads(line)
        return said


def environment() -> dict[str, str]:
    """Return the environment in which a process finds what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def main(front_end: FrontEnd, limits: Limits) -> None:
    """Serve until a signal comes."""
    counts = Counts()
    app = new_application(front_end, counts)
    if front_end == "sync":
        with telex.sync.serve(
            app, "tcp://127.0.0.1:0", limits=limits, observer=counts, max_workers=_THREADS
        ) as server:
            print(json.dumps({"address": str(server.address)}), flush=True)
            server.serve_forever()
    else:
        telex.asyncio.run(_serve_in_loop(app, counts, limits))
    print(json.dumps(counts.report()), flush=True)


async def _serve_in_loop(app: telex.Application, counts: Counts, limits: Limits) -> None:
    async with telex.asyncio.serve(
        app, "tcp://127.0.0.1:0", limits=limits, observer=counts
    ) as server:
        print(json.dumps({"address": str(server.address)}), flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], Limits(**json.loads(sys.argv[2])))  # type: ignore[arg-type]
