"""Keys of a terminal, one by one, and the terminal as it was afterwards."""

from __future__ import annotations

import os
import pty
import termios
from collections.abc import Iterator

import pytest

from telex.cli.keys import DOWN, END, LEFT, RIGHT, UP, Keys, keys_in

PATIENCE = 10.0


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Open a terminal; give the end of the person and that of the program."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("qx", ["q", "x"]),
        ("\x1b[A\x1b[B\x1b[C\x1b[D", [UP, DOWN, RIGHT, LEFT]),
        ("\x1bOAj", [UP, "j"]),
        ("\x1b[15~\x1b[1;5Pq", ["q"]),
        ("é", ["é"]),
        ("", []),
    ],
)
def test_what_a_terminal_sends_is_keys(sent: str, keys: list[str]) -> None:
    """Arrows have names, and keys that mean nothing here are left out whole."""
    assert keys_in(sent) == keys


def test_keys_come_without_a_line_and_in_order(terminal: tuple[int, int]) -> None:
    """Several that came at once are given one after the other, and then there is none."""
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    with os.fdopen(theirs, closefd=False) as stream, Keys(stream) as keys:
        os.write(ours, b"\x1b[Ax")
        assert [keys.next(PATIENCE), keys.next(PATIENCE), keys.next(0)] == [UP, "x", None]
    assert termios.tcgetattr(theirs) == before


def test_a_terminal_that_goes_away_is_the_end(terminal: tuple[int, int]) -> None:
    """Ctrl-D, or nobody there any more, ends what waits for keys."""
    reading, writing = os.pipe()
    ours, theirs = terminal
    with os.fdopen(theirs, closefd=False) as stream, Keys(stream) as keys:
        os.dup2(reading, theirs)
        os.close(writing)
        os.close(reading)
        assert keys.next(PATIENCE) == END
        os.dup2(ours, theirs)
