"""Steps of which the scenes are made, and the two kinds of scenes with a server under test."""

from __future__ import annotations

from typing import Any, Final

Step = dict[str, Any]

END: Final[Step] = {"out": "end"}
CLOSE: Final[Step] = {"out": {"kind": "close"}}
WELCOME: Final[Step] = {"out": {"kind": "welcome"}}
RELEASE: Final[Step] = {"in": {"subject": "release"}}


def server_scene(name: str, shows: str, *steps: Step, setup: str = "plain") -> dict[str, Any]:
    """Return a conversation with a server, which a connection alone can show."""
    return {"name": name, "shows": shows, "role": "server", "setup": setup, "steps": list(steps)}


def timed_scene(name: str, shows: str, *steps: Step, setup: str = "plain") -> dict[str, Any]:
    """Return a scene of the default limits on time, for whoever can hand the time in."""
    scene = server_scene(name, shows, setup=setup)
    return {**scene, "needs": ["clock"], "steps": list(steps)}


def ends_with(code: str) -> list[Step]:
    """Return the steps in which the tested end ends the conversation with an error."""
    return [{"out": {"kind": "error", "code": code}}, END]


def request(number: int, subject: str, **content: Any) -> Step:
    """Return the step in which a request comes."""
    return {"in": {"kind": "request", "id": number, "subject": subject, **content}}


def reply(number: int, **content: Any) -> Step:
    """Return the step in which its answer, or a part of that, goes."""
    return {"out": {"kind": "reply", "re": number, **content}}


def hello(**members: Any) -> Step:
    """Return the step in which a hello with these members comes."""
    return {"in": {"kind": "hello", "json": members}}


def pinged(number: int = 900) -> list[Step]:
    """Return the steps that show that the tested end goes on."""
    return [{"in": {"kind": "ping", "id": number}}, {"out": {"kind": "pong", "re": number}}]
