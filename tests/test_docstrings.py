"""What ``help()`` and editors say of the public names, in this build and in the sources."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import telex

PROJECT = Path(__file__).parent.parent
SOURCES = PROJECT / "src"

MODULES = ("telex", "telex.asyncio", "telex.sync", "telex.testing", "telex.tls", "telex.tokens")

COMPILED_MODULES = ("telex.wire.message", "telex.wire.processor")
"""Where classes come from that are public, and compiled in a compiled build."""


def described() -> dict[str, list[object]]:
    """Return the docstring and the parameters of every public name."""
    descriptions: dict[str, list[object]] = {}
    for name in (*MODULES, *COMPILED_MODULES):
        module = importlib.import_module(name)
        descriptions[name] = [inspect.getdoc(module)]
        for attribute in getattr(module, "__all__", ()):
            value = getattr(module, attribute)
            descriptions[f"{name}.{attribute}"] = describe(value)
            if inspect.isclass(value):
                for member, description in members(value):
                    descriptions[f"{name}.{attribute}.{member}"] = description
    return descriptions


def describe(value: object) -> list[object]:
    """Return the docstring of an object, and its parameters if it can be called."""
    if not callable(value):
        return [inspect.getdoc(value)]
    try:
        parameters = inspect.signature(value).parameters.values()
    except ValueError:  # of a class of Python's own
        return [inspect.getdoc(value)]
    return [inspect.getdoc(value), [f"{one.name}={one.default!r}" for one in parameters]]


def members(cls: type) -> Iterator[tuple[str, list[object]]]:
    """Return what the public members of a class say, and the methods behind its operators."""
    for name in dir(cls):
        if name in ("__eq__", "__init__", "__repr__", "__str__"):
            yield name, [inspect.getdoc(getattr(cls, name))]
        elif not name.startswith("_"):
            yield name, describe(getattr(cls, name))


def test_help_says_in_every_build_what_the_sources_say() -> None:
    """Compiling loses no docstring, and no name or default of a parameter."""
    command = "import json, tests.test_docstrings as here; print(json.dumps(here.described()))"
    of_sources = subprocess.run(
        [sys.executable, "-c", command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCES), str(PROJECT)])},
        check=True,
        stdout=subprocess.PIPE,
    ).stdout

    assert described() == json.loads(of_sources)


def test_whatever_can_be_called_says_what_it_does() -> None:
    """Each public class, function and method has a docstring."""
    assert [name for name, [text, *more] in described().items() if more and not text] == []


EXPRESSIONS = (
    "telex.Message",
    "telex.Message('text').to_bytes",
    "telex.Message('text').body",
    "telex.MessageProcessor().receive_messages(b'')[0].decode",
    "telex.MessageFactory().json",
    "telex.State",
    "telex.sync.connect",
)


def test_an_editor_shows_in_every_build_what_it_shows_in_the_sources(tmp_path: Path) -> None:
    """The signature with its types, and the docstring, as editors with Jedi show them."""
    installed = hovers_of(Path(telex.__file__).parent.parent, tmp_path)

    assert [len(shown) for shown in installed] == [1] * len(EXPRESSIONS)
    assert installed == hovers_of(SOURCES, tmp_path)


def hovers_of(root: Path, cache: Path) -> list[list[str]]:
    """Ask Jedi in a process of its own: it leaves directories open, which is an error here."""
    command = "import sys, tests.test_docstrings as here; here.print_hovers(*sys.argv[1:])"
    shown = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", command, str(root), str(cache)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    found: list[list[str]] = json.loads(shown)
    return found


def print_hovers(root: str, cache: str) -> None:
    """Print what an editor shows at the end of each expression, with Telex from ``root``."""
    import jedi

    jedi.settings.cache_directory = cache
    project = jedi.Project(root, sys_path=[root, *sys.path])
    shown = []
    for expression in EXPRESSIONS:
        script = jedi.Script(f"import telex\nimport telex.sync\n{expression}", project=project)
        shown.append([name.docstring() for name in script.help(3, len(expression) - 1)])
    print(json.dumps(shown))  # noqa: T201
