"""The conversations and the setups that the specification has."""

from __future__ import annotations

from typing import Any

from telex.conformance.samples import CONVERSATIONS, SETUPS


def conversations() -> list[dict[str, Any]]:
    """Return all conversations, in the order of the file."""
    return CONVERSATIONS


def setups() -> dict[str, dict[str, Any]]:
    """Return the setups by name: how the tested end is configured."""
    return SETUPS
