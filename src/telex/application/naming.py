"""How a message is named in sentences for people: by its subject."""

from __future__ import annotations

from typing import Final

_LONGEST_SHOWN: Final = 80


def named(subject: str | None) -> str:
    """Name a message with this subject in a sentence.

    >>> named("orders.new")
    "a message with subject 'orders.new'"
    """
    if subject is None:
        return "a message without a subject"
    shown = subject if len(subject) <= _LONGEST_SHOWN else f"{subject[:_LONGEST_SHOWN]}…"
    return f"a message with subject {shown!r}"
