"""The log while a command runs: on standard error, unless the application has its own way."""

from __future__ import annotations

import io
import logging

import pytest

from telex import ConnectionClosedError, ProtocolError
from telex.cli.log import shown_log

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
