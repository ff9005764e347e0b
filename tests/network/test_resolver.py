"""The names of ends: what people read where sockets have addresses."""

from __future__ import annotations

import pytest

from telex.network.resolver import name_of


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (("127.0.0.1", 7766), "127.0.0.1:7766"),
        (("::1", 7766, 0, 0), "[::1]:7766"),
        (("::ffff:192.0.2.1", 7766, 0, 0), "192.0.2.1:7766"),
        ("/run/telex.sock", "unix:/run/telex.sock"),
        ("\0abstract", "unix:@abstract"),
        (b"\0abstract", "unix:@abstract"),
        (("fe80::1", 7766, 0, 9_999_999), "[fe80::1%9999999]:7766"),
        (("fe80::1%eth0", 7766, 0, 2), "[fe80::1%eth0]:7766"),
        ("", "unix:5"),
        (b"", "unix:5"),
    ],
)
def test_ends_have_names(address: object, name: str) -> None:
    """Every kind of address is written as people do; a nameless peer gets its number."""
    assert name_of(address, 5) == name
