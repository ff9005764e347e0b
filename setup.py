"""Names the modules that mypyc compiles; everything else is in pyproject.toml.

Only ``_build/backend.py`` asks for compilation, through ``TELEX_COMPILE_NOW``. What a user sets
is ``TELEX_MYPYC``, explained there.
"""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import Extension, setup

_COMPILED_ROOMS = ("wire", "conversation", "connection")

_STAY_INTERPRETED = ("__init__.py", "generics.py", "lazy_msgspec.py")
"""Files of these rooms that are not compiled; the latter two say why."""


def extensions() -> list[Extension]:
    """Return what every message passes as extensions if it is to be compiled, else nothing."""
    if "TELEX_COMPILE_NOW" not in os.environ:
        return []
    from mypyc.build import mypycify

    package = Path("src/telex")
    rooms = [path for room in _COMPILED_ROOMS for path in package.glob(f"{room}/*.py")]
    core = [path for path in rooms if path.name not in _STAY_INTERPRETED]
    dispatch = [package / "application" / f"{name}.py" for name in ("handler", "run", "dispatcher")]
    modules = sorted(map(str, [*core, *dispatch]))
    options = ["--follow-imports=silent"]  # errors elsewhere are no obstacle
    return mypycify([*options, *modules], opt_level="3", debug_level="1", group_name="telex")


setup(ext_modules=extensions())
