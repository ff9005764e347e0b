"""What ``telex send`` reads: JSON, headers, and lines however the input comes in pieces."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.cli.sources import MessageMaker, parse_header, parse_json


class Trickle(io.BytesIO):
    """A stream that gives its pieces one at a time, as a pipe does."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__()
        self._pieces = iter(pieces)

    def read1(self, size: int | None = -1, /) -> bytes:
        """Return the next piece."""
        return next(self._pieces, b"")


@given(st.lists(st.binary(min_size=1)))
def test_lines_do_not_depend_on_how_they_were_read(pieces: list[bytes]) -> None:
    """Lines are those of the whole input, wherever it was cut when it was read."""
    maker = MessageMaker(None, None)
    lines = [message.body for batch in maker.from_lines(Trickle(pieces)) for message in batch]
    whole = b"".join(pieces)
    assert lines == (whole.removesuffix(b"\n").split(b"\n") if whole else [])


def test_lines_do_not_wait_for_the_next_ones() -> None:
    """What one read completed is handed on before the next read."""
    batches = MessageMaker(None, None).from_lines(Trickle([b"a\nb", b"", b"never"]))
    assert [message.body for message in next(batches)] == [b"a"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not JSON: Expecting value, line 1, column 1"),
        ('{"a":\n nope}', "Expecting value, line 2, column 2"),
        ("[1] x", "Extra data, line 1, column 5"),
        ("NaN", "JSON has no NaN"),
        ("[" * 100_000, "nests too deep"),
        ("x" * 1000, f"^'{'x' * 60}…' is not JSON"),
    ],
)
def test_what_is_not_json_is_located(text: str, problem: str) -> None:
    """The error shows the text, or its beginning, and where it goes wrong."""
    with pytest.raises(ValueError, match=problem):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("site=north", ("site", "north")),
        ("site=", ("site", "")),
        ("site=a=b", ("site", "a=b")),
        ("n=5", ("n", "5")),
        ("n:=5", ("n", 5)),
        ("n:=null", ("n", None)),
        ('n:={"a":[1]}', ("n", {"a": [1]})),
        ("a:b=c", ("a:b", "c")),
    ],
)
def test_a_header_is_text_unless_it_says_json(text: str, header: tuple[str, object]) -> None:
    """A value is never guessed: ``=`` means text, ``:=`` means JSON."""
    assert parse_header(text) == header


@pytest.mark.parametrize("text", ["", "name", "=value", ":=1"])
def test_a_header_has_a_name_and_a_value(text: str) -> None:
    """Anything else is refused, saying how it is written."""
    with pytest.raises(ValueError, match=r"is neither name=value nor name:=JSON$"):
        parse_header(text)
