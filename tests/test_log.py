"""The log: whatever peers and handlers put into it, its lines are lines, short and bounded."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from telex.log import (
    BURST,
    BURST_OF_PEER,
    LONGEST_LINE,
    MOST_TRACEBACK_LINES,
    Log,
    safe_logger,
)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Return what is written by the logger ``telex.test``."""
    stream = io.StringIO()
    logger = logging.getLogger("telex.test")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def test_message_is_one_printable_line(written: io.StringIO) -> None:
    """Line breaks, escape sequences and direction marks of a peer become visible escapes."""
    safe_logger("telex.test").warning("%s says %s", "127.0.0.1:1", "a\r\nb\x1b[2J\u202e\x85\u2028")
    assert written.getvalue() == "127.0.0.1:1 says a\\r\\nb\\x1b[2J\\u202e\\x85\\u2028\n"


def test_harmless_message_stays_as_it_is(
    written: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    """The arguments of a record survive, for handlers that group by them."""
    safe_logger("telex.test").warning("%s: grüße", "127.0.0.1:1")
    assert written.getvalue() == "127.0.0.1:1: grüße\n"
    assert caplog.records[0].args == ("127.0.0.1:1",)


def test_traceback_cannot_forge_lines(written: io.StringIO) -> None:
    """Every line of a traceback is indented and printable, also those of an exception's text."""
    try:
        raise ValueError("text of a peer\nWARNING forged\x1b[31m")
    except ValueError:
        safe_logger("telex.test").exception("failed")
    first, *traceback = written.getvalue().splitlines()
    assert first == "failed"
    assert traceback[0] == "  Traceback (most recent call last):"
    assert traceback[-2:] == ["  ValueError: text of a peer", "  WARNING forged\\x1b[31m"]
    assert all(line.startswith("  ") for line in traceback)


def test_logger_is_the_same_for_all_who_ask() -> None:
    """What is counted for one of them is counted for all."""
    assert safe_logger("telex.test") is safe_logger("telex.test")


class Caller(NamedTuple):
    """A peer, as the log names it."""

    address: str
    identity: str | None = None


@pytest.fixture
def log(written: io.StringIO) -> Log:
    """Return a log that has written nothing yet."""
    return Log("telex.test")


def test_line_names_the_peer(log: Log, written: io.StringIO) -> None:
    """By its address, and by its identity where that is verified."""
    log.warning("%s", "too much", peer=Caller("127.0.0.1:1"))
    log.warning("too much", peer=Caller("127.0.0.1:1", "pump-7"))
    assert written.getvalue().splitlines() == [
        "127.0.0.1:1: too much",
        "127.0.0.1:1 (pump-7): too much",
    ]


@pytest.mark.parametrize("character", ["a", "\x1b", "\U000e0001"])
def test_line_has_a_length(log: Log, written: io.StringIO, character: str) -> None:
    """However much a peer has said, and however long its escapes are."""
    log.warning("it says %s", character * 60_000)
    [line] = written.getvalue().splitlines()
    assert line.startswith("it says ")
    assert line.endswith("characters more")
    assert len(line) <= LONGEST_LINE + 40


def test_traceback_has_a_length(log: Log, written: io.StringIO) -> None:
    """Its begin and its end are written, which say where and what."""
    try:
        raise ValueError("\n".join(f"{number} {'x' * 10_000}" for number in range(1_000)))
    except ValueError:
        log.exception("failed")
    lines = written.getvalue().splitlines()
    assert len(lines) < MOST_TRACEBACK_LINES + 3
    assert len(written.getvalue()) < 40_000
    assert "test_log.py" in lines[2]
    assert lines[-1].startswith("  999 x")
    assert [line for line in lines if "lines more" in line]


def test_peer_has_a_rate(log: Log, written: io.StringIO) -> None:
    """One that causes more lines than that does not fill the log; what is missing is counted."""
    loud, quiet = Caller("127.0.0.1:1"), Caller("127.0.0.1:2")
    for _ in range(5_000):
        log.warning("x" * 500, peer=loud)
    count = len(written.getvalue().splitlines())
    assert BURST_OF_PEER / 600 < count < BURST_OF_PEER / 400
    log.warning("heard", peer=quiet)
    log.forget(loud)
    assert written.getvalue().splitlines()[count:] == [
        "127.0.0.1:2: heard",
        f"127.0.0.1:1: lines of the log were left out: {5_000 - count}",
    ]
    log.forget(loud)
    log.forget(quiet)
    assert len(written.getvalue().splitlines()) == count + 2


def test_what_was_left_out_is_told_before_the_next_line(
    log: Log, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the level of the worst of what is missing, and not before every single line."""
    loud = Caller("127.0.0.1:1")
    now = time.monotonic() + 10
    monkeypatch.setattr("telex.log.monotonic", lambda: now)
    for _ in range(200):
        log.error("x" * 1_000, peer=loud)
    for _ in range(10):
        now += 0.5
        for _ in range(10):
            log.warning("x" * 1_000, peer=loud)
    lines = written.getvalue().splitlines()
    notices = [line for line in lines if "left out" in line]
    assert 3 <= len(notices) <= 5
    assert int(notices[0].rpartition(" ")[2]) > 100


def test_all_peers_together_have_a_rate(
    log: Log, written: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    """Many peers do not fill the log either; what is about no peer is written all the same."""
    for number in range(10_000):
        log.error("x" * 1_000, peer=Caller(f"127.0.0.1:{number}"))
    lines = written.getvalue().splitlines()
    assert BURST / 1_100 < len(lines) < BURST / 900
    log.warning("shut down")
    log.tell_left_out(at_once=True)
    log.tell_left_out(at_once=True)
    assert written.getvalue().splitlines()[len(lines) :] == [
        "shut down",
        f"lines of the log were left out: {10_000 - len(lines)}",
    ]
    assert caplog.records[-1].levelno == logging.ERROR


def test_own_lines_have_a_rate(log: Log, written: io.StringIO) -> None:
    """Lines about no peer may be caused by one all the same."""
    for _ in range(3_000):
        log.warning("x" * 1_000)
    assert len(written.getvalue()) < 1.1 * BURST


FAILURES = [ValueError, SystemExit, asyncio.CancelledError, GeneratorExit]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("where", ["logger", "handler"])
def test_log_that_raises_changes_nothing(
    log: Log, written: io.StringIO, failure: type[BaseException], where: str
) -> None:
    """A filter that raises costs lines; one warning says why, and a line how many."""
    must_fail = True

    def refuse(record: logging.LogRecord) -> bool:
        if must_fail:
            raise failure("no log today")
        return True

    logger = logging.getLogger("telex.test")
    place = logger if where == "logger" else logger.handlers[0]
    place.addFilter(refuse)
    try:
        with pytest.warns(RuntimeWarning, match=r"cannot be written: \w+: no log today") as told:
            log.warning("lost")
        log.error("lost too")
        assert len(told) == 1
        must_fail = False
        log.warning("written")
        log.tell_left_out(at_once=True)
    finally:
        place.removeFilter(refuse)
    assert written.getvalue().splitlines() == ["written", "lines of the log were left out: 2"]


def test_what_cannot_be_written_raises_nothing(log: Log, written: io.StringIO) -> None:
    """The text of an exception is the work of whoever made its class."""

    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("it has no text")

    with pytest.warns(RuntimeWarning, match="it has no text"):
        log.warning("%s", SilentError())
    log.error("failed", exc_info=SilentError())
    assert "SilentError" in written.getvalue()


def test_ctrl_c_is_no_matter_of_the_log(log: Log) -> None:
    """It may come at any moment, and goes on to the program."""

    def interrupt(record: logging.LogRecord) -> bool:
        raise KeyboardInterrupt

    logger = logging.getLogger("telex.test")
    logger.addFilter(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            log.warning("interrupted")
    finally:
        logger.removeFilter(interrupt)


def test_many_peers_take_no_memory(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that has been silent for long is remembered no longer."""
    now = time.monotonic()
    monkeypatch.setattr("telex.log.monotonic", lambda: now)
    for number in range(5_000):
        now += 0.1
        log.warning("lost", peer=Caller(f"127.0.0.1:{number}"))
    assert len(log._budgets) <= 1024
    for number in range(5_000):
        log.warning("lost", peer=Caller(f"127.0.0.2:{number}"))
    assert len(log._budgets) <= 1024


def test_record_says_where_it_was_logged(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """In the module that logs, as with every logger."""
    log.warning("here")
    assert caplog.records[0].funcName == "test_record_says_where_it_was_logged"
    assert caplog.records[0].filename == "test_log.py"
