"""The type variable of ``Message[Content]``: by default, plain ``Message`` means any content.

Type checkers know defaults; Python below 3.13 does not. It stays interpreted: compiled code has no
branch that only runs when no type checker looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Content = TypeVar("Content", default=Any)
else:
    from typing import TypeVar

    Content = TypeVar("Content")
