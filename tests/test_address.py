"""Addresses: what they look like, and what people are told who wrote something else."""

from __future__ import annotations

from typing import Any

import pytest

from telex.address import Address, check_is_safe, meant_by
from telex.errors import AddressError

GOOD = [
    ("tcp://127.0.0.1:7766", Address("tcp", "127.0.0.1", 7766)),
    ("tcp://0.0.0.0:0", Address("tcp", "0.0.0.0", 0)),
    ("tcp://[::1]:7766", Address("tcp", "::1", 7766)),
    ("tcp://[fe80::1%eth0]:65535", Address("tcp", "fe80::1%eth0", 65_535)),
    ("tcp://localhost:80", Address("tcp", "localhost", 80)),
    ("tcp://my_host-1.example.com:7766", Address("tcp", "my_host-1.example.com", 7766)),
    ("tcp://bücher.example:7766", Address("tcp", "bücher.example", 7766)),
    ("tls://telex.example.com:7766", Address("tls", "telex.example.com", 7766)),
    ("tls://[::1]:7766", Address("tls", "::1", 7766)),
    ("unix:///run/telex.sock", Address("unix", path="/run/telex.sock")),
    ("unix://@telex", Address("unix", path="@telex")),
    ("unix://telex.sock", Address("unix", path="telex.sock")),
    ("unix:///tmp/with space:and#more", Address("unix", path="/tmp/with space:and#more")),
]


@pytest.mark.parametrize(("text", "address"), GOOD)
def test_address_is_read_and_written(text: str, address: Address) -> None:
    """An address is read into its parts, and written back as it was."""
    assert Address.parse(text) == address
    assert str(address) == text


def test_scheme_may_be_written_in_capitals() -> None:
    """The case of the scheme does not matter, as in every URL."""
    assert str(Address.parse("TCP://127.0.0.1:7766")) == "tcp://127.0.0.1:7766"


def test_address_can_be_a_key_and_does_not_change() -> None:
    """Equal addresses are one key, and nobody can change an address that was handed out."""
    address = Address.parse("tcp://[::1]:7766")
    assert {address: 1}[Address("tcp", "::1", 7766)] == 1
    with pytest.raises(AttributeError):
        address.port = 1  # type: ignore[misc]


BAD = [
    ("", "no scheme", "tcp://127.0.0.1:7766"),
    ("127.0.0.1:7766", "no scheme", "tcp://127.0.0.1:7766"),
    ("localhost", "no scheme", "tcp://127.0.0.1:7766"),
    ("/run/x.sock", "no scheme", "unix:///run/x.sock"),
    ("unix:/run/x.sock", "no scheme", "unix:///run/x.sock"),
    ("http://127.0.0.1:7766", "'http' is unknown", "tcp://127.0.0.1:7766"),
    ("ssl://127.0.0.1:7766", "'ssl' is unknown; tcp, tls and unix", "tcp://127.0.0.1:7766"),
    ("tcp://", "port is missing", "tcp://127.0.0.1:7766"),
    ("tcp://127.0.0.1", "port is missing", "tcp://127.0.0.1:7766"),
    ("tcp://[::1]", "port is missing", "tcp://[::1]:7766"),
    ("tcp://:7766", "host is missing", "tcp://0.0.0.0:7766"),
    ("tcp://*:7766", "host is missing", "tcp://[::]:7766"),
    ("tcp://127.0.0.1:", "must be a number", "tcp://127.0.0.1:7766"),
    ("tcp://127.0.0.1:http", "must be a number", "tcp://127.0.0.1:7766"),
    ("tcp://127.0.0.1:-1", "must be a number", "tcp://127.0.0.1:7766"),
    ("tcp://127.0.0.1:65536", "must be a number", "tcp://127.0.0.1:7766"),
    ("tcp://127.0.0.1:٧٧", "must be a number", "tcp://127.0.0.1:7766"),
    ("tcp://127.0.0.1:" + "9" * 5_000, "must be a number", "tcp://127.0.0.1:7766"),
    ("tcp://127.0.0.1:7766/", "nothing may follow the port", "tcp://127.0.0.1:7766"),
    ("tcp://::1:7766", "needs brackets", "tcp://[::1]:7766"),
    ("tcp://[::g]:7766", "not an IPv6 address", "tcp://[::1]:7766"),
    ("tcp://300.1.1.1:7766", "not a host name", "tcp://127.0.0.1:7766"),
    ("tcp://127.1:7766", "not a host name", "tcp://127.0.0.1:7766"),
    ("tcp://a b:7766", "not a host name", "tcp://127.0.0.1:7766"),
    ("tcp://user@host:7766", "not a host name", "tcp://127.0.0.1:7766"),
    ("tls://", "port is missing", "tls://127.0.0.1:7766"),
    ("tls://:7766", "host is missing", "tls://0.0.0.0:7766"),
    ("tls://[::1]:7766/", "nothing may follow the port", "tls://[::1]:7766"),
    ("tls://::1:7766", "needs brackets", "tls://[::1]:7766"),
    ("tls://[::g]:7766", "not an IPv6 address", "tls://[::1]:7766"),
    ("unix://", "path of the socket is missing", "unix:///run/telex.sock"),
    ("unix://@", "abstract name of the socket is missing", "unix://@telex"),
    ("unix://a\0b", "NUL", "unix:///run/telex.sock"),
]


@pytest.mark.parametrize(("text", "problem", "right"), BAD)
def test_bad_address_is_explained(text: str, problem: str, right: str) -> None:
    """What is no address is quoted, with what is wrong with it and what would be right."""
    with pytest.raises(AddressError) as caught:
        Address.parse(text)
    sentence = str(caught.value)
    assert repr(text) in sentence
    assert problem in sentence
    assert right in sentence
    assert sentence.isprintable()


def test_what_is_meant_by_a_text_or_an_address() -> None:
    """Both say where to connect and where to listen."""
    address = Address.parse("tcp://127.0.0.1:7766")
    assert meant_by("tcp://127.0.0.1:7766") == meant_by(address) == address


@pytest.mark.parametrize("where", [("127.0.0.1", 7766), 7766, None, b"tcp://127.0.0.1:7766"])
def test_what_is_neither_is_told_what_would_be_right(where: Any) -> None:
    """Such as the pair that sockets take."""
    with pytest.raises(TypeError) as caught:
        meant_by(where)
    assert str(caught.value) == (
        "an address is text, such as 'tcp://127.0.0.1:7766', or a telex.Address, "
        f"not {where!r} ({type(where).__name__})"
    )


@pytest.mark.parametrize(
    "text",
    [
        "tcp://127.0.0.1:1",
        "tcp://127.8.9.10:1",
        "tls://[::1]:1",
        "tcp://[::ffff:127.0.0.1]:1",
        "tcp://localhost:1",
        "tcp://LocalHost.:1",
        "tcp://telex.localhost:1",
        "unix://@telex",
        "unix:///run/telex.sock",
    ],
)
def test_what_only_this_machine_reaches_is_loopback(text: str) -> None:
    """A server there needs no TLS."""
    address = Address.parse(text)
    assert address.is_loopback
    check_is_safe(address)


@pytest.mark.parametrize(
    "text",
    [
        "tcp://0.0.0.0:7766",
        "tcp://[::]:7766",
        "tcp://192.168.0.1:7766",
        "tcp://[::ffff:192.168.0.1]:7766",
        "tcp://localhost.example.com:7766",
        "tcp://localhost.localdomain:7766",
        "tcp://notlocalhost:7766",
        "tcp://telex.example.com:7766",
    ],
)
def test_what_others_reach_is_refused_without_tls(text: str) -> None:
    """A server does not talk in the clear to a network unless it is told to, and it says how."""
    address = Address.parse(text)
    assert not address.is_loopback
    with pytest.raises(AddressError) as caught:
        check_is_safe(address)
    sentence = str(caught.value)
    for right in (text.replace("tcp:", "tls:"), "tcp://127.0.0.1:7766", "insecure=True"):
        assert right in sentence


def test_a_server_with_tls_may_be_reached_by_everybody() -> None:
    """TLS is what makes an address safe."""
    check_is_safe(Address.parse("tls://0.0.0.0:7766"))
