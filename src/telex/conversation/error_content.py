"""Bad news and goodbyes: the content of ``error`` and of ``close``, written and read.

What is written fits into what a peer takes, and everything that a peer may say can be read. What
follows from it is the conversation's to decide.
"""

from __future__ import annotations

from typing import Any, Final

from telex.errors import ContentError, RemoteError
from telex.wire.message import Message

PROBLEM: Final = "application/problem+json"

TITLES: Final = {
    "bad-message": "The message is not one of wire format version 1, or not where it may come",
    "too-large": "The message is larger than allowed here",
    "unauthorized": "This server demands a token that it knows",
    "timeout": "It took longer than allowed here",
    "overloaded": "There is more to do here than can be done",
    "shutting-down": "The server is shutting down",
    "bad-content": "The content is not what the header block or the handler says",
    "no-handler": "Nobody here takes such messages",
    "handler-failed": "The handler of the message failed",
    "unsupported-kind": "The kind of the message is not known here",
    "refused": "The message was refused",
}
"""The codes that Telex uses itself (wire format, "error codes"), and what they mean to people."""
_JSON: Final = "application/json"

_LONGEST_KIND: Final = 60
"""Characters of an unknown kind that are repeated to the peer that sent it."""

ENDING_CODES: Final = frozenset(
    {"bad-message", "too-large", "unauthorized", "timeout", "overloaded", "shutting-down"}
)
"""An ``error`` with one of these codes that answers nothing is the last thing a peer says."""

GOOD_ENDINGS: Final = ("closed", "shutting-down")
"""Codes with which a peer ends as it should."""


def unknown_kind(kind: str) -> str:
    """Return the detail of the error ``unsupported-kind``."""
    shown = kind if len(kind) <= _LONGEST_KIND else f"{kind[:_LONGEST_KIND]}…"
    return f"kind {shown!r} is not known here"


def problem_message(code: str, detail: str, most: int) -> Message:
    """Make the message of an error (RFC 9457, with ``code`` as extension member).

    Where this is more than ``most`` bytes of content, the detail is cut; where that does not help,
    only the code is said, or nothing at all.
    """
    content = {"code": code, "title": TITLES.get(code) or code.replace("-", " "), "detail": detail}
    return _fitting(content, "detail", PROBLEM, most)


def close_message(code: str, reason: str, most: int) -> Message:
    """Make the message of a close; see ``problem_message``."""
    return _fitting({"code": code, "reason": reason}, "reason", _JSON, most)


def read_problem(message: Message, code: str) -> RemoteError:
    """Read what a peer says of an error or an ending; ``code`` is for one that names none."""
    try:
        said = message.content
    except ContentError:
        said = None
    if not isinstance(said, dict):
        return RemoteError(code, "", str(message))
    detail = _text_in(said, "detail") or _text_in(said, "reason")
    return RemoteError(_text_in(said, "code") or code, _text_in(said, "title"), detail)


def _fitting(content: dict[str, str], longest: str, content_type: str, most: int) -> Message:
    sound = {name: _writable(text) for name, text in content.items()}
    message = Message(sound, content_type=content_type)
    over = len(message.body) - most
    if over > 0:
        sound[longest] = _cut(sound[longest], over)
        message = Message(sound, content_type=content_type)
    if len(message.body) > most:
        message = Message({"code": sound["code"]}, content_type=content_type)
    if len(message.body) > most:
        message = Message(b"", content_type=content_type)
    return message


def _cut(text: str, over: int) -> str:
    """Cut a text so that it is shorter by ``over`` bytes of UTF-8, where it has so many."""
    written = text.encode("utf-8")
    mark = "…".encode()
    left = max(len(written) - over - len(mark), 0)
    return written[:left].decode("utf-8", "ignore") + "…"


def _writable(text: str) -> str:
    """Replace what UTF-8 cannot say, so that the bad news is told in any case."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _text_in(content: dict[str, Any], name: str) -> str:
    value = content.get(name)
    return value if isinstance(value, str) else ""
