"""Scenes with a server under test: orders, parts, limits, times and ends that no cell shows."""

from __future__ import annotations

from typing import Any, Final

from telex.conformance.setups import TOKEN

_END: Final[dict[str, Any]] = {"out": "end"}
_CLOSE: Final[dict[str, Any]] = {"out": {"kind": "close"}}


def _scene(name: str, shows: str, *steps: Any, setup: str = "plain") -> dict[str, Any]:
    return {"name": name, "shows": shows, "role": "server", "setup": setup, "steps": list(steps)}


def _timed(name: str, shows: str, *steps: Any) -> dict[str, Any]:
    """Return a scene of the default limits on time, for whoever can hand the time in."""
    scene = _scene(name, shows)
    return {**scene, "needs": ["clock"], "steps": list(steps)}


def _bad(code: str = "bad-message") -> list[dict[str, Any]]:
    return [{"out": {"kind": "error", "code": code}}, _END]


def _request(number: int, subject: str, **content: Any) -> dict[str, Any]:
    return {"in": {"kind": "request", "id": number, "subject": subject, **content}}


def _reply(number: int, **content: Any) -> dict[str, Any]:
    return {"out": {"kind": "reply", "re": number, **content}}


def _hello(**members: Any) -> dict[str, Any]:
    return {"in": {"kind": "hello", "json": members}}


_WELCOME: Final[dict[str, Any]] = {"out": {"kind": "welcome"}}
_RELEASE: Final[dict[str, Any]] = {"in": {"subject": "release"}}


def _pinged(number: int = 900) -> list[dict[str, Any]]:
    return [{"in": {"kind": "ping", "id": number}}, {"out": {"kind": "pong", "re": number}}]


_BARE: Final = b'{"content-length":0,"kind":"request","subject":"nobody","id": 5}'
"""A header block of 64 bytes as another writer might make it."""

_BROKEN_HELLOS: Final[dict[str, dict[str, Any]]] = {
    "version-2": {"version": 2},
    "version-true": {"version": True},
    "version-1.0": {"version": 1.0},
    "version-text": {"version": "1"},
    "agent-number": {"agent": 5},
    "limits-list": {"limits": []},
    "limit-255": {"limits": {"max_content_size": 255}},
    "limit-true": {"limits": {"max_header_size": True}},
    "limit-text": {"limits": {"max_header_size": "1000"}},
    "limit-1e3": {"limits": {"max_content_size": 1000.0}},
    "token-number": {"token": 5},
    "token-null": {"token": None},
    "keepalive-yes": {"keepalive": "yes"},
    "features-text": {"features": "requests"},
    "features-numbers": {"features": [1]},
}
"""Contents of a hello that are refused, by the member at fault."""

_RESERVED: Final = (
    *("part", "credit", "cancel", "delivery", "ack"),
    *("subscribe", "unsubscribe", "publish", "gap", "taken"),
)

SCENES: Final[list[dict[str, Any]]] = [
    _scene(
        "server-answers",
        "A request is answered with its own id.",
        _request(7, "echo", text="hello"),
        _reply(7, text="hello"),
    ),
    _scene(
        "server-answers-in-parts",
        "All parts but the last one have more.",
        _request(1, "count", text="2"),
        _reply(1, more=True, text="1"),
        _reply(1, more=True, text="2"),
        _reply(1),
    ),
    _scene(
        "server-refuses",
        "A handler may refuse with a code of its own.",
        _request(1, "refuse"),
        {"out": {"kind": "error", "re": 1, "code": "not-today"}},
    ),
    _scene(
        "server-fails-midway",
        "An error may end an answer that has begun.",
        _request(1, "fail-midway"),
        _reply(1, more=True, text="1"),
        {"out": {"kind": "error", "re": 1, "code": "handler-failed"}},
    ),
    _scene(
        "server-answers-later",
        "Answers may be sent in any order.",
        _request(1, "hold", text="later"),
        _request(2, "echo", text="at once"),
        _reply(2, text="at once"),
        {"in": {"subject": "release"}},
        _reply(1, text="later"),
    ),
    _scene(
        "server-request-again",
        "A request whose id is that of an unanswered one ends the conversation.",
        _request(1, "hold", text="later"),
        _request(1, "echo"),
        *_bad(),
    ),
    _scene(
        "server-echoes-plain",
        "A plain message is answered by the application alone.",
        {"in": {"subject": "echo", "json": {"a": [1, None]}}},
        {"out": {"subject": "echo", "json": {"a": [1, None]}}},
    ),
    _scene(
        "server-end-inside",
        "A stream that ends inside a message ends the conversation.",
        {"in": {"bytes": [{"hex": "0044"}]}},
        {"in": "end"},
        *_bad(),
    ),
    _scene(
        "server-broken",
        "What is no message ends the conversation.",
        {"in": {"bytes": [{"hex": "0000"}]}},
        *_bad(),
    ),
    _scene(
        "server-end",
        "The end of the stream means what a close means.",
        _request(1, "echo", text="x"),
        {"in": "end"},
        _reply(1, text="x"),
        {"out": {"kind": "close"}},
        {"out": "end"},
    ),
    _scene(
        "server-token",
        "With a token that it knows, the server says welcome.",
        {"in": {"kind": "hello", "json": {"version": 1, "token": TOKEN}}},
        {"out": {"kind": "welcome"}},
        _request(1, "echo", text="x"),
        _reply(1, text="x"),
        setup="token",
    ),
    _scene(
        "server-stranger",
        "Without the token, nothing else is allowed.",
        _request(1, "echo", text="x"),
        {"out": {"kind": "error", "code": "unauthorized"}},
        {"out": "end"},
        setup="token",
    ),
    _scene(
        "server-too-large",
        "Content over the limit is refused with the header.",
        {"in": {"subject": "echo", "content-length": 4097}},
        {"out": {"kind": "error", "code": "too-large"}},
        {"out": "end"},
        setup="small",
    ),
    _scene(
        "server-shuts-down",
        "A server that shuts down says so.",
        {"in": {"kind": "ping", "id": 1}},
        {"out": {"kind": "pong", "re": 1}},
        {"do": {"shut down": True}},
        {"out": {"kind": "close", "code": "shutting-down"}},
        {"in": {"kind": "close"}},
        {"out": "end"},
    ),
    _scene(
        "server-ping-between",
        "A ping is answered while a request waits, also one with the same id.",
        _request(7, "hold", text="later"),
        {"in": {"kind": "ping", "id": 7}},
        {"out": {"kind": "pong", "re": 7}},
        _RELEASE,
        _reply(7, text="later"),
    ),
    _scene(
        "server-id-again-after-the-answer",
        "The id of a request that is answered may be used again.",
        _request(7, "echo", text="1"),
        _reply(7, text="1"),
        _request(7, "echo", text="2"),
        _reply(7, text="2"),
    ),
    _scene(
        "server-largest-id",
        "Numbers go up to 2^53-1.",
        _request(2**53 - 1, "echo", text="x"),
        _reply(2**53 - 1, text="x"),
    ),
    _scene(
        "server-no-handler",
        "A request that nobody takes is refused, and the conversation goes on.",
        _request(1, "no-such-subject"),
        {"out": {"kind": "error", "re": 1, "code": "no-handler"}},
        *_pinged(),
    ),
    _scene(
        "server-fails",
        "The failure of a handler is told without a reason.",
        _request(1, "fail"),
        {"out": {"kind": "error", "re": 1, "code": "handler-failed"}},
    ),
    _scene(
        "server-one-part",
        "An answer in parts may have one part, and then its end.",
        _request(1, "count", text="1"),
        _reply(1, more=True, text="1"),
        _reply(1, hex=""),
    ),
    _scene(
        "server-refuses-a-plain-message",
        "What refuses a plain message is told in an error without re.",
        {"in": {"subject": "refuse", "id": 9, "text": "x"}},
        {"out": {"kind": "error", "code": "not-today"}},
        *_pinged(),
    ),
    _scene(
        "server-nobody-takes-a-plain-message",
        "A plain message that nobody takes is not answered.",
        {"in": {"subject": "no-such-subject", "text": "x"}},
        *_pinged(),
    ),
    _scene(
        "server-plain-and-requests",
        "Plain messages and requests are handled in the order in which they came.",
        {"in": {"subject": "echo", "text": "1"}},
        _request(2, "echo", text="2"),
        {"in": {"subject": "echo", "text": "3"}},
        {"out": {"subject": "echo", "text": "1"}},
        _reply(2, text="2"),
        {"out": {"subject": "echo", "text": "3"}},
    ),
    _scene(
        "server-json-bytes-and-charsets",
        "Content of each kind comes back as it was.",
        _request(1, "echo", json={"a": [1, 2.5, None, True, "ß"]}),
        _reply(1, json={"a": [1, 2.5, None, True, "ß"]}),
        _request(2, "echo", hex="00ff", repeat=1000),
        _reply(2, hex="00ff", repeat=1000),
        _request(3, "echo", **{"text": "ß", "content-encoding": "latin-1"}),
        _reply(3, text="ß"),
    ),
    _scene(
        "server-four-headers",
        "A request needs its kind, its id and its length; each other field has a default.",
        {"in": {"bytes": [{"hex": "0040"}, {"hex": _BARE.hex()}]}},
        {"out": {"kind": "error", "re": 5, "code": "no-handler"}},
    ),
    _scene(
        "server-message-in-pieces",
        "A message may come in any pieces.",
        {"in": {"bytes": [{"hex": "00"}]}},
        {"in": {"bytes": [{"hex": "40"}]}},
        {"in": {"bytes": [{"hex": _BARE[:20].hex()}]}},
        {"in": {"bytes": [{"hex": _BARE[20:].hex()}]}},
        {"out": {"kind": "error", "re": 5, "code": "no-handler"}},
    ),
    _scene(
        "server-good-before-broken",
        "Messages before a broken one are answered, and then the error is the last word.",
        _request(1, "echo", text="x"),
        {"in": {"bytes": [{"hex": "0000"}]}},
        _reply(1, text="x"),
        *_bad(),
    ),
    _scene(
        "server-nothing-after-broken",
        "Nothing behind a broken message is looked at.",
        {"in": {"bytes": [{"hex": "0000"}, {"hex": "0040"}, {"hex": _BARE.hex()}]}},
        *_bad(),
    ),
    _scene(
        "server-header-over-the-limit",
        "A header block over the limit is refused by its length.",
        {"in": {"bytes": [{"hex": "0401"}]}},
        *_bad(),
        setup="small",
    ),
    _scene(
        "server-content-at-the-limit",
        "Content of exactly the limit is taken.",
        _request(1, "echo", text="x", repeat=4096),
        _reply(1, text="x", repeat=4096),
        setup="small",
    ),
    _scene(
        "server-too-large-and-more",
        "A header block with another fault is broken, whatever its length says.",
        {"in": {"subject": 5, "content-length": 4097}},
        *_bad(),
        setup="small",
    ),
    _scene(
        "server-hello-after-plain-messages",
        "A hello may follow plain messages and pings.",
        {"in": {"subject": "echo", "text": "x"}},
        {"out": {"subject": "echo", "text": "x"}},
        *_pinged(),
        _hello(version=1),
        _WELCOME,
    ),
    _scene(
        "server-hello-again",
        "A second hello ends the conversation.",
        _hello(),
        _WELCOME,
        _hello(),
        *_bad(),
    ),
    _scene(
        "server-hello-with-unknown-members",
        "Members that are not known mean nothing.",
        _hello(version=1, agent="x", features=["requests"], limits={"else": 1}, other=[1]),
        _WELCOME,
    ),
    _scene(
        "server-hello-with-limits",
        "An answer over the limit of who asked is refused, and the conversation goes on.",
        _hello(limits={"max_content_size": 1000, "max_header_size": 300}),
        _WELCOME,
        _request(1, "large", text="1000"),
        _reply(1, hex="00", repeat=1000),
        _request(2, "large", text="1001"),
        {"out": {"kind": "error", "re": 2, "code": "too-large"}},
        *_pinged(),
    ),
    *(
        _scene(
            f"server-hello-{name}",
            "A hello whose content is not as it must be ends the conversation.",
            _hello(**members),
            *_bad(),
        )
        for name, members in _BROKEN_HELLOS.items()
    ),
    _scene(
        "server-hello-is-no-object",
        "The content of a hello is an object.",
        {"in": {"kind": "hello", "json": [1]}},
        *_bad(),
    ),
    _scene(
        "server-hello-is-bytes",
        "The header of a hello says that its content is JSON.",
        {"in": {"kind": "hello", "hex": b"{}".hex()}},
        *_bad(),
    ),
    _scene(
        "server-hello-in-utf-16",
        "A hello is in UTF-8.",
        {
            "in": {
                "kind": "hello",
                "hex": "{}".encode("utf-16-le").hex(),
                "content-type": "application/json",
                "content-encoding": "utf-16-le",
            }
        },
        *_bad(),
    ),
    _scene(
        "server-hello-in-upper-case",
        "Upper and lower case of a content type and a charset make no difference.",
        {
            "in": {
                "kind": "hello",
                "hex": b"{}".hex(),
                "content-type": "Application/JSON; x=1",
                "content-encoding": "UTF-8",
            }
        },
        _WELCOME,
    ),
    _scene(
        "server-token-that-is-not-known",
        "A token that the server does not know is refused.",
        _hello(token="another"),
        *_bad("unauthorized"),
        setup="token",
    ),
    _scene(
        "server-token-after-a-ping",
        "A ping may come before the token.",
        *_pinged(),
        _hello(token=TOKEN),
        _WELCOME,
        setup="token",
    ),
    _scene(
        "server-many-before-the-token",
        "More than 64 messages before the token are too many.",
        *(step for number in range(1, 65) for step in _pinged(number)),
        {"in": {"kind": "ping", "id": 65}},
        *_bad("unauthorized"),
        setup="token",
    ),
    _scene(
        "server-close-with-an-open-request",
        "Requests that came before the close are answered, and then the server closes.",
        _request(1, "echo", text="x"),
        _request(2, "count", text="2"),
        {"in": {"kind": "close", "json": {"code": "closed", "reason": "all is asked"}}},
        _reply(1, text="x"),
        _reply(2, more=True, text="1"),
        _reply(2, more=True, text="2"),
        _reply(2),
        _CLOSE,
        _END,
    ),
    _scene(
        "server-ending-error-with-an-open-request",
        "An error that ends the conversation counts as the close of its sender.",
        _request(1, "echo", text="x"),
        {"in": {"kind": "error", "code": "overloaded"}},
        _reply(1, text="x"),
        _CLOSE,
        _END,
    ),
    _scene(
        "server-close-without-content",
        "A close needs no content.",
        {"in": {"kind": "close"}},
        _CLOSE,
        _END,
    ),
    _scene(
        "server-close-that-cannot-be-read",
        "Content of a close that cannot be read counts as absent.",
        {"in": {"kind": "close", "hex": "7b", "content-type": "application/json"}},
        _CLOSE,
        _END,
    ),
    _scene(
        "server-error-without-members",
        "An error without a code does not end the conversation.",
        {"in": {"kind": "error", "json": {}}},
        {"in": {"kind": "error", "json": {"code": 5}}},
        {"in": {"kind": "error", "hex": "ff"}},
        *_pinged(),
    ),
    _scene(
        "server-unknown-kind-without-id",
        "The answer to a kind that is not known has a re if that has an id.",
        {"in": {"kind": "not-a-kind", "text": "x"}},
        {"out": {"kind": "error", "code": "unsupported-kind"}},
        *_pinged(),
    ),
    *(
        _scene(
            f"server-reserved-{kind}",
            "A kind that is reserved is not known in this version.",
            {"in": {"kind": kind, "id": 4, "text": "x"}},
            {"out": {"kind": "error", "re": 4, "code": "unsupported-kind"}},
        )
        for kind in _RESERVED
    ),
    _scene(
        "server-ping-with-content",
        "Content of a ping means nothing.",
        {"in": {"kind": "ping", "id": 1, "text": "x", "repeat": 65_536}},
        {"out": {"kind": "pong", "re": 1}},
    ),
    _scene(
        "server-two-messages-at-once",
        "Messages may come together, in one piece.",
        {"in": {"bytes": [{"hex": f"0040{_BARE.hex()}0040{_BARE.replace(b'5', b'6').hex()}"}]}},
        {"out": {"kind": "error", "re": 5, "code": "no-handler"}},
        {"out": {"kind": "error", "re": 6, "code": "no-handler"}},
    ),
    _scene(
        "server-request-after-close",
        "Nothing may come after a close.",
        {"in": {"kind": "close"}},
        _CLOSE,
        _END,
        {"in": {"kind": "request", "id": 1, "subject": "echo", "text": "x"}},
    ),
    _scene(
        "server-end-with-parts-to-send",
        "A request that came before the end of the stream is answered with all its parts.",
        _request(1, "count", text="2"),
        {"in": "end"},
        _reply(1, more=True, text="1"),
        _reply(1, more=True, text="2"),
        _reply(1),
        _CLOSE,
        _END,
    ),
    _timed(
        "server-waits-for-hello",
        "A demanded hello has 10 s, also while pings come.",
        {"elapse": 9},
        *_pinged(),
        {"elapse": 1.5},
        *_bad("timeout"),
    )
    | {"setup": "token"},
    _timed(
        "server-waits-for-a-header",
        "A header block has 10 s from its first byte.",
        {"elapse": 100},
        {"in": {"bytes": [{"hex": "00"}]}},
        {"elapse": 9},
        {"in": {"bytes": [{"hex": "3f7b"}]}},
        {"elapse": 1.5},
        *_bad("timeout"),
    ),
    _timed(
        "server-waits-for-content",
        "Content comes with at least 1,024 bytes a second, over 10 s.",
        {"in": {"subject": "echo", "content-length": 100_000}},
        {"elapse": 5},
        {"in": {"bytes": [{"hex": "00", "repeat": 20_000}]}},
        {"elapse": 6},
        {"in": {"bytes": [{"hex": "00", "repeat": 5_000}]}},
        {"elapse": 11},
        *_bad("timeout"),
    ),
    _timed(
        "server-pings-a-silent-client",
        "A client that asked for keepalive is pinged after 20 s of silence, and ended 20 s later.",
        _hello(keepalive=True),
        _WELCOME,
        {"elapse": 21},
        {"out": {"kind": "ping", "id": "$p"}},
        {"in": {"kind": "pong", "re": "$p"}},
        {"elapse": 21},
        {"out": {"kind": "ping", "id": "$q"}},
        {"elapse": 21},
        *_bad("timeout"),
    ),
    _timed(
        "server-lets-others-be-silent",
        "A client that did not ask for keepalive may be silent for any time.",
        _hello(keepalive=False),
        _WELCOME,
        {"elapse": 1000},
        *_pinged(),
    ),
    _scene(
        "server-quick-hello",
        "A demanded hello has its time.",
        {"elapse": 1},
        *_bad("timeout"),
        setup="quick-token",
    ),
    _scene(
        "server-quick-header",
        "A header block has its time.",
        {"in": {"bytes": [{"hex": "00"}]}},
        {"elapse": 1},
        *_bad("timeout"),
        setup="quick",
    ),
    _scene(
        "server-quick-ping",
        "A client that asked for keepalive and does not answer is ended.",
        _hello(keepalive=True),
        _WELCOME,
        {"elapse": 1},
        {"out": {"kind": "ping", "id": "$p"}},
        {"elapse": 1},
        *_bad("timeout"),
        setup="quick",
    ),
]
