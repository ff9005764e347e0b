"""Names the modules that mypyc compiles; everything else is in pyproject.toml.

Only ``_build/backend.py`` asks for compilation, through ``TELEX_COMPILE_NOW``. What a user sets
is ``TELEX_MYPYC``, explained there.
"""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import Extension, setup


def extensions() -> list[Extension]:
    """Return what every message passes as extensions if it is to be compiled, else nothing."""
    if "TELEX_COMPILE_NOW" not in os.environ:
        return []
    from mypyc.build import mypycify

    package = Path("src/telex")
    protocol = [path for path in package.glob("protocol/*.py") if path.name != "__init__.py"]
    modules = sorted(map(str, [*protocol, package / "handlers.py", package / "session.py"]))
    options = ["--follow-imports=silent"]  # errors elsewhere are no obstacle
    return mypycify([*options, *modules], opt_level="3", debug_level="1", group_name="telex")


setup(ext_modules=extensions())
