"""The agent and the address of joined connections, on either front-end."""

from __future__ import annotations

from typing import Final

from telex.address import Address

AGENT: Final = "telex.testing"

ADDRESS: Final = Address("unix", path="in-memory")
"""The address that a joined connection shows as its peer."""
