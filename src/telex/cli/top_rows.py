"""The rows of ``telex top``: the facts of each connection, sorted, as short text.

This module knows numbers and text; it knows no terminal and no server.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from telex.observation.administration import Traffic
from telex.printable import printable

if TYPE_CHECKING:
    from telex.observation.administration import ConnectionState, Snapshot

_NO_TRAFFIC: Final = Traffic(0, 0)


class Column(StrEnum):
    """A column of the table, by the name that ``--sort`` takes."""

    NAME = "name"
    IDENTITY = "identity"
    AGE = "age"
    MESSAGES_IN = "in"
    BYTES_IN = "bytes-in"
    MESSAGES_OUT = "out"
    BYTES_OUT = "bytes-out"
    UNSENT = "unsent"
    PARTIAL = "partial"
    SLOWEST = "slowest"

    @property
    def heading(self) -> str:
        """The title in the table; to be short, it is the same for bytes of both directions."""
        if self in (Column.BYTES_IN, Column.BYTES_OUT):
            return "B/s"
        is_rate = self in (Column.MESSAGES_IN, Column.MESSAGES_OUT)
        return f"{self.upper()}/s" if is_rate else self.upper()


TEXTS: Final = (Column.NAME, Column.IDENTITY, Column.SLOWEST)
"""Columns that begin at the left; all others are short numbers."""


class Row:
    """A connection; its rates are those since ``past``, its state ``seconds`` earlier."""

    def __init__(
        self, state: ConnectionState, past: ConnectionState | None, seconds: float
    ) -> None:
        self.state: Final = state
        received, sent = (past.received, past.sent) if past else (_NO_TRAFFIC, _NO_TRAFFIC)
        elapsed = seconds if past else state.age

        def rate(now: int, before: int) -> float:
            return (now - before) / elapsed if elapsed > 0 else 0.0

        self.values: Final[dict[Column, str | float]] = {
            Column.NAME: state.name,
            Column.IDENTITY: state.identity or "",
            Column.AGE: state.age,
            Column.MESSAGES_IN: rate(state.received.messages, received.messages),
            Column.BYTES_IN: rate(state.received.bytes, received.bytes),
            Column.MESSAGES_OUT: rate(state.sent.messages, sent.messages),
            Column.BYTES_OUT: rate(state.sent.bytes, sent.bytes),
            Column.UNSENT: state.unsent,
            Column.PARTIAL: state.partial,
            Column.SLOWEST: state.slowest.seconds,
        }
        """What each column is sorted by."""

    def text(self, column: Column) -> str:
        """Return the text of a cell, safe to print."""
        value = self.values[column]
        if isinstance(value, str):
            return printable(value or "-")
        if column is Column.AGE:
            return short_time(value)
        if column is not Column.SLOWEST:
            return short_number(value)
        slowest = self.state.slowest
        if not slowest.seconds:
            return "-"
        pattern = "(other)" if slowest.pattern is None else printable(slowest.pattern)
        return f"{short_time(value)}{'+' if slowest.is_running else ''} {pattern}"


def rows_of(
    snapshot: Snapshot, before: Snapshot | None, column: Column, is_reversed: bool = False
) -> list[Row]:
    """Return a row for each connection, with the rates since ``before``, or since it began.

    They are sorted by ``column``: text from A to Z, numbers from the largest, or reversed.
    """
    earlier = {state.number: state for state in before.connections} if before else {}
    seconds = snapshot.now - before.now if before else 0.0
    states = sorted(snapshot.connections, key=lambda state: state.number)
    rows = [Row(state, earlier.get(state.number), seconds) for state in states]
    is_ascending = column in (Column.NAME, Column.IDENTITY)
    return sorted(rows, key=lambda row: row.values[column], reverse=is_ascending is is_reversed)


def short_number(number: float) -> str:
    """Write a number in at most five characters.

    >>> [short_number(number) for number in (0, 0.25, 999, 1_234, 56_789, 4_000_000)]
    ['0', '0.2', '999', '1.2k', '57k', '4.0M']
    """
    if 0 < number < 10 and number != int(number):
        return f"{number:.1f}"
    for unit in ("", "k", "M", "G", "T"):
        if round(number) < 1000 or unit == "T":
            break
        number /= 1000
    return f"{number:.1f}{unit}" if unit and number < 9.95 else f"{number:.0f}{unit}"


def short_time(seconds: float) -> str:
    """Write a duration in at most six characters.

    >>> [short_time(seconds) for seconds in (0.00002, 0.0123, 1.5, 90, 150, 7_300, 200_000)]
    ['20us', '12ms', '1.5s', '90s', '2m', '2h', '2d']
    """
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f}{unit}"
    if seconds >= 1:
        return f"{seconds:.1f}s" if seconds < 9.95 else f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f}us"
