"""The options of a server, checked before it listens: the same on every front-end.

They say who can reach the address, whether the connection is encrypted, and which tokens are
accepted. This module knows no connection.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from telex.address import Address, check_is_safe, meant_by
from telex.arguments import check_type
from telex.conversation.greeting import Greeting, check_room
from telex.errors import AddressError, ConnectionClosedError
from telex.limits import Limits
from telex.log import safe_logger
from telex.network.listener import SharedAddress, listen
from telex.security.tokens import Tokens
from telex.server.registry import Registry
from telex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from telex.application.application import Application
    from telex.application.observer import Observer
    from telex.network.listener import Listener

logger: Final = safe_logger("telex.server")

_AGENT: Final = f"telex/{__version__}"


def open_registry(
    application: Application,
    where: str | Address | SharedAddress,
    observers: Iterable[Observer],
    *,
    limits: Limits | None,
    tokens: Mapping[str, str] | Tokens | None,
    tls: ssl.SSLContext | None,
    insecure: bool,
    max_workers: int | None,
) -> tuple[Registry, list[Listener], Address]:
    """Check the options of ``serve()``, then listen; nothing is left open when that fails.

    Return the registry of the server's connections, the listeners, and the actual address. This
    may wait for the name of a host, so an event loop calls it in a thread. Raises AddressError,
    CredentialsError, and TypeError or ValueError for options of a wrong type or size.
    """
    check_type(limits, Limits | None, "limits", "a telex.Limits")
    check_type(tls, ssl.SSLContext | None, "tls", "made by telex.tls.server_context()")
    check_terms(address_of(where), tls, insecure)
    limits = limits or Limits()
    greeting = greeting_with(_AGENT, tokens, limits)
    registry = Registry(application, limits, greeting, observers, tls, max_workers)
    return registry, *listen_at(where)


def address_of(where: str | Address | SharedAddress) -> Address:
    """Return the address as an Address; raises what ``meant_by`` raises."""
    return where.address if isinstance(where, SharedAddress) else meant_by(where)


def listen_at(where: str | Address | SharedAddress) -> tuple[list[Listener], Address]:
    """Listen as ``listen`` does; ``where`` may also be an address that several processes share."""
    if isinstance(where, SharedAddress):
        return where.listen(), where.address
    return listen(address_of(where))


def check_terms(address: Address, tls: ssl.SSLContext | None, insecure: bool) -> None:
    """Raise AddressError when the address does not fit the options ``tls`` and ``insecure``."""
    if address.scheme == "tls" and tls is None:
        raise AddressError(
            f"cannot listen on {address} without a certificate; "
            f"right would be tls=telex.tls.server_context(certificate, key)"
        )
    if address.scheme != "tls" and tls is not None:
        raise AddressError(f"{address} is without TLS; right would be tls://HOST:PORT")
    if not insecure:
        check_is_safe(address)


def _looked_up_in(tokens: Tokens) -> Callable[[str], str | None]:
    """Return what finds the owner of a token.

    An owner may be looked up by a program's own class. Where that raises, the peer is refused as
    by a server that has too much to do, so that it tries again.
    """

    def owner_of(token: str) -> str | None:
        try:
            return tokens.owner_of(token)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            logger.exception("the owner of a token could not be looked up")
            why = "the server cannot look up tokens now"
            raise ConnectionClosedError("us", why, code="overloaded") from error

    return owner_of


def greeting_with(
    agent: str, tokens: Mapping[str, str] | Tokens | None, limits: Limits
) -> Greeting:
    """Return the server's side of the handshake: its agent, and the tokens that it accepts.

    Raises CredentialsError, and ValueError when the limits are too small for tokens.
    """
    if tokens is None:
        return Greeting(agent)
    known = tokens if isinstance(tokens, Tokens) else Tokens(tokens)
    greeting = Greeting(agent, authenticate=_looked_up_in(known))
    check_room(greeting, limits)
    return greeting
