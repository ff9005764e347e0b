"""Fixtures for the tests of the command line."""

from __future__ import annotations

import pytest

from tests.cli.stage import Telex


@pytest.fixture
def telex(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Telex:
    """Return ``telex`` to be called in this process, on a screen of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    return Telex(capsys, monkeypatch)
