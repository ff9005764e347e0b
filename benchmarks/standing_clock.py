"""A clock that stands while work is counted: the turn of a connection then never ends by time.

A turn ends after a moment, which is a matter of the machine. What is counted must not depend on it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from telex.application import run


@contextlib.contextmanager
def standing_clock() -> Iterator[None]:
    """Let no turn of a connection be over by time."""
    clock = vars(run)["perf_counter"]
    vars(run)["perf_counter"] = lambda: 1.0
    try:
        yield
    finally:
        vars(run)["perf_counter"] = clock
