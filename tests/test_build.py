"""The build: when it compiles, when it does not, and what it says then.

Each test builds a copy of the project whose core is one small module.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
FAILING_COMPILER = shutil.which("false") or "/bin/false"
BUILD = "import sys, backend; getattr(backend, 'build_' + sys.argv[1])('dist')"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the project that is quick to build."""
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "LICENSE", "README.md"):
        shutil.copy(PROJECT / name, tmp_path)
    shutil.copytree(PROJECT / "_build", tmp_path / "_build")
    package = tmp_path / "src" / "telex"
    for room in ("application", "wire"):
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "version.py").write_text('__version__ = "1.2.3"\n')
    (package / "wire" / "small.py").write_text("def five() -> int:\n    return 5\n")
    for name in ("handler", "run", "dispatcher"):
        (package / "application" / f"{name}.py").touch()
    return tmp_path


def build(project: Path, kind: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the backend as an installer would, with these variables on top of the environment."""
    return subprocess.run(
        [sys.executable, "-c", BUILD, kind],
        cwd=project,
        env={**os.environ, "PYTHONPATH": "_build", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def wheel_names(project: Path) -> list[str]:
    """Return the file names of the wheels that were built."""
    return [path.name for path in (project / "dist").glob("*.whl")]


def test_a_build_that_must_not_compile_makes_a_wheel_for_every_platform(project: Path) -> None:
    """TELEX_MYPYC=0 needs no compiler and packs nothing that an earlier build left behind."""
    leftover = project / "build" / "lib" / "telex" / "leftover.py"
    leftover.parent.mkdir(parents=True)
    leftover.touch()

    result = build(project, "wheel", TELEX_MYPYC="0", CC=FAILING_COMPILER)

    assert result.returncode == 0, result.stdout
    assert wheel_names(project) == ["telex-1.2.3-py3-none-any.whl"]
    with zipfile.ZipFile(project / "dist" / "telex-1.2.3-py3-none-any.whl") as wheel:
        modules = {name for name in wheel.namelist() if name.startswith("telex/")}
    assert modules == {
        "telex/__init__.py",
        "telex/application/__init__.py",
        "telex/application/handler.py",
        "telex/application/dispatcher.py",
        "telex/application/run.py",
        "telex/version.py",
        "telex/wire/__init__.py",
        "telex/wire/small.py",
    }


def test_without_a_compiler_the_wheel_is_pure(project: Path) -> None:
    """A machine that cannot compile is not asked to: that is no failure, and no warning."""
    result = build(project, "wheel", TELEX_MYPYC="auto", CC="no-such-compiler")

    assert result.returncode == 0, result.stdout
    assert wheel_names(project) == ["telex-1.2.3-py3-none-any.whl"]
    assert "compiling failed" not in result.stdout


def test_when_compiling_fails_the_wheel_is_pure_and_the_user_is_told(project: Path) -> None:
    """A broken compiler costs speed, not the installation."""
    result = build(project, "wheel", TELEX_MYPYC="auto", CC=FAILING_COMPILER)

    assert result.returncode == 0, result.stdout
    assert wheel_names(project) == ["telex-1.2.3-py3-none-any.whl"]
    assert "telex is built as pure Python: compiling failed" in result.stdout


@pytest.mark.parametrize("compiler", ["no-such-compiler", FAILING_COMPILER])
def test_a_build_that_must_compile_fails_when_it_cannot(project: Path, compiler: str) -> None:
    """TELEX_MYPYC=1 never makes a slow wheel in silence."""
    result = build(project, "wheel", TELEX_MYPYC="1", CC=compiler)

    assert result.returncode != 0
    assert compiler in result.stdout
    assert wheel_names(project) == []


def test_an_unknown_wish_is_refused(project: Path) -> None:
    """A misspelt TELEX_MYPYC is an error that says what is right."""
    result = build(project, "wheel", TELEX_MYPYC="yes")

    assert result.returncode != 0
    assert "TELEX_MYPYC must be auto, 0 or 1, not 'yes'" in result.stdout


def test_the_source_distribution_can_be_built_from(project: Path) -> None:
    """It carries the backend and the tests, and never a compiled module."""
    (project / "tests").mkdir()
    (project / "tests" / "test_small.py").touch()
    (project / "src" / "telex" / "wire" / "small.so").touch()

    result = build(project, "sdist")

    assert result.returncode == 0, result.stdout
    with tarfile.open(project / "dist" / "telex-1.2.3.tar.gz") as archive:
        names = {name.removeprefix("telex-1.2.3/") for name in archive.getnames()}
    assert {"_build/backend.py", "_build/compiler.py", "setup.py", "tests/test_small.py"} <= names
    assert [name for name in names if name.endswith(".so")] == []
