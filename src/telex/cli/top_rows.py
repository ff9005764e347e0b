"""What ``telex top`` shows of each connection: rates between two snapshots, sorted, as short text.

It is about numbers and text alone; terminals and servers are not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from telex.printable import printable

if TYPE_CHECKING:
    from telex.observation.administration import ConnectionState, Snapshot, Traffic

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


class Column(StrEnum):
    """A column of the table, by the name that ``--sort`` knows."""

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


TITLES: Final = {
    Column.NAME: "NAME",
    Column.IDENTITY: "IDENTITY",
    Column.AGE: "AGE",
    Column.MESSAGES_IN: "IN/s",
    Column.BYTES_IN: "B/s",
    Column.MESSAGES_OUT: "OUT/s",
    Column.BYTES_OUT: "B/s",
    Column.UNSENT: "UNSENT",
    Column.PARTIAL: "PARTIAL",
    Column.SLOWEST: "SLOWEST",
}

TEXTS: Final = (Column.NAME, Column.IDENTITY, Column.SLOWEST)
"""Columns that are text, and may be cut; all others are short numbers."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Messages or bytes a second, each way."""

    received: float
    sent: float


@dataclass(frozen=True, slots=True)
class Row:
    """A connection, and how fast it is."""

    state: ConnectionState
    messages: Rates
    bytes: Rates

    @property
    def who(self) -> str:
        """The name of the connection, and of its peer if it has one."""
        identity = self.state.identity
        name = self.state.name if identity is None else f"{self.state.name} ({identity})"
        return printable(name)

    def value(self, column: Column) -> str | float:
        """Return what the column is sorted by."""
        state = self.state
        values: dict[Column, str | float] = {
            Column.NAME: state.name,
            Column.IDENTITY: state.identity or "",
            Column.AGE: state.age,
            Column.MESSAGES_IN: self.messages.received,
            Column.BYTES_IN: self.bytes.received,
            Column.MESSAGES_OUT: self.messages.sent,
            Column.BYTES_OUT: self.bytes.sent,
            Column.UNSENT: state.unsent,
            Column.PARTIAL: state.partial,
            Column.SLOWEST: state.slowest.seconds,
        }
        return values[column]

    def text(self, column: Column) -> str:
        """Return what is shown, safe to print."""
        value = self.value(column)
        if column is Column.AGE:
            return short_time(self.state.age)
        if column is Column.SLOWEST:
            return self._slowest()
        return printable(value or "-") if isinstance(value, str) else short_number(value)

    def _slowest(self) -> str:
        slowest = self.state.slowest
        if not slowest.seconds:
            return "-"
        pattern = "(other)" if slowest.pattern is None else printable(slowest.pattern)
        return f"{short_seconds(slowest.seconds)}{'+' if slowest.is_running else ''} {pattern}"


def rows_of(snapshot: Snapshot, before: Snapshot | None) -> list[Row]:
    """Return a row for each connection; one that was not there before is measured by its age."""
    earlier = {} if before is None else {state.number: state for state in before.connections}
    elapsed = 0.0 if before is None else snapshot.now - before.now
    rows = []
    for state in snapshot.connections:
        past = earlier.get(state.number)
        seconds = state.age if past is None else elapsed
        received = _rates(state.received, None if past is None else past.received, seconds)
        sent = _rates(state.sent, None if past is None else past.sent, seconds)
        messages, sizes = zip(received, sent, strict=True)
        rows.append(Row(state, Rates(*messages), Rates(*sizes)))
    return rows


def sorted_rows(rows: list[Row], column: Column, *, is_reversed: bool = False) -> list[Row]:
    """Return the rows, texts from A to Z, numbers from the largest; ``is_reversed`` turns it."""
    by_number = sorted(rows, key=lambda row: row.state.number)
    is_text = column in (Column.NAME, Column.IDENTITY)
    return sorted(by_number, key=lambda row: row.value(column), reverse=is_text is is_reversed)


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
    """Write how long ago something was in at most four characters.

    >>> [short_time(seconds) for seconds in (5, 150, 7_300, 200_000)]
    ['5s', '2m', '2h', '2d']
    """
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def short_seconds(seconds: float) -> str:
    """Write how long something took.

    >>> [short_seconds(seconds) for seconds in (0.00002, 0.0123, 1.5, 90)]
    ['20us', '12ms', '1.5s', '90s']
    """
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f}us"
    if seconds < 1:
        return f"{seconds * 1e3:.0f}ms"
    return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"


def _rates(now: Traffic, before: Traffic | None, seconds: float) -> tuple[float, float]:
    """Return messages and bytes a second."""
    if seconds <= 0:
        return 0.0, 0.0
    messages = now.messages - (0 if before is None else before.messages)
    size = now.bytes - (0 if before is None else before.bytes)
    return messages / seconds, size / seconds
