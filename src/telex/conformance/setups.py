"""The setups of the conversations: how the tested end is configured."""

from __future__ import annotations

from typing import Any, Final

TOKEN: Final = "an open secret"
"""The token that a server demands, and a client says, in the setup ``token``."""

_QUICK: Final = {
    "header_timeout": 0.3,
    "handshake_timeout": 0.3,
    "ping_interval": 0.3,
    "ping_timeout": 0.3,
}

SETUPS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "token": {"token": TOKEN},
    "small": {"limits": {"max_header_size": 1024, "max_content_size": 4096}},
    "hello": {"hello": True, "keepalive": True},
    "quick": {"limits": _QUICK},
    "quick-token": {"token": TOKEN, "limits": _QUICK},
    "idle": {"limits": {"idle_timeout": 0.5}},
}
"""By name: the ``token`` that a server demands and a client says; ``limits``, with the names of
``telex.Limits``, sizes in bytes and times in seconds; whether a client says ``hello``, and asks for
``keepalive`` in it."""
