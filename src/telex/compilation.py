"""What the compiler is told in the source, and means nothing to the interpreter.

It stays interpreted: compiled code has no branch that only runs when no type checker looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:

    def mypyc_attr(**_attributes):
        """Return a decorator that leaves a class as it is."""
        return lambda decorated: decorated
