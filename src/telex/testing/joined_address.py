"""What joined connections say of themselves, on either front-end."""

from __future__ import annotations

from typing import Final

from telex.address import Address

AGENT: Final = "telex.testing"

ADDRESS: Final = Address("unix", path="in-memory")
"""Where a joined connection says that it is connected to."""
