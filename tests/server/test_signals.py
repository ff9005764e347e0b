"""What signals do to a server, on both front-ends."""

from __future__ import annotations

import signal
import ssl
from typing import Any

from telex.server.signals import signal_actions


def test_two_signals_end_a_server() -> None:
    """SIGHUP keeps its meaning where there are no certificates to load."""
    ended: list[str] = []
    actions = signal_actions(None, lambda: ended.append("end"), print)
    assert set(actions) == {signal.SIGINT, signal.SIGTERM}
    for action in actions.values():
        action()
    assert ended == ["end", "end"]


def test_hangup_has_certificates_loaded_by_the_servers_thread() -> None:
    """The signal's handler only hands the call over."""
    posted: list[tuple[Any, ...]] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    actions = signal_actions(context, print, lambda *call: posted.append(call))
    actions[signal.SIGHUP]()
    [(_, posted_context)] = posted
    assert posted_context is context
