"""Sizes: read as people write them, and written so that they read well."""

from __future__ import annotations

import pytest

from telex.cli.sizes import counted, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("20", 20),
        ("20B", 20),
        ("64KiB", 65_536),
        ("64 kib", 65_536),
        ("16MiB", 16_777_216),
        ("1GiB", 1_073_741_824),
        ("3kB", 3_000),
        (" 100MB ", 100_000_000),
        ("2GB", 2_000_000_000),
    ],
)
def test_units_mean_what_they_say(text: str, size: int) -> None:
    """KiB, MiB and GiB are powers of 1,024; kB, MB and GB are powers of 1,000."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "1.5MB", "16M", "1 000", "٣", "1MiB2"])
def test_what_could_be_misread_is_refused(text: str) -> None:
    """A size is a whole number with a unit that has one meaning; the error says so."""
    with pytest.raises(ValueError, match="is not a size: write bytes, or a unit as in 64KiB"):
        parse_size(text)


def test_numbers_agree_with_their_nouns() -> None:
    """One byte is one byte, and large numbers have separators."""
    assert [counted(number, "byte") for number in (0, 1, 2, 1_000)] == [
        "0 bytes",
        "1 byte",
        "2 bytes",
        "1,000 bytes",
    ]
