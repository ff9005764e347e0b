"""Every limit of a server, each passed by somebody, and what both sides see of it."""

from __future__ import annotations

import gc
import math

import pytest

from telex import Application, Limits, Message
from telex.connection.closing import LINGER_SECONDS
from telex.connection.output import Output
from telex.connection.times import LOOK_SECONDS
from telex.server import registry
from telex.sync import serve
from tests.sync.stage import (
    name_of,
    receive_all,
    running,
    wait_until,
    warnings_about,
)
from tests.talking import Talker

SMALL = Message("small").to_bytes()
MEBIBYTE = 1024 * 1024


def test_far_too_many_connections(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When there are too many even of those who are told so, they are closed without a word."""
    monkeypatch.setattr(registry, "MAX_REFUSED_CONNECTIONS", 1)
    with running(limits=Limits(max_connections=1)) as stage, stage.plug_in() as first:
        first.sendall(SMALL)
        assert first.recv(1)
        with stage.plug_in() as told, stage.plug_in() as untold:
            assert untold.recv(1) == b""
            assert [message.kind for message in receive_all(told)] == ["error"]
            [line] = warnings_about(caplog, name_of(untold))
    assert "too many connections even to be told so" in line


def test_what_was_cut_off_is_let_go_at_once() -> None:
    """max_buffered: nothing large of a connection that has ended waits for a garbage collection."""
    app = Application()
    app.on()(lambda message: bytes(message.content))
    limits = Limits(max_buffered=8 * MEBIBYTE)
    gc.collect()
    gc.disable()
    try:
        with (
            running(app, limits=limits, observer=None) as stage,
            Talker(stage.plug_in()) as good,
            stage.plug_in() as deaf,
        ):
            good.answer_to(good.ask(1))
            deaf.sendall(Message(15 * MEBIBYTE).to_bytes() + SMALL[:5])
            wait_until(lambda: len(stage.server._registry.drivers) == 1, "it is cut off")
            assert good.answer_to(good.ask(100)).body == bytes(100)
            outputs = [thing for thing in gc.get_objects() if isinstance(thing, Output)]
            assert sum(output.held for output in outputs) == 0
            assert stage.server._registry.bytes_held == 0
    finally:
        gc.enable()


def test_sweeping_goes_on_only_while_there_are_connections() -> None:
    """A server that nobody has connected to waits without waking up."""
    with serve(Application(), "tcp://127.0.0.1:0") as idle:
        assert idle._loop._seconds_to_wait(math.inf) is None
    assert LINGER_SECONDS > LOOK_SECONDS
