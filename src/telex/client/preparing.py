"""Makes the messages of ``send_many()`` and ``request_many()``, on every front-end."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Final

from telex.wire.factory import message_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from telex.application.peer import MessageKeywords
    from telex.wire.message import Message

_NO_KEYWORDS: Final[MessageKeywords] = {}


def prepared(
    prepare: Callable[[object, MessageKeywords], Message], items: Iterable[object]
) -> Iterator[object]:
    """Give the messages of contents or messages, made by ``prepare``, as they are asked for.

    Where ``prepare`` adds nothing to a message, contents are given as they are: the conversation
    makes messages of many contents at once.
    """
    if prepare is message_from:
        return iter(items)
    return map(prepare, items, repeat(_NO_KEYWORDS))
