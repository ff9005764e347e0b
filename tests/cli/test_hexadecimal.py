"""Hex digits to bytes; how ``telex decode`` locates wrong ones is tested with it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telex.cli.hexadecimal import bytes_from_hex


@given(st.binary(), st.data())
def test_white_space_means_nothing(data: bytes, choice: st.DataObject) -> None:
    """However the digits are laid out, they mean the same bytes."""
    spaces = st.sampled_from([b"", b" ", b"\n", b"\t", b"\r\n  "])
    text = b"".join(digit + choice.draw(spaces) for digit in map(bytes, zip(data.hex().encode())))
    assert bytes_from_hex(text) == data
