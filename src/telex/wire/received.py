"""Messages that are made of a body in bytes and header fields that were checked before.

Received messages are such messages, and so are messages whose content was just written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telex.wire.header import HeaderFields
from telex.wire.message import NOT_DECODED, Message

if TYPE_CHECKING:
    from mypy_extensions import i64


class ReceivedMessage(Message[Any]):
    """A message of checked fields and a body. The content is decoded when it is first asked for.

    ``id``, ``re`` and ``timeout`` are 0 where the message has none.
    """

    __slots__ = ()

    def __init__(self, fields: HeaderFields, body: bytes, id: i64, re: i64, timeout: i64) -> None:
        self._fields = fields
        self._headers = None
        self._id = id
        self._re = re
        self._timeout = timeout
        self._body = body
        self._content = NOT_DECODED
        self._view = NOT_DECODED


def with_body(message: Message) -> Message:
    """Return the message if it has a body already, else a copy with the body written now.

    Raises ContentError when the content cannot be written.
    """
    if message._body is not None:
        return message
    fields = message._present_fields()
    return ReceivedMessage(fields, message.body, message._id, message._re, message._timeout)


def memory_of(messages: list[Message]) -> i64:
    """Return about how many bytes of memory messages take together.

    Fields that messages in a row share count once.
    """
    size: i64 = 0
    fields: HeaderFields | None = None
    for message in messages:
        size += message.memory_size
        if message._fields is fields:
            size -= fields.memory_size
        fields = message._fields
    return size
