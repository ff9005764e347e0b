"""The screen of ``telex top``: a table that is sorted, moved in and closed from by keys.

It knows what is shown and what a key changes. Where snapshots come from, and who closes a
connection, it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from telex.cli import keys
from telex.cli.sizes import counted
from telex.cli.top_rows import TEXTS, TITLES, Column, Row, rows_of, short_number, sorted_rows
from telex.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, ConsoleOptions, RenderResult

    from telex.observation.administration import Snapshot

_HELP: Final = "left/right sort  r reverse  up/down select  x close  q quit"
_NUMBER_WIDTH: Final = 5
_WIDE: Final = {Column.AGE: 4, Column.UNSENT: 6, Column.PARTIAL: 7}
_LEAST: Final = {Column.NAME: 8, Column.IDENTITY: 8, Column.SLOWEST: 10}
"""How wide texts are at least; the rest of the line goes to them in this order."""
_DISPENSABLE: Final = (
    Column.BYTES_OUT,
    Column.BYTES_IN,
    Column.MESSAGES_OUT,
    Column.MESSAGES_IN,
)
"""Columns that are left out before a name is cut, in this order."""

_LINES_AROUND: Final = 4
"""Lines that are no row: the head, an empty one, the titles, and the foot."""


class View:
    """What is shown; Rich renders it as large as the terminal is."""

    def __init__(self, column: Column, where: str, close: Callable[[int], str]) -> None:
        self.is_over: bool = False
        """Whether the user has had enough."""
        self._column = column
        self._is_reversed = False
        self._where: Final = where
        self._close: Final = close
        self._snapshot: Snapshot | None = None
        self._rows: list[Row] = []
        self._selected: int | None = None
        self._first = 0
        self._is_asking = False
        self._notice = ""

    def take(self, snapshot: Snapshot) -> None:
        """Show this from now on."""
        self._rows = rows_of(snapshot, self._snapshot)
        self._snapshot = snapshot
        self._sort()

    def notice(self, sentence: str) -> None:
        """Show a sentence at the foot until a key is pressed."""
        self._notice = sentence

    def press(self, key: str) -> None:
        """Do what a key is for."""
        self._notice = ""
        if self._is_asking:
            self._answer(key)
        elif key in ("q", keys.END):
            self.is_over = True
        elif key in (keys.LEFT, keys.RIGHT):
            self._sort_by_next(1 if key == keys.RIGHT else -1)
        elif key == "r":
            self._is_reversed = not self._is_reversed
            self._sort()
        elif key in (keys.UP, "k"):
            self._move(-1)
        elif key in (keys.DOWN, "j"):
            self._move(1)
        elif key == "x" and self._selected_row() is not None:
            self._is_asking = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or console.height
        yield from self._head()
        yield self._table(max(1, height - _LINES_AROUND), options.max_width)
        yield self._foot()

    def _sort(self) -> None:
        self._rows = sorted_rows(self._rows, self._column, is_reversed=self._is_reversed)

    def _sort_by_next(self, step: int) -> None:
        columns = list(Column)
        self._column = columns[(columns.index(self._column) + step) % len(columns)]
        self._is_reversed = False
        self._sort()

    def _position(self) -> int | None:
        """Return where the selected connection is now, if it is still there."""
        numbers = [row.state.number for row in self._rows]
        return numbers.index(self._selected) if self._selected in numbers else None

    def _selected_row(self) -> Row | None:
        position = self._position()
        return None if position is None else self._rows[position]

    def _move(self, step: int) -> None:
        if not self._rows:
            return
        position = self._position()
        wanted = 0 if position is None else position + step
        self._selected = self._rows[max(0, min(wanted, len(self._rows) - 1))].state.number

    def _answer(self, key: str) -> None:
        """Close the selected connection if that is what was said."""
        row = self._selected_row()
        self._is_asking = False
        if key != "y":
            self._notice = "nothing was closed"
        elif row is None:
            self._notice = "it has gone by itself"
        else:
            self._notice = self._close(row.state.number)

    def _head(self) -> list[Text]:
        head = Text(no_wrap=True, overflow="ellipsis")
        if self._snapshot is None:
            return [head.append(f"{self._where}: waiting for an answer"), Text()]
        head.append(headline(self._where, self._snapshot), "bold")
        return [head, Text()]

    def _table(self, room: int, width: int) -> Table:
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
        widths = self._widths(width)
        for column in widths:
            table.add_column(
                Text(TITLES[column], "bold reverse" if column is self._column else "bold"),
                justify="left" if column in TEXTS else "right",
                no_wrap=True,
                overflow="ellipsis",
                width=widths[column],
            )
        position = self._position() or 0
        self._first = max(min(self._first, position), position - room + 1, 0)
        for row in self._rows[self._first : self._first + room]:
            cells = {column: row.text(column) for column in widths}
            cells[Column.NAME] = _end_of(cells[Column.NAME], widths[Column.NAME])
            is_selected = row.state.number == self._selected
            texts = [Text(text) for text in cells.values()]
            table.add_row(*texts, style="reverse" if is_selected else "")
        return table

    def _widths(self, width: int) -> dict[Column, int]:
        """Say how wide each column is that is shown: fewer where only so names are whole."""
        dispensable = [column for column in _DISPENSABLE if column is not self._column]
        longest = max([len(row.text(Column.NAME)) for row in self._rows], default=0)
        for count in range(len(dispensable) + 1):
            shown = [column for column in Column if column not in dispensable[:count]]
            widths = self._widths_of(shown, width)
            if widths[Column.NAME] >= longest:
                return widths
        return self._widths_of(list(Column), width)

    def _widths_of(self, shown: list[Column], width: int) -> dict[Column, int]:
        """Say how wide these columns are: texts as wide as they need, as far as there is room."""
        widths = {column: _WIDE.get(column, _NUMBER_WIDTH) for column in shown}
        widths.update(_LEAST)
        left = max(0, width - sum(widths.values()) - (len(widths) - 1))
        for column, least in _LEAST.items():
            longest = max([len(row.text(column)) for row in self._rows], default=0)
            more = min(left, max(0, longest - least))
            widths[column] += more
            left -= more
        widths[Column.SLOWEST] += left
        return widths

    def _foot(self) -> Text:
        row = self._selected_row()
        if self._is_asking and row is not None:
            foot = Text(f"close {row.who}? y or n", "bold red")
        else:
            foot = Text(self._notice or _HELP, "yellow" if self._notice else "dim")
        foot.no_wrap, foot.overflow = True, "ellipsis"
        return foot


def headline(where: str, snapshot: Snapshot) -> str:
    """Say in a line which process answers, and for how many connections."""
    process = f"pid {snapshot.pid}"
    if snapshot.shares_address:
        process += " (one of several processes, each for itself)"
    waiting = sum(state.waiting for state in snapshot.connections)
    count = counted(len(snapshot.connections), "connection")
    told = f"{printable(where)}  {process}  {count}"
    return f"{told}  {short_number(waiting)} waiting" if waiting else told


def _end_of(name: str, width: int) -> str:
    """Return a name so that it fits, without its beginning: at its end is what tells it apart."""
    return name if len(name) <= width else f"…{name[len(name) - width + 1 :]}"
