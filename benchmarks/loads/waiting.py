"""Waits for what must have come before a load goes on, however busy the machine is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from benchmarks.loads.server import PATIENCE

_LOOK_SECONDS: Final = 0.01
"""How often it is looked."""


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until ``condition()`` is true; raise RuntimeError when it takes far too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"gave up waiting: {what}")
        await asyncio.sleep(_LOOK_SECONDS)
