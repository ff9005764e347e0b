"""Arguments of a wrong type: refused where they are given, and not where they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import UnionType


def check_type(value: object, expected: type | UnionType, name: str, right: str) -> None:
    """Raise TypeError if an argument is not of the expected type.

    ``name`` is the argument, and ``right`` says what it must be. The value itself is not part of
    the error: it may be a secret.
    """
    if isinstance(value, expected):
        return
    if isinstance(value, type):
        raise TypeError(f"{name} must be {right}, not the class {value.__name__}")
    raise TypeError(f"{name} must be {right}, not an object of type {type(value).__name__}")
