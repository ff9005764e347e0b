"""The history of typed lines, a file in the user's state directory."""

from __future__ import annotations

import os
from pathlib import Path


def state_directory() -> Path:
    """Return the directory for files such as the history (XDG Base Directory, 0.8)."""
    given = os.environ.get("XDG_STATE_HOME", "")
    base = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state"
    return base / "telex"


def history_file() -> Path:
    """Return the history file, which only its owner may read; raises OSError."""
    directory = state_directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = directory / "history"
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    return file
