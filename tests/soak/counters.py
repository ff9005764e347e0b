"""What a process holds: threads, tasks, descriptors, generators, objects of Telex, memory.

``count`` tells what there is now, ``differences`` what is not back where it was.
"""

from __future__ import annotations

import asyncio
import collections
import ctypes
import gc
import sys
import threading
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

Counts = dict[str, int]
"""A number for each counter, by its name."""

MEMORY: Final = ("resident memory, in KiB", "blocks of memory that Python has allocated")
"""Counters that need not be exactly where they were."""

_MEMORY_RATIO: Final = 1.10
OBJECTS: Final = "objects of "
"""What the names of such counters begin with; the rest is the name of the class."""
_COUNTED: Final = ("/src/telex/", "/tests/soak/")
"""Where the generators are written that are counted."""

_GENERATORS: Final = (types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType)


def count(loop: asyncio.AbstractEventLoop | None = None) -> Counts:
    """Count what this process holds; call it while nothing happens. ``loop`` has the tasks."""
    _tidy()
    counts: Counts = {
        "threads": threading.active_count(),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "tasks": 0 if loop is None else len(asyncio.all_tasks(loop)),
    }
    alive = collections.Counter(_names(gc.get_objects()))
    counts.update(sorted(alive.items()))
    counts[MEMORY[0]] = _resident()
    counts[MEMORY[1]] = sys.getallocatedblocks()
    return counts


def differences(before: Counts, after: Counts, *, slack: Counts) -> list[str]:
    """Say what is not back where it was; ``slack`` is by how much a counter may grow anyway."""
    found, objects = [], []
    for name in {**before, **after}:
        was, now = before.get(name, 0), after.get(name, 0)
        most = was + slack.get(name, 0)
        if name in MEMORY:
            most = max(most, int(was * _MEMORY_RATIO))
        if now <= most:
            continue
        if name.startswith(OBJECTS):
            objects.append(f"{now - was:,} {name.removeprefix(OBJECTS)}")
        else:
            found.append(f"{name}: {was:,} before, {now:,} after")
    if objects:
        found.append(f"objects of Telex, more than before: {', '.join(objects)}")
    return found


def _names(objects: Iterable[object]) -> Iterable[str]:
    """Name what is counted among these objects."""
    for thing in objects:
        kind = type(thing)
        if kind in _GENERATORS:
            code = getattr(thing, "gi_code", None) or getattr(thing, "ag_code", None)
            code = code or getattr(thing, "cr_code", None)
            if code is not None and any(name in code.co_filename for name in _COUNTED):
                yield f"generators and coroutines of {code.co_qualname}"
        elif str(kind.__module__).startswith("telex."):  # some types of C have no text there
            yield f"{OBJECTS}{kind.__module__}.{kind.__qualname__}"


def _tidy() -> None:
    """Free what nobody needs, and give it back to the system where that can be asked for."""
    for _ in range(3):
        gc.collect()
    trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _resident() -> int:
    """Return the memory that this process has, in KiB; Linux tells that."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.split()[0])
    raise RuntimeError("this system does not tell how much memory a process has")
