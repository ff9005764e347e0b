"""The wire format as it stands in Python, loaded beside the compiled one that is in use.

A wheel brings each compiled module together with its source, so that both can be held against
each other in one process.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import telex
import telex.wire

PACKAGE = "telex.wire"
SOURCES = Path(telex.wire.__path__[0])


class Build(NamedTuple):
    """The classes of one build of the wire format."""

    message: Any
    processor: Any


class _SourceFinder(MetaPathFinder):
    """Finds the sources of the wire format, and never what was compiled from them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Describe where the source of a module is; None for modules elsewhere."""
        if not _belongs(fullname):
            return None
        name = fullname.removeprefix(PACKAGE).removeprefix(".")
        file = SOURCES / f"{name or '__init__'}.py"
        places = None if name else [str(SOURCES)]
        return importlib.util.spec_from_file_location(
            fullname, file, submodule_search_locations=places
        )


@functools.cache
def pure_build() -> Build:
    """Load the wire format from its sources, and leave the modules in use as they are."""
    in_use = {name: module for name, module in sys.modules.items() if _belongs(name)}
    finder = _SourceFinder()
    _forget_modules()
    sys.meta_path.insert(0, finder)
    try:
        message = importlib.import_module(f"{PACKAGE}.message").Message
        processor = importlib.import_module(f"{PACKAGE}.processor").MessageProcessor
    finally:
        sys.meta_path.remove(finder)
        _forget_modules()
        sys.modules.update(in_use)
        setattr(telex, "wire", in_use[PACKAGE])  # noqa: B010
    return Build(message, processor)


def build_in_use() -> Build:
    """Return the build that ``import telex`` brings."""
    return Build(telex.Message, telex.MessageProcessor)


def _forget_modules() -> None:
    for name in [name for name in sys.modules if _belongs(name)]:
        del sys.modules[name]


def _belongs(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")
