"""Makes messages: of any content on a short way, and with defaults that many messages share."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from typing import Any, Final

from telex.wire import content as contents
from telex.wire.content import OCTET_STREAM, TEXT
from telex.wire.header import fields_for
from telex.wire.message import Message
from telex.wire.received import ReceivedMessage

_PLAIN_BYTES: Final = fields_for(sys.byteorder, OCTET_STREAM, contents.BINARY, None, None, False)
_PLAIN_TEXT: Final = fields_for(sys.byteorder, contents.PLAIN_TEXT, "utf-8", None, None, False)
"""The header fields of nearly all answers."""


def message_of(content: object, subject: str | None = None) -> Message:
    """Return a message equal to ``Message(content, subject=subject)``, at less cost.

    Bytes and ASCII text, which nearly all answers are, take fields that were checked before.
    Raises what ``Message`` raises.
    """
    if type(content) is bytes:
        fields = _PLAIN_BYTES if subject is None else _PLAIN_BYTES.about(subject)
        return ReceivedMessage(fields, content, 0, 0, 0)
    if type(content) is str and content.isascii():
        fields = _PLAIN_TEXT if subject is None else _PLAIN_TEXT.about(subject)
        return ReceivedMessage(fields, content.encode("ascii"), 0, 0, 0)
    return Message(content, subject=subject)


def message_from(content: object, keywords: Mapping[str, Any]) -> Message:
    """Return ``content`` if it is a message, else a message of it and of keywords of ``Message``.

    Raises TypeError for a message with keywords, and what ``Message`` raises.
    """
    if not isinstance(content, Message):
        if not keywords:
            return message_of(content)
        if len(keywords) == 1 and "subject" in keywords:
            return message_of(content, keywords["subject"])
        return Message(content, **keywords)
    if keywords:
        names = ", ".join(keywords)
        raise TypeError(f"{names}: keywords go with content; a Message has its own, assign them")
    return content


class MessageFactory:
    """Makes messages with shared defaults. Values that are given for a single message go first.

    ``encoding`` is the charset of text; ``headers`` are added to every message.

    >>> factory = MessageFactory(encoding="utf-16-le", headers={"site": "north"})
    >>> factory.text("21 °C").headers
    {'site': 'north'}
    """

    def __init__(
        self,
        *,
        encoding: str = "utf-8",
        headers: dict[str, Any] | None = None,
        byteorder: str | None = None,
        subject: str | None = None,
    ) -> None:
        self._encoding: Final = encoding
        self._headers: Final = copy.deepcopy(headers or {})
        self._byteorder: Final = byteorder
        self._subject: Final = subject

    def text(self, text: str, **fields: Any) -> Message:
        """Make a message of text; ``fields`` are Message's keyword arguments."""
        return self.create(text, **{"content_type": "text/plain", **fields})

    def binary(self, data: bytes, **fields: Any) -> Message:
        """Make a message of bytes; ``fields`` are Message's keyword arguments."""
        return self.create(data, **{"content_type": OCTET_STREAM, **fields})

    def json(self, content: object, **fields: Any) -> Message:
        """Make a message of an object that msgspec can write as JSON; ``fields`` as in ``text``."""
        return self.create(content, **{"content_type": "application/json", **fields})

    def create(self, content: object, **fields: Any) -> Message:
        """Make a message whose content type follows from its content; see ``text``."""
        content_type = fields.get("content_type") or contents.natural_type(content)
        if contents.form_of(content_type) == TEXT:
            fields.setdefault("encoding", self._encoding)
        fields.setdefault("byteorder", self._byteorder)
        fields.setdefault("subject", self._subject)
        fields["headers"] = {**self._headers, **(fields.get("headers") or {})}
        return Message(content, **fields)
