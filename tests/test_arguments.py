"""Arguments of a wrong type: ``connect()`` and ``serve()`` refuse them, and say what is right."""

from __future__ import annotations

from typing import Any

import pytest

import telex
from telex.arguments import check_type
from telex.tokens import Tokens

LIMITS = "limits must be a telex.Limits, not an object of type dict"


@pytest.mark.parametrize(
    ("address", "keywords", "words"),
    [
        ("tcp://127.0.0.1:1", {"limits": {}}, LIMITS),
        ("tcp://127.0.0.1:1", {"limits": telex.Limits}, "not the class Limits"),
        ("tcp://127.0.0.1:1", {"token": b"secret"}, "token must be text, not an object of type b"),
        (
            "tls://127.0.0.1:1",
            {"tls": "cert.pem"},
            r"tls must be made by telex\.tls\.client_context\(\), not an object of type str",
        ),
    ],
)
@pytest.mark.parametrize("front_end", ["sync", "asyncio"])
def test_a_client_refuses_arguments_of_a_wrong_type(
    front_end: str, address: str, keywords: dict[str, Any], words: str
) -> None:
    """Before anything is dialed: the error is not that nobody listens at the address."""
    with pytest.raises(TypeError, match=words):
        _connect(front_end, address, **keywords)


@pytest.mark.parametrize(
    ("address", "keywords", "words"),
    [
        ("tcp://127.0.0.1:0", {"limits": {}}, LIMITS),
        (
            "tcp://127.0.0.1:0",
            {"tokens": "secret"},
            "tokens must be a mapping of names to tokens, not",
        ),
        ("tcp://127.0.0.1:0", {"tokens": {"ada": 1}}, "token of 'ada' must be text"),
        ("tcp://127.0.0.1:0", {"tokens": {1: "secret"}}, "name of a token must be text"),
        (
            "tls://127.0.0.1:0",
            {"tls": True},
            r"tls must be made by telex\.tls\.server_context\(\), not an object of type bool",
        ),
        (
            "tcp://127.0.0.1:0",
            {"observer": telex.Observer},
            "observer must be a telex.Observer or several, not the class Observer",
        ),
    ],
)
@pytest.mark.parametrize("front_end", ["sync", "asyncio"])
def test_a_server_refuses_arguments_of_a_wrong_type(
    front_end: str, address: str, keywords: dict[str, Any], words: str
) -> None:
    """Before it listens, and not when the first client connects."""
    with pytest.raises(TypeError, match=words):
        _serve(front_end, telex.Application(), address, **keywords)


@pytest.mark.parametrize("front_end", ["sync", "asyncio"])
def test_arguments_of_a_server_in_the_wrong_order_are_named(front_end: str) -> None:
    """The application is the first argument, and the address the second one."""
    words = "application must be a telex.Application, not an object of type str"
    with pytest.raises(TypeError, match=words):
        _serve(front_end, "tcp://127.0.0.1:0", telex.Application())


def test_an_error_about_a_type_does_not_show_the_value() -> None:
    """It may be a secret, which must not come into a log."""
    with pytest.raises(TypeError) as caught:
        check_type(b"secret", str, "token", "text")
    assert "secret" not in str(caught.value)
    with pytest.raises(TypeError) as caught:
        Tokens({"ada": b"secret"})  # type: ignore[dict-item]
    assert "secret" not in str(caught.value)


def _connect(front_end: str, address: str, **keywords: Any) -> None:
    async def connect() -> None:
        await telex.asyncio.connect(address, **keywords)

    if front_end == "sync":
        telex.sync.connect(address, **keywords)
    else:
        telex.asyncio.run(connect())


def _serve(front_end: str, application: Any, address: Any, **keywords: Any) -> None:
    async def serve() -> None:
        await telex.asyncio.serve(application, address, **keywords)

    if front_end == "sync":
        telex.sync.serve(application, address, **keywords)
    else:
        telex.asyncio.run(serve())
