"""The conversations that the specification has, as one list."""

from __future__ import annotations

from typing import Any

from telex.conformance import scenes_client, scenes_greeting, scenes_server, scenes_times
from telex.conformance.cells import cells
from telex.conformance.setups import SETUPS


def conversations() -> list[dict[str, Any]]:
    """Return all conversations, in the order of the file."""
    return [
        *scenes_server.SCENES,
        *scenes_greeting.SCENES,
        *scenes_times.SCENES,
        *scenes_client.SCENES,
        *cells(),
    ]


def setups() -> dict[str, dict[str, Any]]:
    """Return the setups by name: how the tested end is configured."""
    return SETUPS
