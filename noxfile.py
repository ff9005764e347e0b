"""Runs the tests on other interpreters, without make: ``nox -s tests-3.13``.

Each session has an environment of its own; one whose interpreter this machine has not is skipped,
and nox says so. ``make test`` does more, on one interpreter: it also judges the code, and measures
what the tests of the core reach.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13", "3.14")

HERE = Path(__file__).parent

PYTEST = (
    "python",
    "-m",
    "pytest",
    "--numprocesses=4",
    "--dist=worksteal",
    "-p",
    "no:cacheprovider",
)

EVERYTHING = ("--doctest-modules", "src", "tests", "--ignore=tests/typing")
"""All that is tested in pure Python; how users' type checkers see Telex is one matter for all."""


def tests_named_in(*lists: str) -> list[str]:
    """Return the tests that files of ``tests/`` name."""
    return [test for name in lists for test in (HERE / "tests" / name).read_text().split()]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Test the build in pure Python and the compiled one; arguments are tests to run instead."""
    session.install("--editable", ".[dev]")
    session.run(*PYTEST, *(session.posargs or EVERYTHING), env={"TELEX_EXPECT_COMPILED": "0"})
    why_not = session.run(
        "python", "_build/compiler.py", silent=True, success_codes=(0, 1), log=False
    )
    if not str(why_not).startswith("compiles with"):
        session.warn(f"The compiled build is NOT tested: {why_not}")
        return
    compiled = Path(session.create_tmp()) / "compiled"
    session.install("--no-deps", "--target", str(compiled), ".", env={"TELEX_MYPYC": "1"})
    session.run(
        *PYTEST,
        *(session.posargs or tests_named_in("core.txt", "compiled.txt")),
        env={"TELEX_EXPECT_COMPILED": "1", "PYTHONPATH": str(compiled)},
    )


@nox.session(python=PYTHONS)
def dev(session: nox.Session) -> None:
    """Run the behaviour suite in Python's development mode, where each warning is an error."""
    session.install("--editable", ".[dev]")
    session.run(
        "python", "-X", "dev", "-W", "error", *PYTEST[1:], *(session.posargs or ["tests/behaviour"])
    )


@nox.session
def package(session: nox.Session) -> None:
    """Build the packages, and try each in an empty environment."""
    session.install("--editable", ".[package]")
    session.run("python", "_build/package.py", *session.posargs)


if __name__ == "__main__":
    sys.exit(f"run it with nox: nox -s tests-{sys.version_info.major}.{sys.version_info.minor}")
