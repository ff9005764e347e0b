"""The build backend: setuptools, and mypyc where it can be had.

``TELEX_MYPYC`` decides for a wheel. ``auto``, the default, compiles when nothing stands in the way
and builds pure Python, with a warning, when compiling fails. ``1`` compiles or fails. ``0`` never
compiles. An editable install is always pure, so that edits count.
"""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compiler import obstacle
from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = Mapping[str, Any] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Return what a wheel needs to be built: mypy, and what it must see, only to compile."""
    requires: list[str] = build_meta.get_requires_for_build_wheel(config_settings)
    if _compiles():
        project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
        development = project["optional-dependencies"]["dev"]
        requires += [name for name in development if name.startswith("mypy==")]
        requires += project["dependencies"]
    return requires


def build_wheel(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: str | None = None,
) -> str:
    """Build a wheel, compiled if ``TELEX_MYPYC`` and the machine say so; return its name."""

    def build() -> str:
        _remove_earlier_build()
        name: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
        return name

    if not _compiles():
        return build()
    try:
        with _compilation():
            return build()
    except (Exception, SystemExit) as error:  # mypyc exits when it finds a type error
        if _wish() == "1":
            raise
        print(f"warning: telex is built as pure Python: compiling failed: {error}", file=sys.stderr)
    return build()


def _wish() -> str:
    """Return the value of ``TELEX_MYPYC``: ``auto``, ``0`` or ``1``."""
    wish = os.environ.get("TELEX_MYPYC", "auto")
    if wish not in ("auto", "0", "1"):
        raise ValueError(f"TELEX_MYPYC must be auto, 0 or 1, not {wish!r}")
    return wish


def _compiles() -> bool:
    """Tell whether a wheel is to be compiled."""
    return _wish() == "1" or (_wish() == "auto" and obstacle() is None)


@contextmanager
def _compilation() -> Iterator[None]:
    """Make setup.py compile, while it lasts."""
    os.environ["TELEX_COMPILE_NOW"] = "1"
    try:
        yield
    finally:
        del os.environ["TELEX_COMPILE_NOW"]


def _remove_earlier_build() -> None:
    """Remove what an earlier build left: setuptools would pack its leftovers into the wheel."""
    if Path("build").exists():
        shutil.rmtree("build")
