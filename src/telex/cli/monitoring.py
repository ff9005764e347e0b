"""The options of ``telex serve`` for metrics, over HTTP, and for operators, over Telex.

Each serving process has its own metrics, at a port of its own. So no process waits for another, and
a process that hangs is visible.
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

_PANEL: Final = "Monitoring"

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
        help="Let the client of this name use telex top; may be repeated.",
        rich_help_panel=_PANEL,
    ),
]
NoAdmins = Annotated[
    bool,
    typer.Option(
        "--no-admin",
        metavar="",
        help="Let nobody use telex top, not even the owner of a Unix socket.",
        rich_help_panel=_PANEL,
    ),
]

_LOCAL_HOST: Final = "127.0.0.1"
_WHERE: Final = re.compile(r"(?:http://)?(?:(?P<host>\[[^\]]+\]|[^:\[\]/]*):)?(?P<port>\d{1,5})/?")
_MAX_PORT: Final = 65_535


class MetricsServer:
    """Serves the metrics of a server over HTTP; make it before processes are forked."""

    def __init__(self, where: str, processes: int) -> None:
        try:
            from telex.observation.metrics import Metrics
        except ModuleNotFoundError as missing:
            raise CommandError(str(missing)) from missing
        self._host, self._port = read_metrics_address(where)
        self._ports: Final = processes if self._port else 1
        if self._port + self._ports - 1 > _MAX_PORT:
            raise UsageError(f"--metrics: there are no {processes:,} ports from {self._port} on")
        self.metrics: Final[Metrics] = Metrics()

    def start(self) -> str:
        """Serve the metrics of this process, at the first free port of the range; return the URL.

        Raises StartUpError when no port is free.
        """
        from prometheus_client import start_http_server

        last = self._port + self._ports - 1
        for port in range(self._port, last + 1):
            try:
                server, _thread = start_http_server(port, self._host)
            except OSError as problem:
                if problem.errno == errno.EADDRINUSE and port < last:
                    continue  # another process of this server uses the port
                where = host_and_port(self._host, port)
                reason = reason_of(problem)
                raise StartUpError(f"--metrics: cannot listen on {where}: {reason}") from problem
            return f"http://{host_and_port(self._host, server.server_port)}/metrics"
        raise AssertionError("the last attempt returns or raises")


def admins_at(
    address: Address, names: list[str], safety: Safety, *, nobody: bool
) -> list[str] | None:
    """Return the names that may use ``telex top``; None if nobody may.

    Without ``nobody``, the owner of a Unix socket may too. Raises UsageError for names that no
    client can prove.
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
    """Read ``HOST:PORT``, or ``PORT`` for this machine; raises UsageError."""
    match = _WHERE.fullmatch(where)
    if match is None or int(match["port"]) > _MAX_PORT:
        raise UsageError(f"--metrics: {where!r} is not HOST:PORT, such as 127.0.0.1:9100")
    return (match["host"] or _LOCAL_HOST).strip("[]"), int(match["port"])
