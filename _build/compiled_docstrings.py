"""Writes docstrings into the C that mypyc makes, where ``help()`` and editors look for them.

mypyc 2.4.1 gives a compiled class or function its signature, and drops its docstring. Here the
docstrings of the sources are added to the tables in its C file. They are constants there, so an
import takes no longer. How these tables look is mypyc's private matter: a docstring that finds no
place fails the compilation, and the next release of mypyc needs another look.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from mypyc.codegen.cstring import c_string_initializer
from mypyc.namegen import NameGenerator

_STRING: Final = r'"(?:[^"\\]|\\.)*"'

_TEXT: Final = rf"PyDoc_STR\((?P<text>NULL|{_STRING})"

_FUNCTION: Final = rf"\(PyCFunction\)(?P<key>CPyPy_\w+),[^()]*{_TEXT}"

_PROPERTY: Final = r"\(getter\)(?P<key>\w+),\s+(?:\(setter\)\w+|NULL),\s+(?P<text>NULL), NULL\}"

_CLASS: Final = rf"(?P<key>CPyType_\w+)_template_ = [^}}]*?tp_doc = {_TEXT}"

_PYTHON_CLASS: Final = (
    r"(?P<text>CPyStatics\[\d+\]); /\* 'mypyc filler docstring' \*/"
    r'[^"]*CPy_AddTraceback\((?P<key>"[^"]+", "<module>", \d+)'
)
"""A class that stays one of Python's, such as an enumeration: made by code that names its line."""

_MODULE: Final = r'PyModuleDef_HEAD_INIT,\s+(?P<key>"[\w.]+"),\s+(?P<text>NULL)'

_PLACES: Final = (_FUNCTION, _PROPERTY, _CLASS, _PYTHON_CLASS, _MODULE)
"""Where the C file has a docstring, or NULL, of what the key tells."""


class _Described(NamedTuple):
    """Something with a docstring, and the keys by which its place may be known."""

    name: str
    docstring: str
    keys: tuple[str, ...]


def write_docstrings(c_file: Path, source_files: Iterable[Path], root: Path) -> None:
    """Add the docstrings of these modules, whose packages are in ``root``, to mypyc's C file."""
    modules = {_module_name(file.relative_to(root)): file for file in source_files}
    names = NameGenerator([list(modules)])
    described = [one for module, file in modules.items() for one in _described(names, module, file)]
    docstrings = {key: one.docstring for one in described for key in one.keys}
    placed: set[str] = set()

    def with_docstring(place: re.Match[str]) -> str:
        key = place["key"]
        if key not in docstrings:
            return place[0]
        placed.add(key)
        start, end = (position - place.start() for position in place.span("text"))
        text = _combined(place["text"], c_string_initializer(docstrings[key].encode()))
        return f"{place[0][:start]}{text}{place[0][end:]}"

    code = c_file.read_text(encoding="utf-8")
    for pattern in _PLACES:
        code = re.sub(pattern, with_docstring, code)
    if lost := [one.name for one in described if placed.isdisjoint(one.keys)]:
        raise RuntimeError(f"mypyc left no place for the docstrings of {', '.join(lost)}")
    c_file.write_text(code, encoding="utf-8")


def _combined(text: str, docstring: str) -> str:
    """Return the C expression for a docstring where ``text`` stood."""
    if text == "NULL":
        return docstring
    if text.startswith('"'):  # the signature
        return f"{text} {docstring}"
    return f"PyUnicode_FromString({docstring})"


def _described(names: NameGenerator, module: str, file: Path) -> Iterator[_Described]:
    """Return all in a module that has a docstring."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    yield from _with_keys(module, tree, f'"{module}"')
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _with_keys(
                f"{module}.{node.name}", node, f"CPyPy_{names.private_name(module, node.name)}"
            )
        elif isinstance(node, ast.ClassDef):
            yield from _described_in_class(names, module, file, node)


def _described_in_class(
    names: NameGenerator, module: str, file: Path, cls: ast.ClassDef
) -> Iterator[_Described]:
    """Return a class and its methods and properties, as far as they have docstrings."""
    name = f"{module}.{cls.name}"
    c_name = names.private_name(module, cls.name)
    path = str(file).replace("\\", "\\\\")
    line = f'"{path}", "<module>", {cls.lineno}'
    yield from _with_keys(name, cls, f"CPyType_{c_name}", line)
    for node in cls.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_setter(node):
            method = names.private_name(module, f"{cls.name}.{node.name}")
            keys = f"CPyPy_{method}", f"{c_name}_get_{node.name}"
            yield from _with_keys(f"{name}.{node.name}", node, *keys)


def _with_keys(
    name: str,
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
    *keys: str,
) -> Iterator[_Described]:
    """Return what a node describes, if it does."""
    if (docstring := ast.get_docstring(node, clean=False)) is not None:
        yield _Described(name, inspect.cleandoc(docstring), keys)


def _is_setter(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether this is the setter of a property, whose docstring is the getter's."""
    return any(isinstance(one, ast.Attribute) for one in function.decorator_list)


def _module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)
