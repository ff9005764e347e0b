"""The line that ``str(message)`` returns: headers and content, safe to print in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.errors import ContentError
from telex.printable import printable, printable_bytes
from telex.wire.content import BYTES, decode_text, is_binary
from telex.wire.header import HeaderFields

if TYPE_CHECKING:
    from mypy_extensions import i64

_LONGEST_SHOWN: Final = 1_000
"""Characters of text content that are shown; the number of the others is shown instead."""


def describe(fields: HeaderFields, body: bytes, id: i64, re: i64, timeout: i64) -> str:
    """Describe a message in one line; the numbers are 0 where the message has none.

    What could drive a terminal is escaped: see ``telex.printable``.
    """
    size = "1 byte" if len(body) == 1 else f"{len(body):,} bytes"
    parts = [printable(fields.content_type), size]
    if fields.kind is not None:
        parts.append(printable(f"kind {fields.kind}"))
    if fields.subject is not None:
        parts.append(printable(f"subject {fields.subject}"))
    if id:
        parts.append(f"id {id}")
    if re:
        parts.append(f"re {re}")
    if timeout:
        parts.append(f"timeout {timeout} ms")
    parts.extend(printable(f"{name} {value}") for name, value in fields.extra.items())
    return f"{', '.join(parts)}: {_shown_content(fields, body)}"


def _shown_content(fields: HeaderFields, body: bytes) -> str:
    """Return text as text, and bytes, or text that cannot be decoded, in hexadecimal."""
    if fields.form == BYTES or is_binary(fields.encoding):
        return printable_bytes(body)
    try:
        text = decode_text(body, fields.encoding)
    except ContentError:
        return f"{printable_bytes(body)} (not readable as {printable(fields.encoding)})"
    if len(text) <= _LONGEST_SHOWN:
        return printable(text)
    left = len(text) - _LONGEST_SHOWN
    return f"{printable(text[:_LONGEST_SHOWN])} … {left:,} characters more"
