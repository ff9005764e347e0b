"""The package as a whole: what it exports, what it loads, and which build it is."""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import pkgutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

import telex
import telex.errors

COMPILED_PACKAGES = ("telex.wire", "telex.conversation", "telex.connection")

STAY_INTERPRETED = {"telex.wire.generics", "telex.wire.lazy_msgspec"}
"""Modules of these packages that compiled code could not replace; they say why."""


def run_python(code: str) -> str:
    """Run ``code`` in a new interpreter that sees the telex under test; return what it printed."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def compiled_modules() -> dict[str, str]:
    """Return the file that each module was loaded from that a compiled build compiles."""
    names = {"telex.application.handler", "telex.application.dispatcher"}
    for package in map(importlib.import_module, COMPILED_PACKAGES):
        prefix = f"{package.__name__}."
        names |= {module.name for module in pkgutil.iter_modules(package.__path__, prefix)}
    modules = [importlib.import_module(name) for name in sorted(names - STAY_INTERPRETED)]
    return {module.__name__: module.__file__ or "" for module in modules}


def test_all_names_what_is_public_and_nothing_else() -> None:
    """Whatever the package holds under a public name, other than its modules, is in __all__."""
    public = {
        name
        for name, value in vars(telex).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and getattr(value, "__module__", "").startswith("telex")
    }
    assert set(telex.__all__) == public | {"__version__"}


def test_every_public_name_can_be_imported() -> None:
    """``from telex import *`` finds all that __all__ promises, each name once."""
    assert len(set(telex.__all__)) == len(telex.__all__)
    assert all(hasattr(telex, name) for name in telex.__all__)


def test_every_error_is_exported() -> None:
    """No exception reaches a user who has no name to catch it by."""
    exceptions = {name for name, _ in inspect.getmembers(telex.errors, inspect.isclass)}
    assert exceptions <= set(telex.__all__)


def test_importing_telex_brings_neither_sockets_nor_an_event_loop() -> None:
    """The protocol can be used where there is no network at all, and no command line."""
    network = "'socket', 'selectors', 'ssl', 'asyncio', 'uvloop', 'telex.sync', 'telex.asyncio'"
    command_line = "'typer', 'rich', 'telex.cli'"
    loaded = run_python(
        f"import sys, telex; print({{{network}, {command_line}}} & set(sys.modules))"
    )
    assert loaded == "set()"


def test_the_first_json_loads_msgspec() -> None:
    """Who sends text and bytes need not wait for what only JSON needs."""
    loaded = run_python(
        "import sys, telex\n"
        "for content in ('text', b'bytes', {'json': True}):\n"
        "    message = telex.MessageProcessor().receive_bytes(telex.Message(content).to_bytes())\n"
        "    assert message.content == content\n"
        "    print('msgspec' in sys.modules)\n"
    )
    assert loaded.split() == ["False", "False", "True"]


def test_a_front_end_has_loaded_msgspec_before_anyone_connects() -> None:
    """The first peer that says hello, in JSON, is not the one that waits for it."""
    assert run_python("import sys, telex.sync; print('msgspec' in sys.modules)") == "True"


def test_a_front_end_loads_at_its_first_use() -> None:
    """``telex.sync`` needs no import of its own, and is in the directory before it is loaded."""
    assert run_python("import telex; print(telex.sync.__name__, telex.sync.serve.__name__)") == (
        "telex.sync serve"
    )
    assert "sync" in dir(telex)


def test_the_tools_for_tests_load_at_their_first_use() -> None:
    """And bring no front-end, nor what only some of them need."""
    heavy = "'telex.sync', 'telex.asyncio', 'asyncio', 'hypothesis', 'pytest'"
    code = f"import sys, telex; telex.testing.connected; print({{{heavy}}} & set(sys.modules))"
    assert run_python(code) == "set()"
    assert "testing" in dir(telex)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as in any other module."""
    misspelt = "snyc"
    with pytest.raises(AttributeError, match="module 'telex' has no attribute 'snyc'"):
        getattr(telex, misspelt)


def test_the_version_is_the_one_that_was_built() -> None:
    """The installed package and the running code agree on the version."""
    assert telex.__version__ == importlib.metadata.version("telex")


def test_is_compiled_tells_how_every_module_of_the_core_was_loaded() -> None:
    """No module is left interpreted in a compiled build, and none is compiled in a pure one."""
    suffixes = tuple(EXTENSION_SUFFIXES) if telex.is_compiled() else (".py",)
    files = compiled_modules()
    assert len(files) >= 4
    assert [name for name, file in files.items() if not file.endswith(suffixes)] == []


def test_the_build_under_test_is_the_one_that_was_asked_for() -> None:
    """A run meant for the compiled build fails when it meets pure Python, and the other way."""
    if "TELEX_EXPECT_COMPILED" not in os.environ:
        pytest.skip("TELEX_EXPECT_COMPILED does not say which build this run is for")
    assert telex.is_compiled() == (os.environ["TELEX_EXPECT_COMPILED"] == "1")
