"""The log: whatever peers and handlers put into it, its lines are lines and its text is text."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from telex.log import safe_logger


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


def test_logger_is_made_safe_once() -> None:
    """Asking for a logger again does not escape what was escaped."""
    safe_logger("telex.test")
    safe_logger("telex.test")
    assert len(logging.getLogger("telex.test").filters) == 1
