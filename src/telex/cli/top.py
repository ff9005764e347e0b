"""``telex top``: the connections of a running server, in a table that is kept up to date."""

from __future__ import annotations

import contextlib
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
from telex.cli.terminal import standard_output
from telex.cli.top_rows import TITLES, Column, rows_of, sorted_rows
from telex.cli.top_view import View, headline
from telex.observation.administration import CLOSE, LIST, CloseOrder, Snapshot
from telex.printable import printable

if TYPE_CHECKING:
    from telex import Message
    from telex.sync import Connection

_PATIENCE: Final = 10.0
"""Seconds that a server has for an answer before there is none."""

_LARGEST: Final = 256 * 1024 * 1024
"""Bytes that a snapshot may have."""


def top(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", hidden=True, show_default=False)
    ] = DEFAULT_ADDRESS,
    interval: Annotated[
        float, typer.Option("--interval", "-i", metavar="SECONDS", help="The time between two.")
    ] = 1.0,
    sort: Annotated[
        Column,
        typer.Option(metavar="COLUMN", help="What to sort by at first; see above."),
    ] = Column.MESSAGES_IN,
    once: Annotated[
        bool, typer.Option("--once", metavar="", help="Print one table, and end.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print what the server says, as JSON.")
    ] = False,
    token_file: TokenFile = None,
    ca: Authority = None,
    cert: Certificate = None,
    key: Key = None,
    insecure: Insecure = False,
) -> None:
    """Watch the connections of a running server, and close one.

    ADDRESS is where it listens: tcp:// or tls://HOST:PORT, or unix://PATH. It
    answers those whom telex serve --admin NAME names, by token or certificate,
    and at a Unix socket who runs as the same user as the server, or as root.

    Columns to sort by: name, identity, age, in and out (messages a second),
    bytes-in and bytes-out (a second), unsent and partial (bytes), slowest (the
    handler that took longest; + says that it is still at work).

    Keys: left and right choose the column, r turns the order round, up and down
    choose a connection, x closes it when y confirms that, q ends.

    Where no terminal is, it prints one table and ends, as with --once: rates are
    those of one interval. With --json it prints at once all that was counted.
    With several workers, one of them answers, for its own connections.

    The variable TELEX_TOKEN holds the token where there is no --token-file.
    """
    refuse_if(not interval > 0, "--interval: it must be more than 0")
    destination = read_destination(address, token_file, ca, cert, key, insecure, option="ADDRESS")
    limits = Limits(max_content_size=_LARGEST, max_buffered=2 * _LARGEST)
    with errors_only(), destination.connect(limits) as connection:
        operator = _Operator(connection)
        if as_json:
            standard_output().line(in_ascii(operator.answer().body.decode("utf-8")))
        elif once or not (sys.stdin.isatty() and sys.stdout.isatty()):
            _print_once(operator, str(destination.address), sort, interval)
        else:
            with contextlib.suppress(KeyboardInterrupt):
                _watch(operator, str(destination.address), sort, interval)


class _Operator:
    """Asks the server, and says in a sentence what is wrong if it does not answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection: Final = connection

    def answer(self) -> Message:
        """Return what the server says of its connections.

        Raises CommandError, and RequestTimeoutError.
        """
        try:
            answer = self._connection.request(None, subject=LIST, timeout=_PATIENCE)
            answer.decode(Snapshot)
        except RemoteError as error:
            raise CommandError(_explained(error)) from error
        except ContentError as error:
            raise CommandError(
                "the server's application has answered, and not the server: "
                "nobody may use telex top there (see: telex serve --admin)"
            ) from error
        return answer

    def snapshot(self) -> Snapshot:
        """Return it as what it means; see ``answer``."""
        return self.answer().decode(Snapshot)

    def close(self, number: int) -> str:
        """Close a connection; return a sentence about it."""
        try:
            order = CloseOrder(number)
            answer = self._connection.request(order, subject=CLOSE, timeout=_PATIENCE)
        except (RemoteError, RequestTimeoutError) as error:
            return printable(str(error))
        try:
            return f"{printable(answer.decode(dict[str, str])['closed'])} is closed"
        except (ContentError, KeyError):
            return "the server has answered something else than that it is closed"


def _explained(error: RemoteError) -> str:
    """Say what is missing when a server does not answer an operator."""
    if error.code == "unauthorized":
        return f"{error.detail} (see: telex serve --admin)"
    if error.code == "no-handler":
        return "nobody may use telex top at this server (see: telex serve --admin)"
    return str(error)


def _print_once(operator: _Operator, where: str, column: Column, interval: float) -> None:
    """Print one table, with the rates of one interval."""
    before = operator.snapshot()
    time.sleep(interval)
    snapshot = operator.snapshot()
    rows = sorted_rows(rows_of(snapshot, before), column)
    cells = [[TITLES[column] for column in Column]]
    cells += [[row.text(column) for column in Column] for row in rows]
    widths = [max(map(len, texts)) for texts in zip(*cells, strict=True)]
    lines = standard_output()
    lines.line((headline(where, snapshot), "bold"))
    for texts in cells:
        padded = (text.ljust(width) for text, width in zip(texts, widths, strict=True))
        lines.line("  ".join(padded).rstrip())


def _watch(operator: _Operator, where: str, column: Column, interval: float) -> None:
    """Show the table until a key ends it."""
    from rich.console import Console
    from rich.live import Live

    from telex.cli.keys import Keys

    view = View(column, where, operator.close)
    view.take(operator.snapshot())  # what is wrong is said before the screen is taken
    asked_at = time.monotonic()
    console = Console(highlight=False)
    with (
        Keys(sys.stdin) as keys,
        Live(view, console=console, screen=True, auto_refresh=False) as live,
    ):
        while not view.is_over:
            live.refresh()
            pressed = keys.next(asked_at + interval - time.monotonic())
            if pressed is not None:
                view.press(pressed)
                continue
            asked_at = time.monotonic()
            try:
                view.take(operator.snapshot())
            except RequestTimeoutError as late:
                view.notice(str(late))
