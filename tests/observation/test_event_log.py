"""``telex.event_log``: one line for each event, with the connection's name, and none unasked."""

from __future__ import annotations

import logging

import pytest

import telex.sync
from telex import Application, Message, Observer, RemoteError
from telex.event_log import EventLog
from telex.testing.serving import FrontEnd
from tests.behaviour.stage import PATIENCE
from tests.watching import serving


@pytest.fixture(params=["sync", "asyncio"])
def front_end(request: pytest.FixtureRequest) -> FrontEnd:
    """Name the front-end of the server."""
    kind: FrontEnd = request.param
    return kind


def lines_of(
    caplog: pytest.LogCaptureFixture, front_end: FrontEnd, observer: Observer | None
) -> list[str]:
    """Ask a server three things; return what it has logged, without times."""
    app = Application()

    @app.on("greet.*")
    def greet(message: Message) -> str:
        return "hello"

    @app.on("hidden")
    def hidden(message: Message) -> None:
        """Answer nothing."""

    with (
        serving(front_end, app, observer=observer) as server,
        telex.sync.connect(server.address) as connection,
    ):
        connection.request("you", subject="greet.all", timeout=PATIENCE)
        connection.send("x", subject="hidden")
        with pytest.raises(RemoteError):
            connection.request("x", subject="\x1b[31m\n", timeout=PATIENCE)
    return [record.getMessage() for record in caplog.records if record.name.startswith("telex.")]


def test_each_event_is_a_line_with_the_name(
    caplog: pytest.LogCaptureFixture, front_end: FrontEnd
) -> None:
    """From the connection's begin to its end, with escapes for what a peer has written."""
    caplog.set_level(logging.INFO, "telex")
    lines = lines_of(caplog, front_end, EventLog())
    name = lines[0].partition(": ")[0]
    events = [line.removeprefix(f"{name}: ").partition(" took ")[0] for line in lines]
    weird = "a message with subject '\\x1b[31m\\n'"
    told = [
        "connected",
        "received a message with subject 'greet.all', request, 3 bytes",
        "received a message with subject 'hidden', plain, 1 byte",
        f"received {weird}, request, 1 byte",
        "sent 5 bytes",
        "handler 'greet.*'",
        "handler 'hidden'",
        f"{weird} failed: no-handler",
        f"no handler takes {weird}",
        "disconnected",
    ]
    assert sorted(event for event in events if "shut down" not in event) == sorted(told)
    assert all(line.startswith(f"{name}: ") for line in lines if "shut down" not in line)


def test_without_it_the_log_is_quiet(caplog: pytest.LogCaptureFixture, front_end: FrontEnd) -> None:
    """Only what is not as it should be is logged, at the level that is shown by default."""
    caplog.set_level(logging.WARNING, "telex")
    [line] = lines_of(caplog, front_end, None)
    assert "no handler takes" in line


def test_the_level_can_be_chosen(caplog: pytest.LogCaptureFixture) -> None:
    """At a level that is not shown, nothing is."""
    caplog.set_level(logging.INFO, "telex")
    lines = lines_of(caplog, "sync", EventLog(logging.DEBUG))
    assert not any("received" in line for line in lines)
