"""The server that a command connects to: the options that name it, and the connection.

All commands that connect share this module.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from telex import Address, ConnectError, CredentialsError
from telex.cli.failure import CommandError
from telex.cli.options import DEFAULT_ADDRESS, naming_options, parse_option, refuse_if
from telex.network.os_errors import reason_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from telex import Limits
    from telex.asyncio.client import Connection as AsyncConnection
    from telex.sync import Connection

TOKEN_VARIABLE: Final = "TELEX_TOKEN"

_UNKNOWN_AUTHORITY: Final = (18, 19, 20, 21)
"""OpenSSL's error numbers for certificates that are self-signed, or of an unknown authority."""
_NOBODY_THERE: Final = (ConnectionRefusedError, FileNotFoundError)
_PANEL: Final = "TLS and token"

To = Annotated[
    str, typer.Option("--to", metavar="ADDRESS", help="tcp:// or tls://HOST:PORT, or unix://PATH.")
]
TokenFile = Annotated[
    str | None,
    typer.Option(
        "--token-file",
        metavar="PATH",
        help="A file with the token that the server demands.",
        rich_help_panel=_PANEL,
    ),
]
Authority = Annotated[
    str | None,
    typer.Option(
        "--ca",
        metavar="PATH",
        help="Authorities to trust with tls://, if not the system's.",
        rich_help_panel=_PANEL,
    ),
]
Certificate = Annotated[
    str | None,
    typer.Option(
        "--cert",
        metavar="PATH",
        help="The certificate to show to the server.",
        rich_help_panel=_PANEL,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="PATH",
        help="The key of --cert, if it is not in the same file.",
        rich_help_panel=_PANEL,
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        metavar="",
        help="Show the token over tcp:// beyond this machine, where anyone can read it.",
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class Destination:
    """The address that a command connects to, and its credentials; see ``read_destination``."""

    address: Address
    token: str | None
    tls: ssl.SSLContext | None
    insecure: bool
    has_ca: bool = False

    def connect(self, limits: Limits) -> Connection:
        """Connect; raises ConnectError, or CommandError where a hint can be added."""
        from telex.sync import connect

        with self._with_hints():
            return connect(self.address, limits=limits, **self._credentials())

    async def connect_in_loop(self, limits: Limits) -> AsyncConnection:
        """Connect in an event loop; raises what ``connect`` does."""
        from telex.asyncio import connect

        with self._with_hints():
            return await connect(self.address, limits=limits, **self._credentials())

    def _credentials(self) -> dict[str, Any]:
        return {"token": self.token, "tls": self.tls, "insecure": self.insecure}

    @contextlib.contextmanager
    def _with_hints(self) -> Iterator[None]:
        """Add a hint to a ConnectError: how to start a server, or which authority to give."""
        try:
            yield
        except ConnectError as problem:
            if not self.has_ca and _is_unknown_authority(problem.__cause__):
                hint = "right would be --ca PATH, with the certificate of whoever has signed it"
                raise CommandError(f"{problem} ({hint})") from problem
            if not isinstance(problem.__cause__, _NOBODY_THERE) or self.address.scheme == "tls":
                raise
            where = "" if str(self.address) == DEFAULT_ADDRESS else f" --listen {self.address}"
            hint = f"is a server running? try: telex serve{where}"
            raise CommandError(f"{problem} ({hint})") from problem


def _is_unknown_authority(error: BaseException | None) -> bool:
    """Say whether a certificate is refused because its authority is unknown."""
    return getattr(error, "verify_code", None) in _UNKNOWN_AUTHORITY


def read_destination(
    to: str,
    token_file: str | None,
    ca: str | None,
    cert: str | None,
    key: str | None,
    insecure: bool = False,
    *,
    option: str = "--to",
) -> Destination:
    """Read the options; raises UsageError, and CredentialsError for unusable files.

    ``option`` is the name of the address in error messages.
    """
    address = parse_option(option, Address.parse, to)
    for name, file in (("--ca", ca), ("--cert", cert), ("--key", key)):
        refuse_if(
            file is not None and address.scheme != "tls",
            f"{name}: {address} is without TLS; right would be {option} tls://HOST:PORT",
        )
    refuse_if(key is not None and cert is None, "--key: it needs --cert")
    with naming_options(ca=ca, cert=cert, key=key, token_file=token_file):
        tls = _read_tls(address, ca, cert, key)
        return Destination(address, _read_token(token_file), tls, insecure, has_ca=ca is not None)


def _read_token(file: str | None) -> str | None:
    """Return the token in a file, or else in the environment, or else None."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise CredentialsError(file, reason_of(error)) from error
    except UnicodeDecodeError as error:
        raise CredentialsError(file, "it is not text in UTF-8") from error
    entries = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if len(entries) != 1 or len(entries[0]) > 2:
        raise CredentialsError(
            file, "right would be one line, with a token, or with a name and its token"
        )
    return entries[0][-1]


def _read_tls(
    address: Address, ca: str | None, cert: str | None, key: str | None
) -> ssl.SSLContext | None:
    if address.scheme != "tls":
        return None
    from telex.security.tls import client_context

    return client_context(ca, cert, key)
