"""One very large message, from a client to a server in processes of their own.

Tells how much memory the receiver took at its peak, against the size of the message, and whether
what arrived is what was sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.results import Bar

_MOST_MEMORY: Final = 2.5

_PROJECT: Final = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Transfer:
    """What came of it; sizes in bytes, ``idle_memory`` is the receiver's before the message."""

    size: int
    seconds: float
    arrived_equal: bool
    idle_memory: int
    peak_memory: int
    sender_memory: int

    @property
    def bar(self) -> Bar:
        """What was promised of the receiver's memory."""
        times_size = self.peak_memory / self.size
        return Bar(
            "receiver's memory at its peak", "times the message", times_size, most=_MOST_MEMORY
        )


def run(size: int) -> Transfer:
    """Send a message of ``size`` bytes, and see what comes of it; raises RuntimeError."""
    with _started("benchmarks.large_receiver", str(size)) as receiver:
        address = _next_line(receiver)["address"]
        with _started("benchmarks.large_sender", address, str(size)) as sender:
            sent = _next_line(sender)
        received = _next_line(receiver)
    return Transfer(
        size,
        sent["seconds"],
        (received["size"], received["digest"]) == (size, sent["digest"]),
        received["idle_memory"],
        received["peak_memory"],
        sent["peak_memory"],
    )


@contextlib.contextmanager
def _started(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a module as a process; end it when the block fails, else wait for its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=_PROJECT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _next_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process of this benchmark ended with {process.wait()}")
    said: dict[str, Any] = json.loads(line)
    return said
