"""How little a front-end is."""

from __future__ import annotations

import ast
from pathlib import Path

MOST_STATEMENTS = 150
DRIVER = Path(__file__).with_name("driver.py")


def statements_in(source: str) -> int:
    """Count the statements of a module, without docstrings."""
    return sum(
        isinstance(node, ast.stmt) and not _is_docstring(node)
        for node in ast.walk(ast.parse(source))
    )


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_a_driver_of_both_ends_is_small() -> None:
    """Everything that is hard is below it."""
    assert statements_in(DRIVER.read_text()) <= MOST_STATEMENTS


def test_a_driver_needs_no_other_front_end() -> None:
    """It is written without reading the other two."""
    for node in ast.walk(ast.parse(DRIVER.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not str(node.module).startswith(("telex.sync", "telex.asyncio"))
