"""What figures were measured on, and how much memory this process took."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path


def description() -> str:
    """Return Python, processor and system in one line: without them a figure says little."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.machine()}"
    return f"{python}, {_processor()}, {os.cpu_count()} cores, {system}"


def peak_memory() -> int:
    """Return the most memory, in bytes, that this process has held at one time."""
    for line in _lines(Path("/proc/self/status")):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    # Elsewhere than on Linux, where this one may still be that of the parent process.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _processor() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
