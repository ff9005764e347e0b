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
    if not isinstance(value, expected):
        raise TypeError(f"{name} must be {right}, not {_kind_of(value)}")


def _kind_of(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"an object of type {type(value).__name__}"
