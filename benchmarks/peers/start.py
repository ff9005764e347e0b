"""How long it takes until something can be used: the import, and what the command line costs."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.peers.catalogue import TELEX, Entrant
from benchmarks.peers.process import PROJECT, ContestantError, environment_of
from benchmarks.peers.works import Measure


def sample_of(entrant: Entrant) -> dict[Measure, float]:
    """Return milliseconds: of the import over an empty interpreter, and of ``--version``.

    Raises ContestantError.
    """
    assert entrant.contestant.imports is not None
    empty = _milliseconds(entrant, "-c", "pass")
    sample = {Measure.IMPORT: _milliseconds(entrant, "-c", entrant.contestant.imports) - empty}
    if entrant.build is not None and entrant.contestant.imports == f"import {TELEX}":
        sample[Measure.VERSION] = _milliseconds(entrant, "-m", TELEX, "--version")
    return sample


def _milliseconds(entrant: Entrant, *arguments: str) -> float:
    """Return how long a process of Python took from its start to its end."""
    begin = time.perf_counter()
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=environment_of(entrant.directory),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if process.returncode:
        raise ContestantError(process.stderr.strip().rpartition("\n")[2])
    return 1000 * (time.perf_counter() - begin)
