"""The errors and exit codes with which commands end."""

from __future__ import annotations

import os
import sysconfig
import traceback
from typing import Final

FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130
"""The exit code of shells: 128 + SIGINT."""
OUTPUT_CLOSED: Final = 141
"""The exit code of shells: 128 + SIGPIPE."""

_OF_LIBRARIES: Final = tuple(
    sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


class CommandError(Exception):
    """The command failed for a reason that its user can change; the text is one line."""


class UsageError(CommandError):
    """The command line is wrong."""


def described(failure: Exception) -> str:
    """Return one line about a failure of a user's code: ``KeyError: 'x' (FILE, line N)``.

    The place is the last one in the traceback that is outside of libraries, if there is one.
    """
    reason = f"{type(failure).__name__}: {failure}".rstrip(": ")
    frames = traceback.extract_tb(failure.__traceback__)[1:]  # the first is the caller
    if isinstance(failure, SyntaxError) or not frames:
        return reason
    place = next((frame for frame in reversed(frames) if _is_own(frame.filename)), frames[-1])
    return f"{reason} ({place.filename}, line {place.lineno})"


def _is_own(file: str) -> bool:
    """Say whether a file belongs neither to Python nor to an installed package."""
    return not file.startswith(("<", *_OF_LIBRARIES))
