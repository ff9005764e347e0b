"""Counts the instructions of a work with callgrind, so that the same source gives the same count.

Each work runs in processes of its own, with fixed hashes and locale. What it takes beside the work
(to start, to load, to prepare) is the same whether the work is done once or twice as often, and
drops out of the difference.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.instructions.work import Work

_PROJECT: Final = Path(__file__).parent.parent.parent

_TIMES: Final[dict[Work, int]] = {Work.ANSWER_ONE: 100}
"""How often a work is done in the shorter run, where it is not a batch."""

_TIMES_OF_BATCHES: Final = 10


def obstacle() -> str | None:
    """Return what stands in the way of counting, or None."""
    if shutil.which("valgrind") is None:
        return "valgrind, which counts the instructions, is missing: apt-get install valgrind"
    return None


def count(work: Work, folder: Path) -> int:
    """Return how many instructions the work takes for one message, or piece.

    ``folder`` is for files that may be thrown away. Raises RuntimeError when the work fails.
    """
    times = _TIMES.get(work, _TIMES_OF_BATCHES)
    python = [sys.executable, "-m", "benchmarks.instructions.work", work]
    done = int(_run([*python, "1"], folder))  # which also writes the bytecode that is loaded next
    once, twice = (_instructions([*python, str(n)], folder / work.name) for n in (times, 2 * times))
    return round((twice - once) / (times * done))


def _instructions(command: list[str], file: Path) -> int:
    """Return how many instructions the whole process takes."""
    callgrind = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={file}"]
    _run([*callgrind, *command], file.parent)
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("totals: "):
            return int(line.split()[1])
    raise RuntimeError(f"callgrind wrote no total for {command[-2]}")


def _run(command: list[str], folder: Path) -> str:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONHASHSEED": "0",
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "LC_ALL": "C.UTF-8",
    }
    ended = subprocess.run(
        command, cwd=_PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stderr.strip()}")
    return ended.stdout
