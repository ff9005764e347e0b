"""Has workers take turns, so that what is compared meets the same disturbances of the machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from benchmarks.task import Task

Turn = tuple["Worker", Task]
"""Who does what."""

K = TypeVar("K")

_PROJECT = Path(__file__).parent.parent


class Worker:
    """A process that times one contestant; it waits while it is not asked."""

    def __init__(self, contestant: str) -> None:
        self.contestant = contestant
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", contestant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_PROJECT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def measure(self, task: Task) -> float:
        """Return how many nanoseconds one message, or one piece, took; raises RuntimeError."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            print(task.to_json(), file=process.stdin, flush=True)
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker for {self.contestant!r} ended with {process.wait()}")
        return float(answer)

    def close(self) -> None:
        """End the process, and wait for its end."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


@contextlib.contextmanager
def hired(contestants: list[str]) -> Iterator[dict[str, Worker]]:
    """Start a worker for each contestant, and end them all afterwards."""
    with contextlib.ExitStack() as workers:
        yield {
            contestant: workers.enter_context(contextlib.closing(Worker(contestant)))
            for contestant in contestants
        }


def take_turns(turns_of: Callable[[], Mapping[K, Turn]], rounds: int) -> dict[K, list[float]]:
    """Let each have its turn in every round; return the figures of each, round by round.

    ``turns_of`` is asked for the turns of each round, by the name under which a figure is kept. A
    round to warm up comes first and is not counted; who begins changes from round to round.
    """
    figures: dict[K, list[float]] = {}
    for number in range(rounds + 1):
        turns = list(turns_of().items())
        first = number % len(turns)
        for name, (worker, task) in turns[first:] + turns[:first]:
            nanoseconds = worker.measure(task)
            if number > 0:
                figures.setdefault(name, []).append(nanoseconds)
    return figures
