"""How bad a network is: the numbers mean what they say, and wrong ones are refused."""

from __future__ import annotations

import random

import pytest

from telex.testing import Weather


@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        ({"largest_piece": 0}, "largest_piece must be at least 1, not 0"),
        ({"reset_every": -1}, "reset_every must be at least 1, not -1"),
        ({"delay_chance": 1.5}, "delay_chance must be from 0 to 1, not 1.5"),
        ({"stall_chance": -0.1}, "stall_chance must be from 0 to 1, not -0.1"),
        ({"longest_delay": -1.0}, "longest_delay must be at least 0 seconds, not -1.0"),
        ({"stall": float("nan")}, "stall must be at least 0 seconds, not nan"),
    ],
)
def test_what_no_network_can_be_is_refused(numbers: dict[str, float], complaint: str) -> None:
    """At once, and not when the first byte passes."""
    with pytest.raises(ValueError, match=complaint):
        Weather(**numbers)  # type: ignore[arg-type]


def test_fair_weather_does_nothing() -> None:
    """Without numbers, everything passes whole and at once, for ever."""
    weather, dice = Weather(), random.Random(1)
    assert weather.piece_size(1_000_000, dice) == 1_000_000
    assert weather.pause(dice) == 0.0
    assert weather.bytes_until_reset(dice) == float("inf")


def test_pieces_are_of_every_size() -> None:
    """Short ones are as likely as long ones, and none is longer than what is there."""
    weather, dice = Weather(largest_piece=1024), random.Random(1)
    sizes = [weather.piece_size(500, dice) for _ in range(10_000)]
    assert (min(sizes), max(sizes)) == (1, 500)
    shortest = sum(size < 2 for size in sizes)
    longest = sum(size >= 256 for size in sizes)
    assert 700 < shortest < 1300
    assert 1700 < longest < 2300


def test_chances_are_what_they_say() -> None:
    """So many pieces are held up, for so long, and so many are followed by a stall."""
    weather, dice = (
        Weather(delay_chance=0.2, longest_delay=3.0, stall_chance=0.1, stall=7.0),
        random.Random(1),
    )
    pauses = [weather.pause(dice) for _ in range(10_000)]
    assert 900 < pauses.count(7.0) < 1100
    assert 6700 < pauses.count(0.0) < 7300
    assert all(0 <= pause <= 3.0 or pause == 7.0 for pause in pauses)


def test_resets_come_after_so_much_on_the_average() -> None:
    """Sooner for some connections, later for others."""
    weather, dice = Weather(reset_every=1000), random.Random(1)
    amounts = [weather.bytes_until_reset(dice) for _ in range(10_000)]
    assert 950 < sum(amounts) / len(amounts) < 1050
    assert min(amounts) < 10 < 5000 < max(amounts)
