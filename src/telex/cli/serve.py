"""``telex serve``: a server that shows what arrives, with or without an application."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from telex import Address
from telex.cli.json_lines import JsonLines
from telex.cli.loading import load_application
from telex.cli.log import shown_log
from telex.cli.monitoring import Admins, MetricsAddress, MetricsServer, NoAdmins, admins_at
from telex.cli.options import DEFAULT_ADDRESS, parse_option, refuse_if
from telex.cli.serve_options import (
    Certificate,
    ClientAuthority,
    DrainTimeout,
    IdleTimeout,
    Insecure,
    Key,
    MaxBuffered,
    MaxConnections,
    MaxContentSize,
    Safety,
    TokenFile,
    read_limits,
)
from telex.cli.server_output import ServerOutput
from telex.cli.serving import serve_by_workers, serve_here
from telex.cli.terminal import standard_error
from telex.cli.transcript import MessagesOnly, Transcript, answers_nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex import Observer
    from telex.cli.terminal import Lines


def serve(
    application: Annotated[
        str | None, typer.Argument(metavar="MODULE:APP", hidden=True, show_default=False)
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="tcp:// or tls://HOST:PORT (0 is any port), or unix://PATH."
        ),
    ] = DEFAULT_ADDRESS,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", metavar="", help="Messages only; with MODULE:APP, nothing."),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", metavar="", help="Messages only, each as a line of JSON."),
    ] = False,
    with_asyncio: Annotated[
        bool,
        typer.Option(
            "--asyncio", metavar="", help="Run in an event loop, as async handlers always do."
        ),
    ] = False,
    workers: Annotated[
        int, typer.Option(metavar="N", help="Serve in N processes that share the address.")
    ] = 1,
    metrics: MetricsAddress = None,
    admin: Admins = None,
    no_admin: NoAdmins = False,
    cert: Certificate = None,
    key: Key = None,
    client_ca: ClientAuthority = None,
    token_file: TokenFile = None,
    insecure: Insecure = False,
    max_content_size: MaxContentSize = "16MiB",
    max_buffered: MaxBuffered = "256MiB",
    max_connections: MaxConnections = 10_000,
    idle_timeout: IdleTimeout = None,
    drain_timeout: DrainTimeout = 10.0,
) -> int:
    """Serve, and show what arrives: connections, bytes and messages.

    MODULE:APP names the application that handles the messages: orders:app is app
    in orders.py, here or installed. Without it, messages are only shown, and a
    request gets the error no-handler.

    Control characters of peers are shown as escapes, and long content is cut.
    Nothing is cut with --json, where a message is
    {"peer": "HOST:PORT", "header": {…}, "content": …}; content that is neither
    text nor JSON, or does not match its header, is in "content_base64" instead.
    Warnings and errors go to stderr. With --quiet and --json, the reasons why
    connections ended go there too.

    Ctrl-C and SIGTERM end the server, with exit code 0: it answers what it has
    received, and tells every peer. A second signal ends it at once.
    """
    address = parse_option("--listen", Address.parse, listen)
    limits = read_limits(
        max_content_size, max_buffered, max_connections, idle_timeout, drain_timeout
    )
    refuse_if(workers < 1, "--workers: there must be at least 1")
    safety = Safety(cert, key, client_ca, token_file, insecure)
    safety.check(address)
    handlers = answers_nothing() if application is None else load_application(application)
    output = ServerOutput(sys.stdout)
    observers = _observers(output, quiet, as_json, has_application=application is not None)
    metrics_server = None if metrics is None else MetricsServer(metrics, workers)
    if metrics_server is not None:
        observers.append(metrics_server.metrics)

    def say(sentence: str) -> None:
        if not quiet:
            announcement = standard_error() if as_json else output
            announcement.line(sentence)

    def announce(address: Address) -> None:
        say(f"listening on {address}")

    def begin(end: Callable[[], None]) -> None:
        if metrics_server is not None:
            say(f"metrics at {metrics_server.start()}")
        output.end_with(end)

    with shown_log(with_endings=quiet or as_json, forks=workers > 1):
        options = {"limits": limits, "observer": observers, **safety.read()}
        options["admins"] = admins_at(address, admin or [], safety, nobody=no_admin)
        options["with_asyncio"] = with_asyncio or bool(handlers.async_names)
        code = 0
        if workers == 1:
            serve_here(handlers, address, announce, begin, **options)
        else:
            code = serve_by_workers(workers, handlers, address, announce, begin, **options)
            output.look()
    output.check()
    return code


def _observers(
    output: Lines, quiet: bool, as_json: bool, *, has_application: bool
) -> list[Observer]:
    if as_json:
        return [JsonLines(output)]
    if not quiet:
        return [Transcript(output)]
    return [] if has_application else [MessagesOnly(output)]
