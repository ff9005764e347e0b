"""What Telex uses of msgspec. The first JSON loads it, which takes as long as all of Telex.

Once loaded, a name costs what it costs in msgspec itself. This stays interpreted: compiled code has
no branch that only runs when no type checker looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msgspec import MsgspecError as MsgspecError
    from msgspec import Raw as Raw
    from msgspec import Struct as Struct
    from msgspec import ValidationError as ValidationError
    from msgspec import convert as convert
    from msgspec import json as json
    from msgspec import to_builtins as to_builtins
else:

    def __getattr__(name):
        """Take a name over from msgspec at its first use."""
        import msgspec

        value = globals()[name] = getattr(msgspec, name)
        return value
