"""What the forge is told to run: the versions that the package promises, by commands that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parent.parent
WORKFLOW = yaml.safe_load((PROJECT / ".github/workflows/tests.yml").read_text())
TESTS: dict[str, Any] = WORKFLOW["jobs"]["tests"]["strategy"]["matrix"]
CONFIGURATION = tomllib.loads((PROJECT / "pyproject.toml").read_text())
CLASSIFIERS = CONFIGURATION["project"]["classifiers"]

NOX = (PROJECT / "noxfile.py").read_text()


def promised_pythons() -> list[str]:
    """Return the versions of Python that the classifiers name."""
    prefix = "Programming Language :: Python :: 3."
    return [f"3.{name.removeprefix(prefix)}" for name in CLASSIFIERS if name.startswith(prefix)]


def commands() -> list[str]:
    """Return the commands of all jobs, a line each."""
    steps = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    return [line for step in steps for line in step.get("run", "").splitlines()]


def actions() -> list[str]:
    """Return the actions that the jobs use."""
    steps = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    return [step["uses"] for step in steps if "uses" in step]


def test_every_promised_python_is_tested() -> None:
    """The classifiers, ``requires-python``, the jobs, nox and the wheels name the same versions."""
    promised = promised_pythons()
    assert promised[0] == CONFIGURATION["project"]["requires-python"].removeprefix(">=")
    assert TESTS["python"] == promised
    assert re.findall(r'"(3\.\d+)"', NOX.split("PYTHONS = ")[1].split("\n")[0]) == promised
    wheels = [f"cp{version.replace('.', '')}-*" for version in promised]
    assert CONFIGURATION["tool"]["cibuildwheel"]["build"] == wheels


def test_every_promised_system_is_tested() -> None:
    """Linux and macOS are promised; Windows is tried, and promised by nobody yet."""
    assert {name.split("-")[0] for name in TESTS["os"]} == {"ubuntu", "macos", "windows"}
    systems = {name for name in CLASSIFIERS if name.startswith("Operating System")}
    assert systems == {"Operating System :: MacOS", "Operating System :: POSIX"}


def test_commands_exist() -> None:
    """Each ``make`` names a target, and each ``nox -s`` a session."""
    makefile = (PROJECT / "Makefile").read_text()
    targets = [target for line in commands() for target in re.findall(r"^make (\S+)", line)]
    sessions = [name for line in commands() for name in re.findall(r"nox .*-s (\w+)", line)]
    assert targets
    assert [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
    assert sessions
    assert [name for name in sessions if f"\ndef {name}(session" not in NOX] == []


def test_what_others_made_is_pinned() -> None:
    """Actions have a full version, and so has nox, which is the one of the development extra."""
    assert [name for name in actions() if not re.search(r"@v\d+\.\d+\.\d+$", name)] == []
    pinned = next(
        name
        for name in CONFIGURATION["project"]["optional-dependencies"]["dev"]
        if name.startswith("nox==")
    )
    installs = [line for line in commands() if "pip install" in line]
    assert installs
    assert [line for line in installs if not line.endswith(pinned)] == []


def test_lists_of_tests_name_what_is_there() -> None:
    """What ``make`` and nox run on the compiled build exists."""
    for name in ("core.txt", "compiled.txt"):
        paths = (PROJECT / "tests" / name).read_text().split()
        assert [path for path in paths if not (PROJECT / path.split("=")[-1]).exists()] == []
