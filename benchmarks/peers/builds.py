"""Where the builds of Telex are: the sources beside the benchmarks, and the folder of a wheel."""

from __future__ import annotations

import sys
from pathlib import Path

import telex
from benchmarks.peers.catalogue import Build
from benchmarks.peers.process import PROJECT


def builds_here(compiled: Path | None) -> dict[Build, Path]:
    """Return the directories in which builds are found.

    The compiled one is in the directory that is named, or is the one that this process has
    imported, or the one that ``make compiled`` has put beside the interpreter.
    """
    imported = Path(telex.__file__).parent.parent if telex.is_compiled() else None
    made = Path(sys.prefix) / "compiled"
    found = compiled or imported or (made if (made / "telex").exists() else None)
    builds = {} if found is None else {Build.COMPILED: found}
    return {**builds, Build.PURE: PROJECT / "src"}
