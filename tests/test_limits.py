"""The limits: their defaults, and the values they refuse."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from telex import Limits

TIMES = ("header_timeout", "handshake_timeout", "ping_interval", "ping_timeout", "drain_timeout")


def test_the_defaults_are_the_documented_ones() -> None:
    """Who sets nothing is held to the published limits."""
    assert dataclasses.asdict(Limits()) == {
        "max_header_size": 16_384,
        "max_content_size": 16_777_216,
        "max_buffered": 268_435_456,
        "max_connections": 10_000,
        "header_timeout": 10.0,
        "min_rate": 1_024,
        "handshake_timeout": 10.0,
        "idle_timeout": None,
        "ping_interval": 20.0,
        "ping_timeout": 20.0,
        "max_pending": 1_024,
        "high_water": 1_048_576,
        "drain_timeout": 10.0,
    }


@pytest.mark.parametrize(
    ("limit", "smallest", "largest"),
    [
        ("max_header_size", 2, 65_535),
        ("max_content_size", 0, 2**53 - 1),
        ("max_buffered", 1, 2**62),
        ("max_connections", 1, 2**62),
        ("min_rate", 0, 2**62),
        ("max_pending", 1, 2**62),
        ("high_water", 1, 2**62),
        ("idle_timeout", 1e-9, None),
        *((name, 1e-9, float("inf")) for name in TIMES),
    ],
)
def test_a_limit_takes_its_whole_range(limit: str, smallest: Any, largest: Any) -> None:
    """The smallest and the largest value that make sense are accepted."""
    for value in (smallest, largest):
        assert getattr(Limits(**{limit: value}), limit) == value


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("max_header_size", 1),
        *((name, 2**53) for name in TIMES),
        ("max_header_size", 65_536),
        ("max_content_size", -1),
        ("max_content_size", 2**53),
        ("max_buffered", 0),
        ("max_connections", 0),
        ("max_pending", 0),
        ("high_water", 0),
        ("min_rate", -1),
        ("idle_timeout", 0),
        *((name, value) for name in TIMES for value in (0, -1.5, float("nan"))),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(limit: str, value: Any) -> None:
    """The error names the limit and the value, so that nobody has to search for it."""
    with pytest.raises(ValueError, match=rf"{limit} must be .*not {value}"):
        Limits(**{limit: value})


@pytest.mark.parametrize(
    ("limit", "value", "sentence"),
    [
        ("max_content_size", "1MB", "a whole number, not '1MB' (str)"),
        ("max_header_size", None, "a whole number, not None (NoneType)"),
        ("max_buffered", 1.5e9, "a whole number, not 1500000000.0 (float)"),
        ("max_connections", b"9", "a whole number, not b'9' (bytes)"),
        ("min_rate", "1", "a whole number, not '1' (str)"),
        ("max_pending", "1", "a whole number, not '1' (str)"),
        ("high_water", [1], "a whole number, not [1] (list)"),
        ("idle_timeout", "60", "a number of seconds, not '60' (str)"),
        *((name, None, "a number of seconds, not None (NoneType)") for name in TIMES),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(limit: str, value: Any, sentence: str) -> None:
    """So is what is no number: sizes are in bytes, times in seconds."""
    with pytest.raises(TypeError) as caught:
        Limits(**{limit: value})
    assert str(caught.value) == f"{limit} must be {sentence}"


def test_limits_cannot_be_changed_once_they_hold() -> None:
    """A limit that a connection relies on stays what it was."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().high_water = 5  # type: ignore[misc]
