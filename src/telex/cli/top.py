"""``telex top``: the connections of a running server, in a table that is kept up to date."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from telex import ContentError, Limits, RemoteError, RequestTimeoutError
from telex.cli.destination import (
    Authority,
    Certificate,
    Insecure,
    Key,
    TokenFile,
    read_destination,
)
from telex.cli.failure import CommandError
from telex.cli.json_lines import in_ascii
from telex.cli.log import errors_only
from telex.cli.options import DEFAULT_ADDRESS, refuse_if
from telex.cli.sizes import counted
from telex.cli.terminal import standard_output
from telex.cli.top_rows import TEXTS, Column, rows_of, short_number
from telex.observation.administration import CLOSE, LIST, CloseOrder, Snapshot
from telex.printable import printable
from telex.seconds import pause_of

if TYPE_CHECKING:
    from rich.table import Table

    from telex import Message
    from telex.cli.destination import Destination
    from telex.cli.top_rows import Row
    from telex.sync import Connection

_ANSWER_SECONDS: Final = 10.0
"""How long the server may take to answer."""

_MAX_SNAPSHOT_SIZE: Final = 256 * 1024 * 1024
"""Bytes."""

_OTHER_LINES: Final = 3
"""Lines of the screen that are not rows: the head, the titles, and the foot."""

_UNCUT: Final = 10_000
"""Columns of output in which Rich cuts no text."""


def top(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", hidden=True, show_default=False)
    ] = DEFAULT_ADDRESS,
    interval: Annotated[
        float,
        typer.Option("--interval", "-i", metavar="SECONDS", help="The time between two tables."),
    ] = 1.0,
    sort: Annotated[
        Column, typer.Option(metavar="COLUMN", help="The column to sort by; see above.")
    ] = Column.MESSAGES_IN,
    reverse: Annotated[
        bool, typer.Option("--reverse", metavar="", help="Sort in the opposite order.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", metavar="", help="Print one table, and end.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print all counters as JSON, and end.")
    ] = False,
    close: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Close the connection of this name, and end."),
    ] = None,
    token_file: TokenFile = None,
    ca: Authority = None,
    cert: Certificate = None,
    key: Key = None,
    insecure: Insecure = False,
) -> None:
    """Show the connections of a running server, or close one.

    ADDRESS is where the server listens: tcp:// or tls://HOST:PORT, or
    unix://PATH. It answers operators alone: clients whose name, by token or
    certificate, telex serve --admin has; at a Unix socket also its own user, and
    root.

    Columns to sort by: name, identity, age, in and out (messages a second),
    bytes-in and bytes-out (a second), unsent and partial (bytes), slowest (the
    handler that took longest; + means that it still runs).

    On a terminal the table is renewed until Ctrl-C, with as many connections as
    there are lines. Elsewhere, and with --once, one table is printed, with all
    connections and the rates of one interval.

    With several workers, one of them answers, for its own connections.

    The variable TELEX_TOKEN holds the token where there is no --token-file.
    """
    refuse_if(not interval > 0, "--interval: it must be more than 0")
    refuse_if(as_json and close is not None, "--close: it cannot be together with --json")
    destination = read_destination(address, token_file, ca, cert, key, insecure, option="ADDRESS")
    limits = Limits(max_content_size=_MAX_SNAPSHOT_SIZE, max_buffered=2 * _MAX_SNAPSHOT_SIZE)
    with errors_only(), destination.connect(limits) as connection:
        if close is not None:
            for name in close_connection(connection, close):
                standard_output().line(f"{printable(name)} is closed")
        elif as_json:
            standard_output().line(in_ascii(_answer(connection).body.decode("utf-8")))
        elif once or not _can_renew():
            before = _snapshot(connection)
            time.sleep(pause_of(interval, "interval"))
            snapshot = _snapshot(connection)
            _print(rows_of(snapshot, before, sort, reverse), headline(destination, snapshot))
        else:
            with contextlib.suppress(KeyboardInterrupt):
                _renew(connection, destination, interval, sort, reverse)


def close_connection(connection: Connection, name: str) -> list[str]:
    """Have the server close the connections that the table shows as ``name``; return their names.

    The server closes by number. Each process has numbers of its own, so ``name`` is looked up in
    the process that then closes. Raises CommandError when there is no such connection, RemoteError,
    RequestTimeoutError.
    """
    snapshot = _snapshot(connection)
    found = [state for state in snapshot.connections if printable(state.name) == name]
    if not found:
        raise CommandError(f"--close: {_process(snapshot)} has no connection {name}")
    for state in found:
        connection.request(CloseOrder(state.number), subject=CLOSE, timeout=_ANSWER_SECONDS)
    return [state.name for state in found]


def headline(destination: Destination, snapshot: Snapshot) -> str:
    """Return the first line: which process answers, and for how many connections."""
    count = counted(len(snapshot.connections), "connection")
    line = f"{printable(str(destination.address))}  {_process(snapshot)}  {count}"
    waiting = sum(state.waiting for state in snapshot.connections)
    return f"{line}  {short_number(waiting)} waiting" if waiting else line


def table_of(rows: list[Row]) -> Table:
    """Return the table. Where it is too wide, Rich cuts identities and patterns first."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in Column:
        table.add_column(
            Text(column.heading, "bold"),
            justify="left" if column in TEXTS else "right",
            no_wrap=column not in (Column.IDENTITY, Column.SLOWEST),
        )
    for row in rows:
        texts = [row.text(column) for column in Column]
        table.add_row(*[Text(text, no_wrap=True, overflow="ellipsis") for text in texts])
    return table


def _can_renew() -> bool:
    """Say whether standard output is a terminal whose cursor can be moved."""
    from rich.console import Console

    return sys.stdout.isatty() and Console().is_interactive


def _print(rows: list[Row], head: str) -> None:
    from rich.console import Console

    drawn = io.StringIO()
    Console(file=drawn, width=_UNCUT, color_system=None).print(table_of(rows))
    standard_output().line((head, "bold"))
    for line in drawn.getvalue().splitlines():
        standard_output().line(line.rstrip())


def _renew(
    connection: Connection, destination: Destination, interval: float, sort: Column, reverse: bool
) -> None:
    """Draw the table on the terminal again and again; raises what ``_answer`` raises first."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    snapshot = _snapshot(connection)
    rows = rows_of(snapshot, None, sort, reverse)
    foot = ""
    console = Console(highlight=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            head = Text(headline(destination, snapshot), "bold", no_wrap=True)
            table = table_of(rows[: max(1, console.height - _OTHER_LINES)])
            live.update(Group(head, table, Text(foot, "yellow")), refresh=True)
            time.sleep(pause_of(interval, "interval"))
            before = snapshot
            try:
                snapshot = _snapshot(connection)
            except RequestTimeoutError as late:
                foot = str(late)
            else:
                rows, foot = rows_of(snapshot, before, sort, reverse), ""


def _snapshot(connection: Connection) -> Snapshot:
    return _answer(connection).decode(Snapshot)


def _answer(connection: Connection) -> Message:
    """Return the server's answer, a Snapshot; raises CommandError, RequestTimeoutError."""
    hint = "(see: telex serve --admin)"
    try:
        answer = connection.request(None, subject=LIST, timeout=_ANSWER_SECONDS)
        answer.decode(Snapshot)
    except RemoteError as error:
        if error.code == "unauthorized":
            raise CommandError(f"{error.detail} {hint}") from error
        if error.code == "no-handler":
            raise CommandError(f"nobody may use telex top at this server {hint}") from error
        raise
    except ContentError as error:
        raise CommandError(
            "the server's application has answered, and not the server: "
            f"nobody may use telex top there {hint}"
        ) from error
    return answer


def _process(snapshot: Snapshot) -> str:
    shared = " (one of several processes, each for itself)" if snapshot.shares_address else ""
    return f"pid {snapshot.pid}{shared}"
