"""Messages as the conversations write them: to bytes, from messages, and compared.

A message is an object with the fields of its header by their wire names, and its content under one
of ``text``, ``json`` and ``hex``, repeated ``repeat`` times. ``"$name"`` stands for a number that
the tested end chooses.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from telex.errors import ContentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telex.wire.message import Message

_TYPES: Final = {
    "text": ("text/plain", "utf-8"),
    "json": ("application/json", "utf-8"),
    "hex": ("application/octet-stream", "binary"),
}
"""The content type and the encoding where a message with such content names none."""

_CONTENT: Final = ("text", "json", "hex", "repeat", "code", "bytes")
"""What stands in a message and is no field of its header."""

_MOST_SHOWN: Final = 100
"""Characters of a content that are shown."""

_PRESENT_ONLY_IF_NAMED: Final = ("kind", "more")
"""Fields that mean something by their absence."""


def to_bytes(written: Mapping[str, Any], names: Mapping[str, int]) -> bytes:
    """Return the bytes of a message that is sent, or of what is no message."""
    if "bytes" in written:
        return b"".join(map(_segment, written["bytes"]))
    content = content_of(written)
    content_type, encoding = _TYPES[_form(written) or ("json" if "code" in written else "hex")]
    fields = {name: value for name, value in written.items() if name not in _CONTENT}
    header = {"content-type": content_type, "content-encoding": encoding, **fields}
    header = {name: bound(value, names) for name, value in header.items()}
    header.setdefault("content-length", len(content))
    block = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    return len(block).to_bytes(2, "big") + block + content


def content_of(written: Mapping[str, Any]) -> bytes:
    """Return the bytes of the content of a message as it is written."""
    form = _form(written)
    times = int(written.get("repeat", 1))
    if form == "hex":
        return bytes.fromhex(written["hex"]) * times
    if form == "json" or (form is None and "code" in written):
        value = written["json"] if form else {"code": written["code"]}
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    charset = str(written.get("content-encoding", "utf-8"))
    text = str(written.get("text", "")) * times
    return text.encode("utf-8" if charset == "binary" else charset)


def bound(value: Any, names: Mapping[str, int]) -> Any:
    """Return the number that a "$name" stands for, and any other value as it is."""
    return names.get(value, value) if isinstance(value, str) else value


def matches(
    expected: Mapping[str, Any], message: Message, names: Mapping[str, int]
) -> dict[str, int] | None:
    """Return the names that are known after this message, or None if it is another message."""
    learned = dict(names)
    fields = fields_of(message)
    for name in (*_PRESENT_ONLY_IF_NAMED, *expected):
        if name in _CONTENT:
            continue
        want, got = bound(expected.get(name), learned), fields.get(name)
        if isinstance(want, str) and want.startswith("$"):
            if not isinstance(got, int) or got in learned.values():
                return None
            learned[want] = got
        elif not is_same(want, got):
            return None
    return learned if has_content(expected, message) else None


def has_content(expected: Mapping[str, Any], message: Message) -> bool:
    """Say whether a message has the content that is written, as far as one is."""
    form = _form(expected)
    if form == "hex":
        return message.body == content_of(expected)
    try:
        if form == "text":
            wanted = str(expected["text"]) * expected.get("repeat", 1)
            return is_same(wanted, message.content)
        if form == "json":
            return is_same(expected["json"], message.content)
        if "code" in expected:
            content = message.content
            return isinstance(content, dict) and is_same(expected["code"], content.get("code"))
    except ContentError:
        return False
    return True


def fields_of(message: Message) -> dict[str, Any]:
    """Return the fields of a message's header by their wire names, those with a value alone."""
    fields = {
        "kind": message.kind,
        "subject": message.subject,
        "id": message.id,
        "re": message.re,
        "timeout": message.timeout_ms,
        "more": message.more or None,
        "content-type": message.content_type,
        "content-encoding": message.encoding,
        "byteorder": message.byteorder,
        **message.headers,
    }
    return {name: value for name, value in fields.items() if value is not None}


def shown(written: Mapping[str, Any]) -> str:
    """Return a message as it is written, in one line of bounded length."""
    short = {name: _shortened(value) for name, value in written.items()}
    return json.dumps(short, ensure_ascii=True)


def shown_message(message: Message) -> str:
    """Return a message that came, written as in the conversations; defaults are left out."""
    fields = fields_of(message)
    content: dict[str, Any] = {}
    try:
        value = message.content
    except ContentError:
        value = message.body
    if isinstance(value, bytes):
        content = {"hex": value[:_MOST_SHOWN].hex()} if value else {}
        defaults = _TYPES["hex"]
    elif message.kind in ("error", "close") and isinstance(value, dict):
        content, defaults = {"code": value.get("code"), "detail": value.get("detail")}, ("", "")
        del fields["content-type"], fields["content-encoding"]
    else:
        form = "text" if isinstance(value, str) and message.content_type[:4] == "text" else "json"
        content, defaults = {form: value}, _TYPES[form]
    if content.get("detail", "") is None:
        content = {"json": value}
    if (fields.get("content-type"), fields.get("content-encoding")) == defaults:
        del fields["content-type"], fields["content-encoding"]
    fields.pop("byteorder", None)
    return shown({**fields, **content})


def is_same(left: Any, right: Any) -> bool:
    """Say whether two values of JSON are the same; ``true`` is not 1."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def _form(written: Mapping[str, Any]) -> str | None:
    return next((form for form in _TYPES if form in written), None)


def _segment(segment: Mapping[str, Any]) -> bytes:
    if "hex" in segment:
        return bytes.fromhex(segment["hex"]) * int(segment.get("repeat", 1))
    return str(segment["ascii"]).encode("ascii") * int(segment.get("repeat", 1))


def _shortened(value: Any) -> Any:
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) <= _MOST_SHOWN:
        return value
    return f"{text[:_MOST_SHOWN]}... ({len(text):,} characters)"
