"""What ends a command: a line for people and an exit code for programs."""

from __future__ import annotations

import os
import sysconfig
import traceback
from typing import Final

FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130
"""As a shell says it: 128 and the number of SIGINT."""
OUTPUT_CLOSED: Final = 141
"""As a shell says it: 128 and the number of SIGPIPE."""

_OF_LIBRARIES: Final = tuple(
    sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


class CommandError(Exception):
    """The command failed for a reason its user can do something about; the text is that line."""


class UsageError(CommandError):
    """The command was called in a way that it does not understand."""


def described(failure: Exception) -> str:
    """Say in a line what went wrong in a user's code, and where: ``KeyError: 'x' (FILE, line N)``.

    The place is the last one that is no library's, if there is one.
    """
    reason = f"{type(failure).__name__}: {failure}".rstrip(": ")
    frames = traceback.extract_tb(failure.__traceback__)[1:]  # the first is where it was caught
    if isinstance(failure, SyntaxError) or not frames:
        return reason
    place = next((frame for frame in reversed(frames) if _is_own(frame.filename)), frames[-1])
    return f"{reason} ({place.filename}, line {place.lineno})"


def _is_own(file: str) -> bool:
    """Say whether a file is neither Python's nor installed."""
    return not file.startswith(("<", *_OF_LIBRARIES))
