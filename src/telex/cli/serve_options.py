"""The options of ``telex serve`` for TLS, tokens and limits: defined, read and checked here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from telex import Address, Limits
from telex.cli.failure import UsageError
from telex.cli.options import naming_options, parse_option, refuse_if
from telex.cli.sizes import parse_size

if TYPE_CHECKING:
    import ssl

    from telex.security.tokens import Tokens

_SAFETY: Final = "TLS and tokens"
_LIMITS: Final = "Limits"

Certificate = Annotated[
    str | None,
    typer.Option(
        "--cert",
        metavar="PATH",
        help="The certificate for tls://, in PEM form; read again at SIGHUP.",
        rich_help_panel=_SAFETY,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="PATH",
        help="The key of --cert, if it is not in the same file.",
        rich_help_panel=_SAFETY,
    ),
]
ClientAuthority = Annotated[
    str | None,
    typer.Option(
        "--client-ca",
        metavar="PATH",
        help="Serve only clients with a certificate from these authorities.",
        rich_help_panel=_SAFETY,
    ),
]
TokenFile = Annotated[
    str | None,
    typer.Option(
        "--token-file",
        metavar="PATH",
        help="Serve only clients with one of these tokens: NAME TOKEN on each line.",
        rich_help_panel=_SAFETY,
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        metavar="",
        help="Allow tcp:// beyond this machine, where anyone can read along.",
        rich_help_panel=_SAFETY,
    ),
]
MaxContentSize = Annotated[
    str,
    typer.Option(
        "--max-content-size",
        metavar="SIZE",
        help="Refuse messages with more content.",
        rich_help_panel=_LIMITS,
    ),
]
MaxBuffered = Annotated[
    str,
    typer.Option(
        "--max-buffered",
        metavar="SIZE",
        help="End the largest connection when all connections hold more.",
        rich_help_panel=_LIMITS,
    ),
]
MaxConnections = Annotated[
    int,
    typer.Option(
        "--max-connections",
        metavar="N",
        help="Serve at most N connections, and refuse others.",
        rich_help_panel=_LIMITS,
    ),
]
IdleTimeout = Annotated[
    float | None,
    typer.Option(
        "--idle-timeout",
        metavar="SECONDS",
        help="End connections that are silent for so long.",
        rich_help_panel=_LIMITS,
    ),
]
DrainTimeout = Annotated[
    float,
    typer.Option(
        "--drain-timeout",
        metavar="SECONDS",
        help="How long peers may take to finish when the server ends.",
        rich_help_panel=_LIMITS,
    ),
]


@dataclass(frozen=True, slots=True)
class Safety:
    """The options for TLS and tokens; see ``read``."""

    certificate: str | None
    key: str | None
    client_ca: str | None
    token_file: str | None
    insecure: bool

    def check(self, address: Address) -> None:
        """Raise UsageError for options that do not fit together."""
        is_tls = address.scheme == "tls"
        refuse_if(is_tls and self.certificate is None, f"--listen: {address} needs --cert")
        refuse_if(
            not is_tls and self.certificate is not None,
            f"--cert: {address} is without TLS; right would be --listen tls://HOST:PORT",
        )
        refuse_if(self.certificate is None and self.key is not None, "--key: it needs --cert")
        refuse_if(
            self.certificate is None and self.client_ca is not None, "--client-ca: it needs --cert"
        )

    def read(self) -> dict[str, Any]:
        """Read the files; return keyword arguments of ``serve``. Raises CredentialsError."""
        with naming_options(
            cert=self.certificate,
            key=self.key,
            client_ca=self.client_ca,
            token_file=self.token_file,
        ):
            return {"tokens": self._tokens(), "tls": self._tls(), "insecure": self.insecure}

    def _tls(self) -> ssl.SSLContext | None:
        if self.certificate is None:
            return None
        from telex.security.tls import server_context

        return server_context(self.certificate, self.key, self.client_ca)

    def _tokens(self) -> Tokens | None:
        if self.token_file is None:
            return None
        from telex.security.tokens import Tokens

        return Tokens.read(self.token_file)


def read_limits(
    max_content_size: str,
    max_buffered: str,
    max_connections: int,
    idle_timeout: float | None,
    drain_timeout: float,
) -> Limits:
    """Return the limits of these options; raises UsageError."""
    content = parse_option("--max-content-size", parse_size, max_content_size)
    buffered = parse_option("--max-buffered", parse_size, max_buffered)
    refuse_if(buffered < 1, "--max-buffered: it must be at least 1 byte")
    refuse_if(max_connections < 1, "--max-connections: it must be at least 1")
    for option, seconds in (("--idle-timeout", idle_timeout), ("--drain-timeout", drain_timeout)):
        refuse_if(seconds is not None and not seconds > 0, f"{option}: it must be more than 0")
    try:
        return Limits(
            max_content_size=content,
            max_buffered=buffered,
            max_connections=max_connections,
            idle_timeout=idle_timeout,
            drain_timeout=drain_timeout,
        )
    except ValueError as problem:
        raise UsageError(str(problem)) from problem
