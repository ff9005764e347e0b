"""What the program gives a server to call or to log to: nothing there decides what happens inside.

Filters of the log, observers and hooks may raise whatever they like. The peers of the server are
served all the same, and each event is told once to whoever listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from telex import Application, ConnectionClosedError, Limits, Message, Observer, TelexError
from telex.event_log import EventLog
from telex.tokens import Tokens
from tests.behaviour.stage import (
    Connect,
    RunningServer,
    Serve,
    echoing,
    name_of,
    receive_all,
    receive_one,
    reset,
    sending,
    wait_until,
)
from tests.behaviour.transports import over_networks

FAILURES = [ValueError, SystemExit, asyncio.CancelledError]
SMALL = Message("small").to_bytes()

any_failure = pytest.mark.parametrize("failure", FAILURES)


class Failing(Observer):
    """Raises at each event, and counts them."""

    def __init__(self, failure: type[BaseException]) -> None:
        self.counts: Counter[str] = Counter()
        for event in vars(Observer):
            if not event.startswith("_"):
                setattr(self, event, self._failing(event, failure))

    def _failing(self, event: str, failure: type[BaseException]) -> Any:
        def fail(*facts: object) -> None:
            self.counts[event] += 1
            raise failure(f"no {event} today")

        return fail


@contextlib.contextmanager
def a_log_that_raises(failure: type[BaseException]) -> Iterator[None]:
    """Have a filter of the server's logger raise for the time of the context."""

    def refuse(record: logging.LogRecord) -> bool:
        raise failure("no log today")

    logger = logging.getLogger("telex.server")
    logger.addFilter(refuse)
    try:
        yield
    finally:
        logger.removeFilter(refuse)


def visit_as_strangers_do(server: RunningServer) -> None:
    """Reset a connection in a message, ask in HTTP, and ask what nobody handles."""
    with server.plug_in() as sock:
        sock.sendall(SMALL + SMALL[:-1])
        assert receive_one(sock).content == "small"
        reset(sock)
    with server.plug_in() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
        assert receive_all(sock)[-1].kind == "error"
    wait_until(lambda: len(server.events.gone) == 2, "both have gone")


def reset_in_a_message(server: RunningServer) -> None:
    """Reset a connection that has sent half a message."""
    with server.plug_in() as sock:
        name = name_of(sock)
        sock.sendall(SMALL[:-1])
        wait_until(lambda: len(server.events.peers) > 1, "it is connected")
        reset(sock)
    assert server.ending_of(name) is not None


@any_failure
@pytest.mark.filterwarnings("ignore:the log cannot be written:RuntimeWarning")
def test_a_log_that_raises_ends_nothing(
    serve: Serve, connect: Connect, failure: type[BaseException]
) -> None:
    """Whoever a stranger is, the others are served, and each end of a connection is told once."""
    server = serve(echoing())
    with a_log_that_raises(failure):
        visit_as_strangers_do(server)
        with connect(server) as connection:
            assert connection.request("still there?").content == "still there?"
            with pytest.raises(TelexError):
                connection.request("?", subject="fail")
        wait_until(lambda: len(server.events.gone) == 3, "all have gone")
        server.stop()
    assert sorted(server.events.gone) == sorted(peer.address for peer in server.events.peers)


@any_failure
def test_an_observer_that_raises_decides_nothing(
    serve: Serve, connect: Connect, failure: type[BaseException]
) -> None:
    """At none of the events, and the other observers are told all of them."""
    failing = Failing(failure)
    server = serve(echoing(), observers=[failing])
    with connect(server) as connection:
        assert connection.request("ask").content == "ask"
        with pytest.raises(TelexError):
            connection.request("?", subject="fail")
    reset_in_a_message(server)
    server.stop()
    counts = failing.counts
    assert counts["connected"] == counts["disconnected"] == len(server.events.peers)
    assert counts["handler_started"] == counts["handler_ended"] > 1
    assert counts["message_failed"] == 1
    events = {event for event in vars(Observer) if not event.startswith("_")}
    assert set(counts) == events - {"stalled"}  # nobody waits for the other here
    assert sorted(server.events.gone) == sorted(peer.address for peer in server.events.peers)


@any_failure
def test_hooks_that_raise_keep_no_other_from_being_called(
    serve: Serve, connect: Connect, failure: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither hooks for failures nor those at the end; each failure is an error in the log."""
    called: list[str] = []
    app = echoing()

    def fail(*facts: object) -> None:
        called.append("failing")
        raise failure("no hook today")

    app.on_failure(fail)
    app.on_failure(lambda *facts: called.append("failure"))
    app.on_shutdown(fail)
    app.on_shutdown(lambda: called.append("shutdown"))
    server = serve(app)
    with connect(server) as connection:
        for _ in range(2):
            with pytest.raises(TelexError, match="handler-failed"):
                connection.request("?", subject="fail")
    server.stop()
    assert called == [*["failing", "failure"] * 2, "failing", "shutdown"]
    failed = [line for line in map(logging.LogRecord.getMessage, caplog.records) if "hook" in line]
    assert len(failed) == 3


@any_failure
def test_an_answer_that_raises_while_it_is_written_is_a_failed_handler(
    serve: Serve, connect: Connect, failure: type[BaseException]
) -> None:
    """The types of a program run code of their own when they are written."""
    app = echoing()

    class Unwritable(Message):
        @property
        def body(self) -> Any:
            raise failure("no content today")

    @app.on("unwritable")
    def answer(message: Message) -> Message:
        return Unwritable("x")

    server = serve(app)
    with connect(server) as connection:
        with pytest.raises(TelexError, match="handler-failed"):
            connection.request("?", subject="unwritable")
        assert connection.request("ask").content == "ask"


@any_failure
def test_tokens_that_cannot_be_looked_up_refuse_for_now(
    serve: Serve, connect: Connect, failure: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """The client may try again, the others are served, and the log has the reason."""

    class Directory(Tokens):
        def owner_of(self, token: str) -> str | None:
            if token == "looked up":
                raise failure("the directory does not answer")
            return super().owner_of(token)

    server = serve(echoing(), tokens=Directory({"ada": "known"}))
    with pytest.raises(ConnectionClosedError, match="cannot look up tokens now") as caught:
        connect(server, token="looked up")
    assert caught.value.code == "overloaded"
    with connect(server, token="known") as connection:
        assert connection.request("ask").content == "ask"
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "the owner of a token could not be looked up" in errors[0].getMessage()
    caplog.clear()


# Lines about peers


@over_networks
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_probe_causes_no_warning(
    serve: Serve, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever connects, says nothing and goes has lost nothing."""
    server = serve(echoing())
    sock = server.plug_in()
    name = name_of(sock)
    wait_until(lambda: server.events.peers, "it is connected")
    if how == "reset":
        reset(sock)
    else:
        sock.close()
    server.ending_of(name)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record for record in warnings if record.name.startswith("telex")] == []


@pytest.mark.parametrize("how", ["close", "break"])
def test_who_wants_no_more_parts_causes_no_warning(
    serve: Serve, connect: Connect, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that breaks off an endless answer, and closes, has decided that by itself."""
    app = Application()

    @app.on("watch")
    def watch(message: Message) -> Iterator[bytes]:
        while True:
            yield bytes(1_000)

    server = serve(app, limits=Limits(high_water=100_000))
    with connect(server) as connection:
        parts = connection.request_parts("all", subject="watch")
        assert len(next(parts).body) == 1_000
        if how == "break":
            parts.close()
    parts.close()
    server.ending()
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record for record in warnings if record.name.startswith("telex")] == []


def test_lines_name_the_owner_of_a_token(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """By address and name: a bad request can be followed to whoever has sent it."""
    app = Application()

    @app.on("sum")
    def add(message: Message) -> int:
        numbers: dict[str, int] = message.decode(dict[str, int])
        return sum(numbers.values())

    server = serve(app, tokens={"pump-7": "secret"})
    with connect(server, token="secret") as connection:
        for subject in ("sum", "none"):
            with pytest.raises(TelexError):
                connection.request("no numbers", subject=subject)
    address = server.events.peers[0].address
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert all(line.startswith(f"{address} (pump-7): ") for line in lines)


@pytest.mark.parametrize("with_events", [False, True])
def test_a_peer_cannot_fill_the_log(
    serve: Serve, with_events: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Of many long lines few are written, each of them cut; how many are missing is said."""
    caplog.set_level(logging.INFO)
    problem = {"code": "no-handler", "detail": "\x1b" * 10_000}
    error = Message(problem, content_type="application/problem+json", kind="error").to_bytes()
    unhandled = Message("?", subject="\x1b" * 2_000).to_bytes()
    server = serve(Application(), observers=[EventLog()] if with_events else [])
    with server.plug_in() as sock:
        name = name_of(sock)
        with sending(sock, error * 100 + unhandled * 500, then_end=True):
            while sock.recv(1 << 20):
                pass
        server.ending_of(name)
    wait_until(lambda: "left out" in caplog.text, "the count is written")
    for logger, most in (("telex.server", 100_000), ("telex.events", 100_000)):
        lines = [record.getMessage() for record in caplog.records if record.name == logger]
        assert max(map(len, lines), default=0) < 2_100
        assert sum(map(len, lines)) < most
