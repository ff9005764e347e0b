"""The screen of ``telex top``: what it shows, and what keys change."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from telex.cli import keys
from telex.cli.top_rows import TITLES, Column
from telex.cli.top_view import View
from telex.observation.administration import Slowest, Snapshot, Traffic
from tests.cli.test_top_rows import snapshot, state

HEAD = 3
"""Lines above the first connection."""


class Screen:
    """A view of some connections, drawn on a terminal that is so large."""

    def __init__(self, *connections: Any, width: int = 80, height: int = 12) -> None:
        self.closed: list[int] = []
        self.view = View(Column.NAME, "tcp://h:1", self._close)
        self._size = width, height
        self.show(snapshot(1.0, *connections))

    def show(self, now: Snapshot) -> None:
        """Take a snapshot."""
        self.view.take(now)

    def press(self, *pressed: str) -> list[str]:
        """Press keys; return what is drawn then."""
        for key in pressed:
            self.view.press(key)
        return self.lines

    @property
    def lines(self) -> list[str]:
        """What is drawn, line by line, with a ``>`` before what is drawn in reverse."""
        width, height = self._size
        stream = io.StringIO()
        console = Console(
            file=stream, width=width, height=height, force_terminal=True, color_system="standard"
        )
        console.print(self.view, end="")
        drawn = stream.getvalue().removesuffix("\n").split("\n")
        return [_marked(line) for line in drawn]

    def _close(self, number: int) -> str:
        self.closed.append(number)
        return f"{number} is closed"


def _marked(line: str) -> str:
    from rich.text import Text

    return (">" if line.startswith("\x1b[7m") else "") + Text.from_ansi(line).plain.rstrip()


def names(lines: list[str]) -> list[str]:
    """Return the connections that are shown, by name."""
    shown = (line.split()[0] for line in lines[HEAD:-1] if line.strip())
    return [name.removeprefix(">") for name in shown]


def test_every_column_fits_into_80_with_whole_names() -> None:
    """The port tells connections apart, so names are the last to be cut, and at their beginning."""
    slowest = Slowest("a.pattern.that.is.long.>", 1.5, True)
    screen = Screen(state(65535, identity="pump-7", slowest=slowest), state(2, name="n" * 90 + "!"))
    lines = screen.lines
    assert max(map(len, lines)) <= 80
    assert lines[HEAD].startswith("127.0.0.1:65535")
    assert any(line.split()[0].endswith("!") for line in lines[HEAD:-1] if line.strip())
    assert lines[HEAD - 1].split() == list(TITLES.values())


def test_rates_go_before_a_name_is_cut() -> None:
    """Those of bytes first, but never what is sorted by."""
    name = "[2001:db8::1234:5678]:65535"
    screen = Screen(state(1, name=name))
    titles, line = screen.lines[HEAD - 1 : HEAD + 1]
    assert line.startswith(name)
    assert " ".join(titles.split()) == "NAME IDENTITY AGE IN/s OUT/s UNSENT PARTIAL SLOWEST"
    screen.press(*[keys.LEFT] * 4)
    titles, line = screen.lines[HEAD - 1 : HEAD + 1]
    assert line.startswith(name)
    assert " ".join(titles.split()) == "NAME IDENTITY AGE IN/s B/s UNSENT PARTIAL SLOWEST"


def test_arrows_move_through_more_connections_than_there_are_lines() -> None:
    """The selected one is always on the screen."""
    screen = Screen(*[state(number, name=f"n{number:03}") for number in range(30)])
    assert names(screen.lines) == [f"n{number:03}" for number in range(8)]
    assert names(screen.press(*[keys.DOWN] * 20))[-1] == "n019"
    assert any(line.startswith(">n019") for line in screen.lines)
    assert names(screen.press(*["k"] * 50))[0] == "n000"
    assert names(screen.press(*["j"] * 50))[-1] == "n029"


def test_left_and_right_sort_and_r_reverses() -> None:
    """The title of the column is marked."""
    screen = Screen(state(1, name="a", age=5.0), state(2, name="b", age=9.0))
    assert names(screen.lines) == ["a", "b"]
    assert names(screen.press("r")) == ["b", "a"]
    assert names(screen.press(keys.RIGHT, keys.RIGHT)) == ["b", "a"]
    assert names(screen.press("r")) == ["a", "b"]
    assert names(screen.press(keys.LEFT, keys.LEFT)) == ["a", "b"]
    screen.press(keys.LEFT)
    assert screen.view.is_over is False


def test_a_connection_is_closed_when_that_is_confirmed() -> None:
    """Any other key than y leaves it alone, and without a selection there is nothing to close."""
    screen = Screen(state(7, name="a", identity="ops"), state(8, name="b"))
    assert screen.press("x")[-1].startswith("left/right")
    assert screen.press(keys.DOWN, "x")[-1] == "close a (ops)? y or n"
    assert screen.press("q")[-1] == "nothing was closed"
    assert screen.closed == []
    assert screen.press("x", "y")[-1] == "7 is closed"
    assert screen.closed == [7]


def test_a_connection_that_goes_while_one_is_asked_is_not_mistaken_for_another() -> None:
    """What is closed is who was asked about, or nobody."""
    screen = Screen(state(7, name="a"), state(8, name="b"))
    screen.press(keys.DOWN, "x")
    screen.show(snapshot(2.0, state(8, name="b")))
    assert screen.press("y")[-1] == "it has gone by itself"
    assert screen.closed == []


@pytest.mark.parametrize("key", ["q", keys.END])
def test_q_ends_it(key: str) -> None:
    """So does a keyboard that goes away."""
    screen = Screen()
    assert names(screen.press(keys.DOWN)) == []
    screen.press(key)
    assert screen.view.is_over


def test_before_the_first_answer_it_says_what_it_waits_for() -> None:
    """A late answer is said at the foot, until a key is pressed."""
    screen = Screen()
    screen.view = View(Column.NAME, "tcp://h:1", lambda number: "")
    assert screen.lines[0] == "tcp://h:1: waiting for an answer"
    screen.view.notice("it is late")
    assert screen.lines[-1] == "it is late"
    assert screen.press("j")[-1].startswith("left/right")


def test_the_head_counts_and_says_when_there_are_other_processes() -> None:
    """Messages that wait are told when there are any."""
    screen = Screen(state(1, waiting=3, received=Traffic(3, 3)))
    assert screen.lines[0] == "tcp://h:1  pid 1  1 connection  3 waiting"
    screen.show(Snapshot("0", 5, True, 1.0, 1.0, 1, []))
    assert screen.lines[0] == (
        "tcp://h:1  pid 5 (one of several processes, each for itself)  0 connections"
    )
