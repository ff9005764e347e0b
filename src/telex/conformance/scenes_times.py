"""Scenes with a server under test: its limits on time."""

from __future__ import annotations

from typing import Any, Final

from telex.conformance.steps import (
    WELCOME,
    ends_with,
    hello,
    pinged,
    server_scene,
    timed_scene,
)

SCENES: Final[list[dict[str, Any]]] = [
    timed_scene(
        "server-waits-for-hello",
        "A demanded hello has 10 s, also while pings come.",
        {"elapse": 9},
        *pinged(),
        {"elapse": 1.5},
        *ends_with("timeout"),
        setup="token",
    ),
    timed_scene(
        "server-waits-for-a-header",
        "A header block has 10 s from its first byte.",
        {"elapse": 100},
        {"in": {"bytes": [{"hex": "00"}]}},
        {"elapse": 9},
        {"in": {"bytes": [{"hex": "3f7b"}]}},
        {"elapse": 1.5},
        *ends_with("timeout"),
    ),
    timed_scene(
        "server-waits-for-content",
        "Content comes with at least 1,024 bytes a second, over 10 s.",
        {"in": {"subject": "echo", "content-length": 100_000}},
        {"elapse": 5},
        {"in": {"bytes": [{"hex": "00", "repeat": 20_000}]}},
        {"elapse": 6},
        {"in": {"bytes": [{"hex": "00", "repeat": 5_000}]}},
        {"elapse": 11},
        *ends_with("timeout"),
    ),
    timed_scene(
        "server-pings-a-silent-client",
        "A client that asked for keepalive is pinged after 20 s of silence, and ended 20 s later.",
        hello(keepalive=True),
        WELCOME,
        {"elapse": 21},
        {"out": {"kind": "ping", "id": "$p"}},
        {"in": {"kind": "pong", "re": "$p"}},
        {"elapse": 21},
        {"out": {"kind": "ping", "id": "$q"}},
        {"elapse": 21},
        *ends_with("timeout"),
    ),
    timed_scene(
        "server-lets-others-be-silent",
        "A client that did not ask for keepalive may be silent for any time.",
        hello(keepalive=False),
        WELCOME,
        {"elapse": 1000},
        *pinged(),
    ),
    server_scene(
        "server-quick-hello",
        "A demanded hello has its time.",
        {"elapse": 1},
        *ends_with("timeout"),
        setup="quick-token",
    ),
    server_scene(
        "server-quick-header",
        "A header block has its time.",
        {"in": {"bytes": [{"hex": "00"}]}},
        {"elapse": 1},
        *ends_with("timeout"),
        setup="quick",
    ),
    server_scene(
        "server-quick-ping",
        "A client that asked for keepalive and does not answer is ended.",
        hello(keepalive=True),
        WELCOME,
        {"elapse": 1},
        {"out": {"kind": "ping", "id": "$p"}},
        {"elapse": 1},
        *ends_with("timeout"),
        setup="quick",
    ),
    server_scene(
        "server-idle",
        "Where silence has a limit, who sends nothing for so long is ended.",
        *pinged(),
        {"elapse": 1},
        *ends_with("timeout"),
        setup="idle",
    ),
]
