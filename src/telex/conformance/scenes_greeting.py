"""Scenes with a server under test: what a hello may hold, and when it may come."""

from __future__ import annotations

from typing import Any, Final

from telex.conformance.setups import TOKEN
from telex.conformance.steps import (
    END,
    WELCOME,
    ends_with,
    hello,
    pinged,
    reply,
    request,
    server_scene,
)

_BROKEN_HELLOS: Final[dict[str, dict[str, Any]]] = {
    "version-2": {"version": 2},
    "version-true": {"version": True},
    "version-text": {"version": "1"},
    "agent-number": {"agent": 5},
    "limits-list": {"limits": []},
    "limit-255": {"limits": {"max_content_size": 255}},
    "limit-true": {"limits": {"max_header_size": True}},
    "limit-text": {"limits": {"max_header_size": "1000"}},
    "token-number": {"token": 5},
    "token-null": {"token": None},
    "keepalive-yes": {"keepalive": "yes"},
    "features-text": {"features": "requests"},
    "features-numbers": {"features": [1]},
}
"""Contents of a hello that are refused, by the member at fault."""

SCENES: Final[list[dict[str, Any]]] = [
    server_scene(
        "server-token",
        "With a token that it knows, the server says welcome.",
        {"in": {"kind": "hello", "json": {"version": 1, "token": TOKEN}}},
        {"out": {"kind": "welcome"}},
        request(1, "echo", text="x"),
        reply(1, text="x"),
        setup="token",
    ),
    server_scene(
        "server-stranger",
        "Without the token, nothing else is allowed.",
        request(1, "echo", text="x"),
        {"out": {"kind": "error", "code": "unauthorized"}},
        {"out": "end"},
        setup="token",
    ),
    server_scene(
        "server-hello-after-plain-messages",
        "A hello may follow plain messages and pings.",
        {"in": {"subject": "echo", "text": "x"}},
        {"out": {"subject": "echo", "text": "x"}},
        *pinged(),
        hello(version=1),
        WELCOME,
    ),
    server_scene(
        "server-hello-again",
        "A second hello ends the conversation.",
        hello(),
        WELCOME,
        hello(),
        *ends_with("bad-message"),
    ),
    server_scene(
        "server-hello-with-unknown-members",
        "Members that are not known mean nothing.",
        hello(version=1, agent="x", features=["requests"], limits={"else": 1}, other=[1]),
        WELCOME,
    ),
    server_scene(
        "server-hello-with-limits",
        "An answer over the limit of who asked is refused, and the conversation goes on.",
        hello(limits={"max_content_size": 1000, "max_header_size": 300}),
        WELCOME,
        request(1, "large", text="1000"),
        reply(1, hex="00", repeat=1000),
        request(2, "large", text="1001"),
        {"out": {"kind": "error", "re": 2, "code": "too-large"}},
        *pinged(),
    ),
    *(
        server_scene(
            f"server-hello-{name}",
            "A hello whose content is not as it must be ends the conversation.",
            hello(**members),
            *ends_with("bad-message"),
        )
        for name, members in _BROKEN_HELLOS.items()
    ),
    *(
        server_scene(
            f"server-hello-{name}",
            "A number with a fraction or an exponent is no integer, in a hello too.",
            {"in": {"kind": "hello", "content-type": "application/json", "text": text}},
            *ends_with("bad-message"),
        )
        for name, text in [
            ("version-1.0", '{"version":1.0}'),
            ("limit-1e3", '{"limits":{"max_content_size":1e3}}'),
        ]
    ),
    server_scene(
        "server-closing-stranger",
        "A server that was never shown a demanded token delivers nothing, in closing neither.",
        *pinged(1),
        {"do": {"shut down": True}},
        {"out": {"kind": "close", "code": "shutting-down"}},
        {"in": {"subject": "echo", "text": "x"}},
        END,
        setup="token",
    ),
    server_scene(
        "server-hello-is-no-object",
        "The content of a hello is an object.",
        {"in": {"kind": "hello", "json": [1]}},
        *ends_with("bad-message"),
    ),
    server_scene(
        "server-hello-is-bytes",
        "The header of a hello says that its content is JSON.",
        {"in": {"kind": "hello", "hex": b"{}".hex()}},
        *ends_with("bad-message"),
    ),
    server_scene(
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
        *ends_with("bad-message"),
    ),
    server_scene(
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
        WELCOME,
    ),
    server_scene(
        "server-token-that-is-not-known",
        "A token that the server does not know is refused.",
        hello(token="another"),
        *ends_with("unauthorized"),
        setup="token",
    ),
    server_scene(
        "server-token-after-a-ping",
        "A ping may come before the token.",
        *pinged(),
        hello(token=TOKEN),
        WELCOME,
        setup="token",
    ),
    server_scene(
        "server-many-before-the-token",
        "More than 64 messages before the token are too many.",
        *(step for number in range(1, 65) for step in pinged(number)),
        {"in": {"kind": "ping", "id": 65}},
        *ends_with("unauthorized"),
        setup="token",
    ),
]
