"""Who may watch what ``telex serve`` serves: Prometheus, over HTTP, and operators, over Telex.

Each serving process offers its own numbers to Prometheus, at a port of its own: so none of them has
to wait for another, and one that is stuck is seen to be.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Annotated, Final

import typer

from telex.address import host_and_port
from telex.cli.failure import CommandError, UsageError
from telex.cli.hooks import StartUpError
from telex.cli.options import refuse_if
from telex.network.os_errors import reason_of

if TYPE_CHECKING:
    from telex import Address
    from telex.cli.serve_options import Safety
    from telex.observation.metrics import Metrics

_PANEL: Final = "Watching it"

MetricsAddress = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="HOST:PORT",
        help="Offer metrics for Prometheus over HTTP there.",
        rich_help_panel=_PANEL,
    ),
]
Admins = Annotated[
    list[str] | None,
    typer.Option(
        "--admin",
        metavar="NAME",
        help="Let who has this name use telex top; may be repeated.",
        rich_help_panel=_PANEL,
    ),
]
NoAdmins = Annotated[
    bool,
    typer.Option(
        "--no-admin",
        metavar="",
        help="Let nobody use telex top, nor the owner of a Unix socket.",
        rich_help_panel=_PANEL,
    ),
]

_HERE: Final = "127.0.0.1"
_WHERE: Final = re.compile(r"(?:http://)?(?:(?P<host>\[[^\]]+\]|[^:\[\]/]*):)?(?P<port>\d{1,5})/?")
_LARGEST_PORT: Final = 65_535


class MetricsServer:
    """Offers the metrics of a server at ``ADDRESS``; made before processes are forked."""

    def __init__(self, where: str, processes: int) -> None:
        try:
            from telex.observation.metrics import Metrics
        except ModuleNotFoundError as missing:
            raise CommandError(str(missing)) from missing
        self._host, self._port = read_metrics_address(where)
        self._ports: Final = processes if self._port else 1
        if self._port + self._ports - 1 > _LARGEST_PORT:
            raise UsageError(f"--metrics: there are no {processes:,} ports from {self._port} on")
        self.metrics: Final[Metrics] = Metrics()

    def start(self) -> str:
        """Begin to offer them from this process, at the first free port of those it may have.

        Returns the URL. Raises StartUpError when there is none.
        """
        from prometheus_client import start_http_server

        last = self._port + self._ports - 1
        for port in range(self._port, last + 1):
            try:
                server, _thread = start_http_server(port, self._host)
            except OSError as problem:
                if problem.errno == errno.EADDRINUSE and port < last:
                    continue  # another process of this server has it
                where = host_and_port(self._host, port)
                reason = reason_of(problem)
                raise StartUpError(f"--metrics: cannot listen on {where}: {reason}") from problem
            return f"http://{host_and_port(self._host, server.server_port)}/metrics"
        raise AssertionError("the last attempt returns or raises")


def admins_at(
    address: Address, names: list[str], safety: Safety, *, nobody: bool
) -> list[str] | None:
    """Return who may use ``telex top``; None for nobody.

    At a Unix socket it is also whoever runs as the same user, unless it is to be ``nobody``. Raises
    UsageError for names that nobody can have.
    """
    refuse_if(bool(names) and nobody, "--no-admin: it cannot be together with --admin")
    has_names = safety.token_file is not None or safety.client_ca is not None
    refuse_if(
        bool(names) and not has_names,
        "--admin: nobody has a name without --token-file or --client-ca",
    )
    has_owner = address.scheme == "unix" and not nobody
    return names if names or has_owner else None


def read_metrics_address(where: str) -> tuple[str, int]:
    """Read ``HOST:PORT`` or ``PORT``, which is on this machine; raises UsageError."""
    match = _WHERE.fullmatch(where)
    if match is None or int(match["port"]) > _LARGEST_PORT:
        raise UsageError(f"--metrics: {where!r} is not HOST:PORT, such as 127.0.0.1:9100")
    return (match["host"] or _HERE).strip("[]"), int(match["port"])
