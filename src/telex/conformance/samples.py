"""A handful of conversations."""

from __future__ import annotations

from typing import Any, Final

SETUPS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "token": {"token": "an open secret"},
    "small": {"limits": {"max_header_size": 1024, "max_content_size": 4096}},
    "hello": {"hello": True, "keepalive": True},
}

_BAD: Final[list[dict[str, Any]]] = [
    {"out": {"kind": "error", "code": "bad-message"}},
    {"out": "end"},
]


def _server(name: str, shows: str, *steps: Any, setup: str = "plain") -> dict[str, Any]:
    return {"name": name, "shows": shows, "role": "server", "setup": setup, "steps": list(steps)}


def _client(name: str, shows: str, *steps: Any, setup: str = "plain") -> dict[str, Any]:
    asks = [
        {"do": {"request": {"subject": f"conversation.{name}", "text": "?"}, "as": "a"}},
        {"out": {"kind": "request", "subject": f"conversation.{name}", "id": "$a"}},
    ]
    return {
        "name": name,
        "shows": shows,
        "role": "client",
        "setup": setup,
        "steps": [*asks, *steps],
    }


def _request(number: int, subject: str, **content: Any) -> dict[str, Any]:
    return {"in": {"kind": "request", "id": number, "subject": subject, **content}}


def _reply(number: int, **content: Any) -> dict[str, Any]:
    return {"out": {"kind": "reply", "re": number, **content}}


CONVERSATIONS: Final[list[dict[str, Any]]] = [
    _server(
        "server-answers",
        "A request is answered with its own id.",
        _request(7, "echo", text="hello"),
        _reply(7, text="hello"),
    ),
    _server(
        "server-answers-in-parts",
        "All parts but the last one have more.",
        _request(1, "count", text="2"),
        _reply(1, more=True, text="1"),
        _reply(1, more=True, text="2"),
        _reply(1),
    ),
    _server(
        "server-refuses",
        "A handler may refuse with a code of its own.",
        _request(1, "refuse"),
        {"out": {"kind": "error", "re": 1, "code": "not-today"}},
    ),
    _server(
        "server-fails-midway",
        "An error may end an answer that has begun.",
        _request(1, "fail-midway"),
        _reply(1, more=True, text="1"),
        {"out": {"kind": "error", "re": 1, "code": "handler-failed"}},
    ),
    _server(
        "server-answers-later",
        "Answers may be sent in any order.",
        _request(1, "hold", text="later"),
        _request(2, "echo", text="at once"),
        _reply(2, text="at once"),
        {"in": {"subject": "release"}},
        _reply(1, text="later"),
    ),
    _server(
        "server-request-again",
        "A request whose id is that of an unanswered one ends the conversation.",
        _request(1, "hold", text="later"),
        _request(1, "echo"),
        *_BAD,
    ),
    _server(
        "server-echoes-plain",
        "A plain message is answered by the application alone.",
        {"in": {"subject": "echo", "json": {"a": [1, None]}}},
        {"out": {"subject": "echo", "json": {"a": [1, None]}}},
    ),
    _server(
        "server-end-inside",
        "A stream that ends inside a message ends the conversation.",
        {"in": {"bytes": [{"hex": "0044"}]}},
        {"in": "end"},
        *_BAD,
    ),
    _server(
        "server-broken",
        "What is no message ends the conversation.",
        {"in": {"bytes": [{"hex": "0000"}]}},
        *_BAD,
    ),
    _server(
        "server-end",
        "The end of the stream means what a close means.",
        _request(1, "echo", text="x"),
        {"in": "end"},
        _reply(1, text="x"),
        {"out": {"kind": "close"}},
        {"out": "end"},
    ),
    _server(
        "server-token",
        "With a token that it knows, the server says welcome.",
        {"in": {"kind": "hello", "json": {"version": 1, "token": "an open secret"}}},
        {"out": {"kind": "welcome"}},
        _request(1, "echo", text="x"),
        _reply(1, text="x"),
        setup="token",
    ),
    _server(
        "server-stranger",
        "Without the token, nothing else is allowed.",
        _request(1, "echo", text="x"),
        {"out": {"kind": "error", "code": "unauthorized"}},
        {"out": "end"},
        setup="token",
    ),
    _server(
        "server-too-large",
        "Content over the limit is refused with the header.",
        {"in": {"subject": "echo", "content-length": 4097}},
        {"out": {"kind": "error", "code": "too-large"}},
        {"out": "end"},
        setup="small",
    ),
    _server(
        "server-shuts-down",
        "A server that shuts down says so.",
        {"in": {"kind": "ping", "id": 1}},
        {"out": {"kind": "pong", "re": 1}},
        {"do": {"shut down": True}},
        {"out": {"kind": "close", "code": "shutting-down"}},
        {"in": {"kind": "close"}},
        {"out": "end"},
    ),
    _client(
        "client-takes-reply",
        "A reply is the answer to the request with its id.",
        {"in": {"kind": "reply", "re": "$a", "text": "x"}},
        {"result": {"of": "a", "text": "x"}},
    ),
    _client(
        "client-takes-parts",
        "An answer is complete with its first reply without more.",
        {"in": {"kind": "reply", "re": "$a", "more": True, "text": "1"}},
        {"in": {"kind": "reply", "re": "$a", "more": True, "text": "2"}},
        {"in": {"kind": "reply", "re": "$a"}},
        {"result": {"of": "a", "parts": [{"text": "1"}, {"text": "2"}]}},
    ),
    _client(
        "client-takes-error",
        "An error with re is the answer to the request with its id.",
        {"in": {"kind": "error", "re": "$a", "code": "no-handler"}},
        {"result": {"of": "a", "code": "no-handler"}},
    ),
    _client(
        "client-answers-ping",
        "A ping is answered, whatever the client waits for.",
        {"in": {"kind": "ping", "id": 5}},
        {"out": {"kind": "pong", "re": 5}},
        {"in": {"kind": "reply", "re": "$a"}},
    ),
    _client(
        "client-unasked-reply",
        "A reply to nothing that was asked ends the conversation.",
        {"in": {"kind": "reply", "re": 4711}},
        *_BAD,
        {"result": {"of": "a", "closed": "bad-message"}},
    ),
    {
        "name": "client-greets",
        "shows": "A client that says hello waits for its welcome.",
        "role": "client",
        "setup": "hello",
        "steps": [
            {"out": {"kind": "hello"}},
            {"in": {"kind": "welcome", "json": {"version": 1}}},
            {"do": {"ping": True, "as": "p"}},
            {"out": {"kind": "ping", "id": "$p"}},
            {"in": {"kind": "pong", "re": "$p"}},
            {"result": {"of": "p"}},
        ],
    },
    {
        "name": "client-gives-up",
        "shows": "An answer that nobody waits for any more is dropped.",
        "role": "client",
        "steps": [
            {"do": {"request": {"subject": "slow", "text": "?"}, "as": "a"}},
            {"out": {"kind": "request", "id": "$a"}},
            {"do": {"give up": "a"}},
            {"in": {"kind": "reply", "re": "$a", "text": "late"}},
        ],
    },
    {
        "name": "client-closes",
        "shows": "A client that closes says so, and waits for the close of its peer.",
        "role": "client",
        "steps": [
            {"do": {"send": {"subject": "news", "text": "x"}}},
            {"out": {"subject": "news", "text": "x"}},
            {"in": {"subject": "news", "text": "y"}},
            {"result": {"received": [{"subject": "news", "text": "y"}]}},
            {"in": {"kind": "error", "code": "not-today"}},
            {"result": {"noticed": "not-today"}},
            {"do": {"close": True}},
            {"out": {"kind": "close"}},
            {"in": {"kind": "close"}},
            {"out": "end"},
        ],
    },
    {
        "name": "client-takes-answers-in-any-order",
        "shows": "Answers may come in any order; the re tells which request is answered.",
        "role": "client",
        "steps": [
            {"do": {"request": {"subject": "first", "text": "1"}, "as": "a"}},
            {"do": {"request": {"subject": "second", "text": "2"}, "as": "b"}},
            {"out": {"kind": "request", "subject": "first", "id": "$a"}},
            {"out": {"kind": "request", "subject": "second", "id": "$b"}},
            {"in": {"kind": "reply", "re": "$b", "text": "second"}},
            {"in": {"kind": "reply", "re": "$a", "text": "first"}},
            {"result": {"of": "a", "text": "first"}},
            {"result": {"of": "b", "text": "second"}},
        ],
    },
    {
        "name": "client-pong-to-a-request-that-was-given-up",
        "shows": "A pong answers no request, also when nobody waits for its answer any more.",
        "role": "client",
        "steps": [
            {"do": {"request": {"subject": "slow", "text": "?"}, "as": "a"}},
            {"out": {"kind": "request", "id": "$a"}},
            {"do": {"give up": "a"}},
            {"in": {"kind": "pong", "re": "$a"}},
            *_BAD,
        ],
    },
]
