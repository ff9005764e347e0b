"""Names the modules that mypyc compiles; everything else is in pyproject.toml.

Only ``_build/backend.py`` asks for compilation, through ``TELEX_COMPILE_NOW``. What a user sets
is ``TELEX_MYPYC``, explained there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

_COMPILED_ROOMS = ("wire", "conversation", "connection")

_STAY_INTERPRETED = ("__init__.py", "generics.py", "lazy_msgspec.py")
"""Files of these rooms that are not compiled; the latter two say why."""


def compiled_modules() -> list[Path]:
    """Return the files of what every message passes if it is to be compiled, else nothing."""
    if "TELEX_COMPILE_NOW" not in os.environ:
        return []
    package = Path("src/telex")
    rooms = [path for room in _COMPILED_ROOMS for path in package.glob(f"{room}/*.py")]
    core = [path for path in rooms if path.name not in _STAY_INTERPRETED]
    names = ("handler", "run", "dispatcher")
    return sorted([*core, *(package / "application" / f"{name}.py" for name in names)])


def extensions() -> list[Extension]:
    """Compile these modules to C; return the extensions to build of it."""
    if not (modules := compiled_modules()):
        return []
    from compiled_docstrings import write_docstrings
    from mypyc.build import mypycify

    options = ["--follow-imports=silent"]  # errors elsewhere are no obstacle
    compiled = mypycify(
        [*options, *map(str, modules)], opt_level="3", debug_level="1", group_name="telex"
    )
    write_docstrings(Path(compiled[0].sources[0]), modules, Path("src"))
    return compiled


class BuildWithStubs(build_py):  # type: ignore[misc]  # setuptools has no types
    """Also packs each compiled module's source as a stub.

    Editors that import an extension module to ask for its names get no types from it. A stub comes
    first for them, and for type checkers, and the source is a stub that is never out of step.
    """

    def run(self) -> None:
        """Pack the modules."""
        super().run()
        for module in compiled_modules():
            packed = Path(self.build_lib) / module.relative_to("src")
            shutil.copyfile(module, packed.with_suffix(".pyi"))


setup(ext_modules=extensions(), cmdclass={"build_py": BuildWithStubs})
