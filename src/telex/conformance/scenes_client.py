"""Scenes with a client under test: what its program gets, and what no cell shows."""

from __future__ import annotations

from typing import Any, Final

from telex.conformance.steps import CLOSE, END, ends_with, pinged

_BAD: Final = ends_with("bad-message")


def _scene(name: str, shows: str, *steps: Any, setup: str = "plain") -> dict[str, Any]:
    return {"name": name, "shows": shows, "role": "client", "setup": setup, "steps": list(steps)}


def _client(name: str, shows: str, *steps: Any, setup: str = "plain") -> dict[str, Any]:
    """Return a scene that begins with a request, which names it."""
    subject = f"conversation.{name}"
    asks = [
        {"do": {"request": {"subject": subject, "text": "?"}, "as": "a"}},
        {"out": {"kind": "request", "subject": subject, "id": "$a"}},
    ]
    return _scene(name, shows, *asks, *steps, setup=setup)


def _asked(name: str, shows: str, *steps: Any) -> dict[str, Any]:
    """Return a scene in which the program must not go after its answer."""
    asks = [
        {"do": {"request": {"subject": "a question", "text": "?"}, "as": "a"}},
        {"out": {"kind": "request", "subject": "a question", "id": "$a"}},
    ]
    return _scene(name, shows, *asks, *steps)


def _reply(**what: Any) -> dict[str, Any]:
    return {"in": {"kind": "reply", "re": "$a", **what}}


def _error(**what: Any) -> dict[str, Any]:
    return {"in": {"kind": "error", **what}}


SCENES: Final[list[dict[str, Any]]] = [
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
        "setup": "plain",
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
        "setup": "plain",
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
        "setup": "plain",
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
        "setup": "plain",
        "steps": [
            {"do": {"request": {"subject": "slow", "text": "?"}, "as": "a"}},
            {"out": {"kind": "request", "id": "$a"}},
            {"do": {"give up": "a"}},
            {"in": {"kind": "pong", "re": "$a"}},
            *_BAD,
        ],
    },
    _client(
        "client-takes-any-code",
        "A handler may refuse with any code.",
        _error(re="$a", code="a-code-of-its-own"),
        {"result": {"of": "a", "code": "a-code-of-its-own"}},
    ),
    _client(
        "client-ending-code-with-re",
        "With re, every code is an answer, and has no other effect.",
        _error(re="$a", code="shutting-down"),
        {"result": {"of": "a", "code": "shutting-down"}},
    ),
    _client(
        "client-error-without-members",
        "An error that says nothing is an answer all the same.",
        _error(re="$a", json={}),
        {"result": {"of": "a", "code": "error"}},
    ),
    _client(
        "client-error-that-cannot-be-read",
        "An error whose content cannot be read is an answer all the same.",
        _error(re="$a", hex="ff"),
        {"result": {"of": "a", "code": "error"}},
    ),
    _client(
        "client-error-after-parts",
        "An error ends an answer in parts.",
        _reply(more=True, text="1"),
        _error(re="$a", code="handler-failed"),
        {"result": {"of": "a", "parts": [{"text": "1"}], "code": "handler-failed"}},
    ),
    _client(
        "client-last-part-with-content",
        "The last part may have content.",
        _reply(more=True, text="1"),
        _reply(text="2"),
        {"result": {"of": "a", "parts": [{"text": "1"}, {"text": "2"}]}},
    ),
    _client(
        "client-last-part-without-content",
        "An empty last part of another type is a part.",
        _reply(more=True, text="1"),
        _reply(text=""),
        {"result": {"of": "a", "parts": [{"text": "1"}, {"text": ""}]}},
    ),
    _client(
        "client-mark-of-the-end-in-any-case",
        "Upper and lower case and parameters make no difference to the mark of the end.",
        _reply(more=True, text="1"),
        _reply(**{"content-type": "Application/Octet-Stream; x=1"}),
        {"result": {"of": "a", "parts": [{"text": "1"}]}},
    ),
    _client(
        "client-empty-answer",
        "An empty answer in one message is an answer.",
        _reply(),
        {"result": {"of": "a", "hex": ""}},
    ),
    _asked(
        "client-answers-again",
        "A second answer to a request ends the conversation.",
        _reply(text="1"),
        _reply(text="2"),
        *_BAD,
    ),
    _asked(
        "client-part-after-the-answer",
        "A part after the end of an answer ends the conversation.",
        _reply(text="1"),
        _reply(more=True, text="2"),
        *_BAD,
    ),
    _asked(
        "client-error-after-the-answer",
        "An error after the answer ends the conversation.",
        _reply(text="1"),
        _error(re="$a", code="handler-failed"),
        *_BAD,
    ),
    _client(
        "client-reply-without-re",
        "A reply says what it answers.",
        {"in": {"kind": "reply", "text": "x"}},
        *_BAD,
        {"result": {"of": "a", "closed": "bad-message"}},
    ),
    _client(
        "client-pong-to-a-request",
        "A pong answers no request.",
        {"in": {"kind": "pong", "re": "$a"}},
        *_BAD,
        {"result": {"of": "a", "closed": "bad-message"}},
    ),
    _client(
        "client-unknown-kind-without-id",
        "The answer to a kind that is not known has a re if that has an id.",
        {"in": {"kind": "not-a-kind"}},
        {"out": {"kind": "error", "code": "unsupported-kind"}},
        _reply(text="x"),
        {"result": {"of": "a", "text": "x"}},
    ),
    _client(
        "client-is-told-beside-its-answer",
        "Plain messages and errors without re come beside an answer, in their order.",
        {"in": {"subject": "news", "text": "1"}},
        _error(code="not-today"),
        {"in": {"subject": "news", "text": "2"}},
        _reply(text="x"),
        {"result": {"of": "a", "text": "x"}},
        {"result": {"received": [{"subject": "news", "text": "1"}]}},
        {"result": {"noticed": "not-today"}},
        {"result": {"received": [{"subject": "news", "text": "2"}]}},
    ),
    _client(
        "client-close-with-a-code",
        "The code of a close is the reason that the program gets.",
        {"in": {"kind": "close", "json": {"code": "a-code-of-its-own", "reason": "why"}}},
        CLOSE,
        END,
        {"result": {"of": "a", "closed": "a-code-of-its-own"}},
    ),
    _client(
        "client-end-after-a-close",
        "The end of the stream adds nothing to a close: its code stays the reason.",
        {"in": {"kind": "close", "code": "a-code-of-its-own"}},
        {"in": "end"},
        {"out any order": [{"kind": "close"}, "end"]},
        {"result": {"of": "a", "closed": "a-code-of-its-own"}},
    ),
    _client(
        "client-close-without-content",
        "A close needs no content.",
        {"in": {"kind": "close"}},
        CLOSE,
        END,
        {"result": {"of": "a", "closed": "closed"}},
    ),
    *(
        _client(
            f"client-ended-by-{code}",
            "An error without re and with this code ends the conversation.",
            _error(code=code),
            CLOSE,
            END,
            {"result": {"of": "a", "closed": code}},
        )
        for code in ("bad-message", "too-large", "unauthorized", "timeout", "shutting-down")
    ),
    _client(
        "client-content-over-its-limit",
        "Content over the limit of a client ends the conversation with the header.",
        _reply(**{"content-length": 4097}),
        {"out": {"kind": "error", "code": "too-large"}},
        END,
        {"result": {"of": "a", "closed": "too-large"}},
        setup="small",
    ),
    _client(
        "client-content-at-its-limit",
        "Content of exactly the limit is taken.",
        _reply(text="x", repeat=4096),
        {"result": {"of": "a", "text": "x", "repeat": 4096}},
        setup="small",
    ),
    _scene(
        "client-hello-has-a-token",
        "A client that has a token says it in its hello.",
        {"out": {"kind": "hello"}},
        {"in": {"kind": "welcome", "json": {"version": 1, "agent": "x", "other": 1}}},
        {"do": {"request": {"subject": "conversation.client-hello-has-a-token"}, "as": "a"}},
        {"out": {"kind": "request", "id": "$a"}},
        _reply(text="x"),
        {"result": {"of": "a", "text": "x"}},
        setup="token",
    ),
    _scene(
        "client-is-unauthorized",
        "A client whose token is refused ends the conversation too.",
        {"out": {"kind": "hello"}},
        _error(code="unauthorized"),
        CLOSE,
        END,
        setup="token",
    ),
    _scene(
        "client-welcomed-again",
        "A second welcome ends the conversation.",
        {"out": {"kind": "hello"}},
        {"in": {"kind": "welcome", "json": {}}},
        {"in": {"kind": "welcome", "json": {}}},
        *_BAD,
        setup="hello",
    ),
    _scene(
        "client-welcome-of-another-version",
        "There is one version of the format.",
        {"out": {"kind": "hello"}},
        {"in": {"kind": "welcome", "json": {"version": 2}}},
        *_BAD,
        setup="hello",
    ),
    _scene(
        "client-welcome-with-small-limits",
        "A limit under 256 bytes is refused.",
        {"out": {"kind": "hello"}},
        {"in": {"kind": "welcome", "json": {"limits": {"max_content_size": 255}}}},
        *_BAD,
        setup="hello",
    ),
    _scene(
        "client-keeps-to-the-content-limit-of-its-peer",
        "Content over the limit in the welcome is not sent, and content of exactly the limit is.",
        {"out": {"kind": "hello"}},
        {"in": {"kind": "welcome", "json": {"limits": {"max_content_size": 1000}}}},
        {"do": {"request": {"text": "x", "repeat": 1001}, "as": "a"}},
        {"result": {"of": "a", "too large": True}},
        *pinged(),
        {"do": {"request": {"text": "x", "repeat": 1000}, "as": "b"}},
        {"out": {"kind": "request", "id": "$b", "text": "x", "repeat": 1000}},
        {"in": {"kind": "reply", "re": "$b"}},
        {"result": {"of": "b", "hex": ""}},
        setup="hello",
    ),
    _scene(
        "client-keeps-to-the-header-limit-of-its-peer",
        "A header block over the limit in the welcome is not sent, and the conversation goes on.",
        {"out": {"kind": "hello"}},
        {"in": {"kind": "welcome", "json": {"limits": {"max_header_size": 256}}}},
        {"do": {"request": {"subject": "s" * 256, "text": "x"}, "as": "a"}},
        {"result": {"of": "a", "too large": True}},
        *pinged(),
        setup="hello",
    ),
    _scene(
        "client-late-parts",
        "All parts of an answer that nobody waits for are dropped, and its end.",
        {"do": {"request": {"subject": "slow", "text": "?"}, "as": "a"}},
        {"out": {"kind": "request", "id": "$a"}},
        _reply(more=True, text="1"),
        {"do": {"give up": "a"}},
        _reply(more=True, text="2"),
        _reply(),
        {"do": {"request": {"subject": "next", "text": "?"}, "as": "b"}},
        {"out": {"kind": "request", "id": "$b"}},
        {"in": {"kind": "reply", "re": "$b", "text": "x"}},
        {"result": {"of": "b", "text": "x"}},
    ),
    _scene(
        "client-late-answer-twice",
        "A late answer is dropped once: a second one ends the conversation.",
        {"do": {"request": {"subject": "slow", "text": "?"}, "as": "a"}},
        {"out": {"kind": "request", "id": "$a"}},
        {"do": {"give up": "a"}},
        _reply(text="1"),
        _reply(text="2"),
        *_BAD,
    ),
    _scene(
        "client-parts-of-two-answers",
        "Parts of two answers may come in turns.",
        {"do": {"request": {"subject": "first", "text": "1"}, "as": "a"}},
        {"do": {"request": {"subject": "second", "text": "2"}, "as": "b"}},
        {"out": {"kind": "request", "subject": "first", "id": "$a"}},
        {"out": {"kind": "request", "subject": "second", "id": "$b"}},
        {"in": {"kind": "reply", "re": "$b", "more": True, "text": "b1"}},
        {"in": {"kind": "reply", "re": "$a", "more": True, "text": "a1"}},
        {"in": {"kind": "reply", "re": "$b", "text": "b2"}},
        {"in": {"kind": "reply", "re": "$a", "text": "a2"}},
        {"result": {"of": "a", "parts": [{"text": "a1"}, {"text": "a2"}]}},
        {"result": {"of": "b", "parts": [{"text": "b1"}, {"text": "b2"}]}},
    ),
    _scene(
        "client-reply-to-a-ping",
        "A reply answers no ping.",
        {"do": {"ping": True, "as": "a"}},
        {"out": {"kind": "ping", "id": "$a"}},
        _reply(text="x"),
        *_BAD,
    ),
    _scene(
        "client-error-to-a-ping",
        "An error may answer a ping too, and the conversation goes on.",
        {"do": {"ping": True, "as": "a"}},
        {"out": {"kind": "ping", "id": "$a"}},
        _error(re="$a", code="unsupported-kind"),
        {"result": {"of": "a", "code": "unsupported-kind"}},
        *pinged(),
    ),
    _scene(
        "client-late-error",
        "An error that answers what nobody waits for is dropped.",
        {"do": {"request": {"subject": "slow", "text": "?"}, "as": "a"}},
        {"out": {"kind": "request", "id": "$a"}},
        {"do": {"give up": "a"}},
        _error(re="$a", code="shutting-down"),
        {"in": {"kind": "ping", "id": 5}},
        {"out": {"kind": "pong", "re": 5}},
    ),
    _client(
        "client-broken",
        "What is no message ends the conversation, and every request that waits.",
        {"in": {"bytes": [{"hex": "0000"}]}},
        *_BAD,
        {"result": {"of": "a", "closed": "bad-message"}},
    ),
]
