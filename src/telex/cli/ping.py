"""``telex ping``: tests whether a server answers, and measures the round-trip time."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from telex import Limits, WaitTimeoutError
from telex.cli.destination import (
    Authority,
    Certificate,
    Insecure,
    Key,
    To,
    TokenFile,
    read_destination,
)
from telex.cli.failure import CommandError
from telex.cli.log import errors_only
from telex.cli.options import DEFAULT_ADDRESS, refuse_if
from telex.cli.sizes import counted
from telex.cli.terminal import standard_output
from telex.seconds import pause_of

if TYPE_CHECKING:
    from telex.cli.terminal import Lines
    from telex.sync import Connection


def ping(
    to: To = DEFAULT_ADDRESS,
    count: Annotated[
        int | None,
        typer.Option("--count", "-c", metavar="N", help="End after N pings, not at Ctrl-C."),
    ] = None,
    interval: Annotated[
        float,
        typer.Option("--interval", "-i", metavar="SECONDS", help="The pause between two pings."),
    ] = 1.0,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait for each answer.")
    ] = 10.0,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", metavar="", help="Print the summary only.")
    ] = False,
    token_file: TokenFile = None,
    ca: Authority = None,
    cert: Certificate = None,
    key: Key = None,
    insecure: Insecure = False,
) -> None:
    """Measure how long a message takes to a server and back, once a second.

    Ctrl-C ends it, or --count. The last line sums up: how many were answered, and
    the shortest, the median and the longest time.

    The exit code is 1 if there was no answer at all, or the connection ended.

    The variable TELEX_TOKEN holds the token where there is no --token-file.
    """
    refuse_if(count is not None and count < 1, "--count: it must be at least 1")
    refuse_if(not interval >= 0, "--interval: it must not be negative")
    refuse_if(not timeout > 0, "--timeout: it must be more than 0")
    destination = read_destination(to, token_file, ca, cert, key, insecure)
    lines = standard_output()
    with errors_only(), destination.connect(Limits()) as connection:
        pings = _Pings(connection, timeout, None if quiet else lines)
        try:
            with contextlib.suppress(KeyboardInterrupt):
                pings.run(count, interval)
        finally:
            lines.line((pings.summary(), "bold"))
        if not pings.times:
            raise CommandError(f"no answer from {destination.address}")


class _Pings:
    """Pings over one connection, and their round-trip times."""

    def __init__(self, connection: Connection, timeout: float, lines: Lines | None) -> None:
        self.times: Final[list[float]] = []
        self._sent = 0
        self._connection: Final = connection
        self._timeout: Final = timeout
        self._lines: Final = lines

    def run(self, count: int | None, interval: float) -> None:
        """Ping until ``count`` is reached, with pauses of ``interval`` seconds."""
        for number in itertools.count(1) if count is None else range(1, count + 1):
            if number > 1:
                time.sleep(pause_of(interval, "interval"))
            self._say(f"{self._connection.peer_address}: {self._ping()}")

    def summary(self) -> str:
        """Return the last line: how many were answered, and the times."""
        told = f"{counted(self._sent, 'ping')}, {len(self.times):,} answered"
        if not self.times:
            return told
        low, middle, high = min(self.times), statistics.median(self.times), max(self.times)
        summary = "/".join(map(milliseconds, (low, middle, high)))
        return f"{told}; min/median/max {summary} ms"

    def _ping(self) -> str:
        self._sent += 1
        try:
            seconds = self._connection.ping(self._timeout)
        except WaitTimeoutError:
            return f"ping {self._sent:,}: no answer within {self._timeout:g} s"
        self.times.append(seconds)
        return f"ping {self._sent:,}: {milliseconds(seconds)} ms"

    def _say(self, line: str) -> None:
        if self._lines is not None:
            self._lines.line(line)


def milliseconds(seconds: float) -> str:
    """Write seconds in milliseconds, to the microsecond."""
    return f"{seconds * 1000:.3f}"
