"""Opens a server with all that looks at it: observers, and the administration for operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telex.application.application import check_application
from telex.application.notifier import observers_of
from telex.network.listener import SharedAddress
from telex.server.options import open_registry

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection, Iterable, Mapping

    from telex.address import Address
    from telex.application.application import Application
    from telex.application.observer import Observer
    from telex.limits import Limits
    from telex.network.listener import Listener
    from telex.security.tokens import Tokens
    from telex.server.registry import Registry


def open_observed(
    application: Application,
    address: str | Address | SharedAddress,
    *,
    observer: Observer | Iterable[Observer] | None,
    admins: Collection[str] | None,
    limits: Limits | None,
    tokens: Mapping[str, str] | Tokens | None,
    tls: ssl.SSLContext | None,
    insecure: bool,
    max_workers: int | None,
) -> tuple[Registry, list[Listener], Address]:
    """Open as ``open_registry`` does.

    ``admins`` are the names of operators; None means that the server answers no operators.
    """
    check_application(application)
    observers = observers_of(application, observer)
    if admins is not None:
        from telex.observation.administration import administered

        is_shared = isinstance(address, SharedAddress)
        application, observers = administered(
            application, observers, admins, shares_address=is_shared
        )
    return open_registry(
        application,
        address,
        observers,
        limits=limits,
        tokens=tokens,
        tls=tls,
        insecure=insecure,
        max_workers=max_workers,
    )
