"""The log while a command runs: on standard error, unless the application has its own way."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import signal
import threading
import time

import pytest

from telex import Address, ConnectionClosedError, ProtocolError, RemoteError
from telex.cli.log import MOST_WAITING, LinesHandler, shown_log
from telex.cli.terminal import Lines
from tests.cli.stage import ANY_PORT, connected, program
from tests.sync.stage import PATIENCE, wait_until

logger = logging.getLogger("telex.server")
REFUSAL = ("%s: %s", "127.0.0.1:1", ProtocolError("is wrong", offset=0))
BREAK = ("%s: %s", "127.0.0.1:2", ConnectionClosedError("peer", "it went"))


def remove_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have logging as nobody has set it up; the test runner does so before each test."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


def test_warnings_and_errors_are_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are shown for the time of the command; lesser records are not."""
    remove_handlers(monkeypatch)
    with shown_log(with_endings=True):
        logger.info("nothing to see")
        logger.warning("careful")
        logger.warning(*REFUSAL)
    assert capsys.readouterr().err.splitlines() == [
        "telex: careful",
        "telex: 127.0.0.1:1: message at byte 0: is wrong",
    ]


def test_endings_can_be_left_to_a_transcript(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why a connection ended is not said twice; everything else is still said."""
    remove_handlers(monkeypatch)
    with shown_log(with_endings=False):
        logger.warning(*REFUSAL)
        logger.warning(*BREAK)
        logger.warning("%s: no handler takes %s", "127.0.0.1:1", "it")
    assert capsys.readouterr().err == "telex: 127.0.0.1:1: no handler takes it\n"


def test_an_application_may_log_its_own_way(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where logging is set up already, nothing is printed twice."""
    remove_handlers(monkeypatch)
    written = io.StringIO()
    logging.getLogger().addHandler(logging.StreamHandler(written))
    with shown_log(with_endings=True):
        logger.warning("careful")
    assert written.getvalue() == "careful\n"
    assert capsys.readouterr().err == ""


class Stuck(io.StringIO):
    """A stream that nobody reads, until the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = threading.Event()

    def write(self, text: str) -> int:
        """Wait to be read."""
        assert self.may_go.wait(PATIENCE)
        return super().write(text)


def test_nobody_waits_for_a_log_that_is_not_read() -> None:
    """Lines wait in bounded number, and how many were lost is written when somebody reads on."""
    stream = Stuck()
    handler = LinesHandler(Lines(stream))
    logger.addHandler(handler)
    begun_at = time.monotonic()
    try:
        for number in range(MOST_WAITING + 100):
            logger.warning("line %d", number)
        assert time.monotonic() - begun_at < PATIENCE / 2
        stream.may_go.set()
        wait_until(lambda: f"line {MOST_WAITING - 1}\n" in stream.getvalue(), "the lines are read")
    finally:
        logger.removeHandler(handler)
        handler.close()
    written = stream.getvalue()
    assert "telex: line 0\n" in written
    [lost] = re.findall(r"standard error was not read: (\d+) lines of the log are lost", written)
    assert written.count("telex: line ") + int(lost) == MOST_WAITING + 100


def test_the_end_does_not_wait_long_for_a_log_that_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command ends although its last lines are not written."""
    monkeypatch.setattr("telex.cli.log.END_SECONDS", 0.05)
    stream = Stuck()
    handler = LinesHandler(Lines(stream))
    logger.addHandler(handler)
    logger.warning("careful")
    logger.removeHandler(handler)
    begun_at = time.monotonic()
    handler.close()
    assert time.monotonic() - begun_at < PATIENCE / 2
    stream.may_go.set()


def test_a_command_that_forks_starts_no_thread() -> None:
    """It writes by itself; each process that it forks has a thread of its own."""
    stream = io.StringIO()
    handler = LinesHandler(Lines(stream), forks=True)
    logger.addHandler(handler)
    before = threading.active_count()
    logger.warning("careful")
    assert stream.getvalue() == "telex: careful\n"
    assert threading.active_count() == before
    logger.removeHandler(handler)
    handler.close()


@pytest.mark.parametrize("options", [(), ("--asyncio",), ("--workers=2",)])
def test_a_server_whose_log_is_not_read_goes_on(options: tuple[str, ...]) -> None:
    """However much there is to say: standard error is full, and peers are served."""
    reader, writer = os.pipe()
    try:
        fill(writer)
        with program("serve", "--listen", ANY_PORT, *options, stderr=writer) as server:
            line = server.wait_for("listening on ")
            address = Address.parse(line.removeprefix("listening on "))
            for _ in range(20):
                with connected(address) as connection:
                    for _ in range(10):
                        with pytest.raises(RemoteError, match="no-handler"):
                            connection.request("?", subject="none", timeout=PATIENCE)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(PATIENCE) == 0
    finally:
        os.close(reader)
        os.close(writer)


def fill(writer: int) -> None:
    """Write to a pipe until it takes no more."""
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"\0")
    os.set_blocking(writer, True)
