"""A process that times one contestant: ``python -m benchmarks.worker naive | pure | compiled``.

Tasks come as lines on standard input; each is answered with a line, nanoseconds for a single thing
done (a message, or a piece). Preparing is not timed, and garbage is not collected while it is.
"""

from __future__ import annotations

import gc
import importlib
import sys
import time
from typing import Final

from benchmarks.builds import prepare_import
from benchmarks.task import Job, Preparation, Task, Work

NAIVE: Final = "naive"


def _preparations(contestant: str) -> dict[Work, Preparation]:
    if contestant != NAIVE:
        prepare_import(contestant)
    module = importlib.import_module(
        "benchmarks.naive" if contestant == NAIVE else "benchmarks.telex_codec"
    )
    preparations: dict[Work, Preparation] = module.PREPARATIONS
    return preparations


def _time(task: Task, job: Job) -> float:
    gc.collect()
    gc.disable()
    begin = time.perf_counter_ns()
    done = job()
    nanoseconds = time.perf_counter_ns() - begin
    gc.enable()
    if task.work in (Work.DECODE, Work.ENCODE, Work.MAKE) and done != task.count:
        raise RuntimeError(f"{done} messages came of {task}")
    return nanoseconds / done


def main(contestant: str) -> None:
    """Answer tasks until standard input ends."""
    preparations = _preparations(contestant)
    for line in sys.stdin:
        task = Task.from_json(line)
        print(_time(task, preparations[task.work](task)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
