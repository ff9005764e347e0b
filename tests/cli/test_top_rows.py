"""The rows of ``telex top``: rates, order, and numbers that fit into their columns."""

from __future__ import annotations

from typing import Any

import pytest

from telex.cli.top_rows import (
    Column,
    rows_of,
    short_number,
    short_time,
)
from telex.observation.administration import ConnectionState, Slowest, Snapshot, Traffic


def state(number: int, **facts: Any) -> ConnectionState:
    """Make the state of a connection that does nothing, but for these facts."""
    facts = {
        "name": f"127.0.0.1:{number}",
        "identity": None,
        "age": 10.0,
        "received": Traffic(0, 0),
        "sent": Traffic(0, 0),
        "waiting": 0,
        "partial": 0,
        "unsent": 0,
        "slowest": Slowest(None, 0.0, False),
        **facts,
    }
    return ConnectionState(number=number, **facts)


def snapshot(now: float, *states: ConnectionState) -> Snapshot:
    """Make a snapshot of these connections."""
    return Snapshot("0", 1, False, now, now, 1, list(states))


def test_rates_are_those_between_two_snapshots() -> None:
    """The rates of a connection that is new are those since it began."""
    before = snapshot(100.0, state(1, received=Traffic(10, 1000), sent=Traffic(5, 50)))
    now = snapshot(
        102.0,
        state(1, received=Traffic(30, 5000), sent=Traffic(6, 52)),
        state(2, age=4.0, received=Traffic(8, 40)),
    )
    known, new = [row.values for row in rows_of(now, before, Column.NAME)]
    assert (known[Column.MESSAGES_IN], known[Column.MESSAGES_OUT]) == (10.0, 0.5)
    assert (known[Column.BYTES_IN], known[Column.BYTES_OUT]) == (2000.0, 1.0)
    assert (new[Column.MESSAGES_IN], new[Column.BYTES_IN]) == (2.0, 10.0)


def test_rates_over_no_time_are_zero() -> None:
    """A connection may be 0 s old, and two snapshots may be of the same moment."""
    new = snapshot(1.0, state(1, age=0.0, sent=Traffic(1, 1)))
    assert rows_of(new, None, Column.NAME)[0].values[Column.MESSAGES_OUT] == 0
    same = snapshot(1.0, state(1, received=Traffic(1, 1)))
    assert rows_of(same, same, Column.NAME)[0].values[Column.BYTES_IN] == 0


@pytest.mark.parametrize("column", Column)
def test_every_column_sorts(column: Column) -> None:
    """Numbers begin with the largest, texts with A; the reversed order is the opposite."""
    low = state(1, name="a", identity="a")
    high = state(
        2,
        name="b",
        identity="b",
        age=20.0,
        received=Traffic(900, 900),
        sent=Traffic(900, 900),
        unsent=9,
        partial=9,
        slowest=Slowest("x", 9.0, False),
    )
    now, before = snapshot(5.0, high, low), snapshot(4.0, state(1), state(2))
    numbers = [row.state.number for row in rows_of(now, before, column)]
    assert numbers == ([1, 2] if column in (Column.NAME, Column.IDENTITY) else [2, 1])
    backwards = rows_of(now, before, column, is_reversed=True)
    assert [row.state.number for row in backwards] == numbers[::-1]


def test_text_of_a_peer_cannot_drive_the_terminal() -> None:
    """Names and identities are shown with escapes."""
    now = snapshot(1.0, state(1, name="\x1b[31m", identity="\u202e"))
    [row] = rows_of(now, None, Column.NAME)
    assert all(row.text(column).isprintable() for column in Column)


def test_a_handler_that_still_runs_is_marked() -> None:
    """A plus says that its time still grows; the handler of other subjects has a name too."""
    slowest = {
        "1.5s+ a.*": Slowest("a.*", 1.5, True),
        "20ms (other)": Slowest(None, 0.02, False),
        "-": Slowest(None, 0.0, False),
    }
    for text, fact in slowest.items():
        [row] = rows_of(snapshot(1.0, state(1, slowest=fact)), None, Column.NAME)
        assert row.text(Column.SLOWEST) == text


def test_numbers_are_short() -> None:
    """A number has at most five characters, and a duration at most six."""
    numbers = [10.0**power * factor for power in range(-2, 15) for factor in (1, 3.14, 9.96, 9.999)]
    assert max(len(short_number(number)) for number in numbers) <= 5
    seconds = [10.0**power * factor for power in range(-7, 9) for factor in (1, 3.14, 9.96, 9.999)]
    assert max(len(short_time(number)) for number in seconds) <= 6
