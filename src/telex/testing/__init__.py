"""Tools for the tests of programs that use Telex; Telex's own tests use the same.

``connected()`` joins an application and a connection in memory. ``Servers`` starts servers, and
raises their failures at the end (the fixture ``telex_server`` is a ``Servers``). ``Proxy`` is a
network with the faults of its ``Weather``. ``telex.testing.strategies`` makes messages for
Hypothesis.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from telex.testing.joined import Joined, connected
from telex.testing.network_faults import Weather
from telex.testing.proxy import Proxy
from telex.testing.servers import Servers

__all__ = [
    "AsyncJoinedConnection",
    "Joined",
    "JoinedConnection",
    "Proxy",
    "Servers",
    "Weather",
    "connected",
]

if TYPE_CHECKING:
    from telex.testing.awaited import AsyncJoinedConnection
    from telex.testing.blocking import JoinedConnection
else:
    _LOADED_LATER = {
        "AsyncJoinedConnection": "telex.testing.awaited",
        "JoinedConnection": "telex.testing.blocking",
        "strategies": "telex.testing.strategies",
    }

    def __getattr__(name: str) -> object:
        """Load names that need a front-end, or Hypothesis, when they are first used."""
        if name not in _LOADED_LATER:
            raise AttributeError(f"module 'telex.testing' has no attribute {name!r}")
        module = importlib.import_module(_LOADED_LATER[name])
        return module if name == "strategies" else getattr(module, name)
