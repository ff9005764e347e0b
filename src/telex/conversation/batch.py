"""Batches: as many messages of a long row as are worth one system call.

Only what can be sent gets into one, so that nothing that was taken from a row is left behind in it.
This module must never know why a conversation would refuse a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from telex.errors import ContentError
from telex.wire.factory import message_of
from telex.wire.message import Message
from telex.wire.received import with_body

if TYPE_CHECKING:
    from mypy_extensions import i64

    from telex.conversation.outgoing import Outgoing

BATCH_SIZE: Final = 64 * 1024
"""About how many bytes of messages go together. With their headers they stay below 128 KiB, from
where on memory comes from the system anew each time, which costs more than the system call."""

_BESIDE_BODY: Final = 64
"""Bytes for which each message counts beside its body."""


def fill(
    batch: list[Message], items: Iterator[object], outgoing: Outgoing, request_id: i64
) -> bool:
    """Move messages, or contents as messages, from ``items`` to ``batch``, ``BATCH_SIZE`` bytes.

    They are to go as plain messages, or, unless ``request_id`` is 0, as requests from this number
    on. Returns whether more may follow. What the iterator raises is raised when what came before it
    is in the batch, and so are ContentError and TooLargeError for what cannot be sent.
    """
    room: i64 = BATCH_SIZE
    for item in items:
        message = with_body(item if isinstance(item, Message) else message_of(item))
        if request_id:
            outgoing.check(message, "request", request_id + len(batch), 0, False)
        else:
            check_is_plain(message)
            outgoing.check(message, None, message.id or 0, message.re or 0, message.more)
        batch.append(message)
        room -= _BESIDE_BODY + len(message.body)
        if room <= 0:
            return True
    return False


def check_is_plain(message: Message) -> None:
    """Raise ContentError for a message that only a conversation may send."""
    if message.kind is not None:
        raise ContentError(f"send() takes plain messages, not kind {message.kind!r}")
