"""The terms of a server: addresses that go with what is said about safety, and who is let in."""

from __future__ import annotations

import ssl

import pytest

from telex import Address, AddressError, CredentialsError
from telex.limits import Limits
from telex.network.listener import SharedAddress
from telex.server.options import address_of, check_terms, greeting_with, listen_at
from telex.tokens import Tokens

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@pytest.mark.parametrize(
    ("address", "tls", "insecure"),
    [
        ("tcp://127.0.0.1:1", None, False),
        ("tcp://0.0.0.0:1", None, True),
        ("tls://0.0.0.0:1", CONTEXT, False),
        ("unix:///run/telex.sock", None, False),
    ],
)
def test_safe_terms(address: str, tls: ssl.SSLContext | None, insecure: bool) -> None:
    """This machine, TLS, or being told that it does not matter."""
    check_terms(Address.parse(address), tls, insecure)


@pytest.mark.parametrize(
    ("address", "tls", "words"),
    [
        ("tcp://0.0.0.0:1", None, "without TLS"),
        ("tls://127.0.0.1:1", None, "without a certificate"),
        ("tcp://127.0.0.1:1", CONTEXT, "right would be tls://HOST:PORT"),
        ("unix:///run/telex.sock", CONTEXT, "is without TLS"),
    ],
)
def test_unsafe_terms(address: str, tls: ssl.SSLContext | None, words: str) -> None:
    """What does not go together is an error that says so."""
    with pytest.raises(AddressError, match=words):
        check_terms(Address.parse(address), tls, False)


def test_greeting_knows_the_tokens() -> None:
    """Names and secrets, or what was read from a file; without either everybody is let in."""
    assert greeting_with("agent", None, Limits()).authenticate is None
    for tokens in ({"pump-7": "secret"}, Tokens({"pump-7": "secret"})):
        authenticate = greeting_with("agent", tokens, Limits()).authenticate
        assert authenticate is not None
        assert authenticate("secret") == "pump-7"
        assert authenticate("guessed") is None
    with pytest.raises(CredentialsError):
        greeting_with("agent", {}, Limits())


def test_every_way_to_say_an_address() -> None:
    """A text, an address, or one that is shared: each can be listened on."""
    with SharedAddress(Address.parse("tcp://127.0.0.1:0")) as shared:
        assert address_of(shared) == shared.address
        for where in ("tcp://127.0.0.1:0", Address("tcp", "127.0.0.1", 0), shared):
            [listener], actual = listen_at(where)
            assert listener.port == actual.port > 0
            listener.close()
    with pytest.raises(AddressError):
        address_of("127.0.0.1:7766")
    with pytest.raises(TypeError, match="an address is text"):
        address_of(("127.0.0.1", 7766))  # type: ignore[arg-type]
