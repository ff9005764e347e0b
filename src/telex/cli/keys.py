"""Keys as they are pressed on a terminal, one by one, without waiting for a line.

POSIX terminals only. What a key means is for whoever asks.
"""

from __future__ import annotations

import os
import re
import select
import termios
import tty
from collections import deque
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

UP: Final = "up"
DOWN: Final = "down"
LEFT: Final = "left"
RIGHT: Final = "right"
END: Final = "end of input"

_ARROWS: Final = {"A": UP, "B": DOWN, "C": RIGHT, "D": LEFT}
_ONE_KEY: Final = re.compile(r"\x1b[\[O]([A-D])|\x1b[\[O][^@-~]*[@-~]|(.)", re.DOTALL)
"""An arrow, some other sequence that a key sends, or a character (ECMA-48, 5.4)."""

_READ_AT_ONCE: Final = 1024


class Keys:
    """The keyboard of a terminal, for the time of a context; then the terminal is as before.

    Ctrl-C stays what it is.
    """

    def __init__(self, terminal: TextIO) -> None:
        self._descriptor: Final = terminal.fileno()
        self._before: Final = termios.tcgetattr(self._descriptor)
        self._pressed: Final[deque[str]] = deque()

    def __enter__(self) -> Self:
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def next(self, patience: float) -> str | None:
        """Return the next key: a character, or one of the names here; None after ``patience`` s."""
        if not self._pressed and select.select([self._descriptor], [], [], max(0.0, patience))[0]:
            said = os.read(self._descriptor, _READ_AT_ONCE)
            self._pressed.extend(keys_in(said.decode("utf-8", "replace")) if said else [END])
        return self._pressed.popleft() if self._pressed else None


def keys_in(text: str) -> list[str]:
    r"""Return the keys that a terminal has sent.

    >>> keys_in("q\x1b[Ax")
    ['q', 'up', 'x']
    """
    found = [_ARROWS.get(match[1] or "", match[2]) for match in _ONE_KEY.finditer(text)]
    return [key for key in found if key]
