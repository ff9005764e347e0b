"""The two builds of Telex that are measured: what can be loaded here, and how.

Both come from one and the same directory: a compiled build has the ``.py`` file of each module
beside its ``.so``, so that what is compared is the same source, compiled and not.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import PathEntryFinder
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from typing import Final

PURE: Final = "pure"
COMPILED: Final = "compiled"


def builds_here() -> list[str]:
    """Return the builds that this Python can import."""
    import telex

    return [PURE, COMPILED] if telex.is_compiled() else [PURE]


def prepare_import(build: str) -> None:
    """Import telex so that it is this build; raises RuntimeError when it is not to be had."""
    if build == PURE:
        _take_sources_only()
    import telex

    if telex.is_compiled() != (build == COMPILED):
        raise RuntimeError(f"the telex in {Path(telex.__file__).parent} is not the {build} build")


def _take_sources_only() -> None:
    """Have every module of telex loaded from its ``.py`` file, whatever stands beside it."""
    specification = importlib.util.find_spec("telex")
    if specification is None or specification.origin is None:
        raise RuntimeError("telex is not installed")
    home = Path(specification.origin).parent
    finder = FileFinder.path_hook((SourceFileLoader, SOURCE_SUFFIXES))

    def hook(path: str) -> PathEntryFinder:
        if not Path(path).is_relative_to(home):
            raise ImportError(f"{path} is no part of telex")
        return finder(path)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()
