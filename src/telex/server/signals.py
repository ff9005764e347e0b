"""What the signals of the process do to a server; how signals are handled is the front-end's."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from telex.security.tls import reload_certificates

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


def signal_actions(
    tls: ssl.SSLContext | None, end: Callable[[], object], post: Callable[..., object]
) -> dict[int, Callable[[], object]]:
    """Return what each signal does: SIGINT and SIGTERM call ``end``, SIGHUP loads certificates.

    The certificates of ``tls``, where there are any, are loaded again by the server's own thread,
    to which ``post`` hands a call.
    """
    actions: dict[int, Callable[[], object]] = dict.fromkeys((signal.SIGINT, signal.SIGTERM), end)
    if tls is not None:
        actions[signal.SIGHUP] = lambda: post(reload_certificates, tls)
    return actions
