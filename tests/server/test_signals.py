"""What signals do to a server, on both front-ends."""

from __future__ import annotations

import signal
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from telex.server.signals import signal_actions


def test_two_signals_end_a_server() -> None:
    """SIGHUP keeps its meaning where there are no certificates to load."""
    ended: list[str] = []
    actions = signal_actions(True, None, lambda: ended.append("end"), print)
    assert set(actions) == {signal.SIGINT, signal.SIGTERM}
    for action in actions.values():
        action()
    assert ended == ["end", "end"]


def test_hangup_has_certificates_loaded_by_the_servers_thread() -> None:
    """The signal's handler only hands the call over."""
    posted: list[tuple[Any, ...]] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    actions = signal_actions(True, context, print, lambda *call: posted.append(call))
    actions[signal.SIGHUP]()
    [(_, posted_context)] = posted
    assert posted_context is context


def test_a_program_may_handle_all_signals_itself() -> None:
    """Then no signal does anything to a server."""
    assert signal_actions(False, None, print, print) == {}


def test_signals_are_left_alone_outside_of_the_main_thread() -> None:
    """Python lets no other thread handle them."""
    with ThreadPoolExecutor() as threads:
        actions = threads.submit(signal_actions, True, None, print, print).result(timeout=10)
    assert actions == {}
