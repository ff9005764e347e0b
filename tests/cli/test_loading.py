"""Finding the application that is named: when it is not there, the reason is one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from telex.cli.failure import CommandError
from telex.cli.loading import load_application

MODULE = """
import types

import telex

app = telex.Application()
holder = types.SimpleNamespace(inner=app)
number = 5
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a current directory that modules can be imported from; forget them afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def reason_for(target: str) -> str:
    """Return why there is no application."""
    with pytest.raises(CommandError) as caught:
        load_application(target)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("target", ["shop:app", "shop:holder.inner", "shops.north:app"])
def test_an_application_is_found_in_the_current_directory(here: Path, target: str) -> None:
    """Modules, modules of packages, and attributes of attributes can be named."""
    (here / "shop.py").write_text(MODULE)
    (here / "shops").mkdir()
    (here / "shops" / "north.py").write_text(MODULE)
    module = target.partition(":")[0]
    assert load_application(target) is sys.modules[module].app


@pytest.mark.parametrize("target", ["shop", "shop:", ":app", "shop:a b", "..:app", "", "a..b:app"])
def test_a_malformed_name_is_told_how_it_should_be(target: str) -> None:
    """It takes a module and an attribute."""
    assert reason_for(target) == (
        f"{target!r} is not MODULE:APP, such as orders:app for app in orders.py"
    )


@pytest.mark.parametrize(
    ("target", "right"), [("shops/north.py:app", "shops.north:app"), ("shop.py", "shop:app")]
)
def test_a_file_is_told_its_module(target: str, right: str) -> None:
    """Who names a file is told what it is as a module."""
    assert reason_for(target).endswith(f"name the module instead: {right}")


def test_a_missing_module_is_not_a_failing_import(here: Path) -> None:
    """A name that is wrong is told apart from a module that needs something that is missing."""
    (here / "needy.py").write_text("import no_such_library\n")
    assert reason_for("no_such_module:app") == (
        f"there is no module 'no_such_module', neither installed nor in {here}"
    )
    assert reason_for("needy:app") == (
        "cannot import needy: ModuleNotFoundError: No module named 'no_such_library' "
        f"({here}/needy.py, line 1)"
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "\n1 / 0",
            "cannot import bad: ZeroDivisionError: division by zero ({here}/bad.py, line 2)",
        ),
        (
            "import os\nos.environ['NO_SUCH']",
            "cannot import bad: KeyError: 'NO_SUCH' ({here}/bad.py, line 2)",
        ),
        ("raise OSError", "cannot import bad: OSError ({here}/bad.py, line 1)"),
        ("x = (", "cannot import bad: SyntaxError: '(' was never closed (bad.py, line 1)"),
    ],
)
def test_a_module_that_fails_says_where(here: Path, code: str, reason: str) -> None:
    """The error and its line of the module, not of a library, are told, without a traceback."""
    (here / "bad.py").write_text(code)
    assert reason_for("bad:app") == reason.format(here=here)


def test_a_module_that_ends_the_program_is_told_of(here: Path) -> None:
    """A script that was written to be run is not an application yet."""
    (here / "script.py").write_text("import sys\nsys.exit(3)\n")
    assert reason_for("script:app").startswith("script ended the program while it was imported; ")


def test_a_wrong_attribute_is_told_the_right_ones(here: Path) -> None:
    """Where a module has applications, they are named."""
    (here / "shop.py").write_text(MODULE)
    (here / "bare.py").write_text("")
    assert reason_for("shop:ap") == "shop has no 'ap'; its applications: app"
    assert reason_for("shop:number") == (
        "shop:number is an int, not a telex.Application; its applications: app"
    )
    assert reason_for("bare:app") == "bare has no 'app'; it holds no telex.Application"
