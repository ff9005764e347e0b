"""Over what the behaviour suite runs where it matters."""

from __future__ import annotations

import pytest

over_every_transport = pytest.mark.parametrize("scheme", ["tcp", "unix", "tls"])
over_networks = pytest.mark.parametrize("scheme", ["tcp", "tls"])
