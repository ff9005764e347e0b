"""A mypy plugin that keeps ``Generic`` away from what mypyc makes of a class.

To type checkers a class stays as generic as it is written. But mypyc 2.4.1 gives whatever has the
base ``Generic`` an instance dictionary and room for weak references, and on Python 3.11 it frees
these wrongly: the first weak reference to such an object crashes the process some time later.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.plugin import ClassDefContext, Plugin

_COMPILED = (
    "telex.wire.",
    "telex.conversation.",
    "telex.connection.",
    "telex.application.handler.",
    "telex.application.run.",
    "telex.application.dispatcher.",
)
"""The modules that setup.py has compiled."""


class GenericsPlugin(Plugin):
    """Has mypyc see the other bases only."""

    def get_customize_class_mro_hook(
        self, fullname: str
    ) -> Callable[[ClassDefContext], None] | None:
        """Return what is to be done with a class once its bases are known."""
        return _forget_generic if fullname.startswith(_COMPILED) else None


def plugin(version: str) -> type[Plugin]:
    """Return the plugin, as mypy asks for it."""
    return GenericsPlugin


def _forget_generic(context: ClassDefContext) -> None:
    context.cls.removed_base_type_exprs.clear()
