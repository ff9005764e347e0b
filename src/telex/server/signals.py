"""What the signals of the process do to a server; how signals are handled is the front-end's."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from telex.security.tls import reload_certificates

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Container


def signal_actions(
    are_handled: bool,
    tls: ssl.SSLContext | None,
    end: Callable[[], object],
    post: Callable[..., object],
) -> dict[int, Callable[[], object]]:
    """Return what each signal does: SIGINT and SIGTERM call ``end``, SIGHUP loads certificates.

    The certificates of ``tls``, where there are any, are loaded again by the server's own thread,
    to which ``post`` hands a call. Signals belong to the main thread: in any other one, and where
    the program wants none handled, no signal does anything.
    """
    if not are_handled or threading.current_thread() is not threading.main_thread():
        return {}
    actions: dict[int, Callable[[], object]] = dict.fromkeys((signal.SIGINT, signal.SIGTERM), end)
    if tls is not None and hasattr(signal, "SIGHUP"):  # Windows has none
        actions[signal.SIGHUP] = lambda: post(reload_certificates, tls)
    return actions


def let_in_hangup(handled: Container[int]) -> None:
    """Let in a SIGHUP that a worker has kept waiting, once its server handles the signal."""
    if hasattr(signal, "SIGHUP") and signal.SIGHUP in handled:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
