"""Standard output of a server: when the output fails, the server shuts down as usual.

Lines are written while the server works, so writing raises nothing. The command asks for the error
after the server has ended.
"""

from __future__ import annotations

import select
import threading
from typing import TYPE_CHECKING, TextIO

from telex.cli.terminal import Lines, OutputClosedError, OutputError, Part

if TYPE_CHECKING:
    from collections.abc import Callable


class ServerOutput(Lines):
    """Lines that end a server when they cannot be written, or when nobody reads them any more."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._end: Callable[[], None] | None = None
        self._problem: OutputError | None = None

    def line(self, *parts: Part) -> None:
        """Write one line, unless one could not be written before."""
        if self._problem is None:
            try:
                super().line(*parts)
            except OutputError as problem:
                self._fail(problem)

    def end_with(self, end: Callable[[], None]) -> None:
        """Call ``end`` as soon as nobody reads the output, even if nothing is printed."""
        self._end = end
        if self._problem is not None:
            end()
        else:
            threading.Thread(target=self._await_closing, daemon=True).start()

    def check(self) -> None:
        """Raise OutputError if the output has failed."""
        if self._problem is not None:
            raise self._problem

    def look(self) -> None:
        """Find out whether nobody reads the output any more, where ``end_with`` was not called."""
        if self._is_closed(0):
            self._fail(OutputClosedError("nobody reads the output"))

    def _await_closing(self) -> None:
        if self._is_closed(None):
            self._fail(OutputClosedError("nobody reads the output"))

    def _is_closed(self, timeout: int | None) -> bool:
        """Wait at most ``timeout`` ms until nobody reads the output; return whether that is so."""
        if not hasattr(select, "poll"):  # Windows has nothing that tells
            return False
        poll = select.poll()
        poll.register(self.stream, 0)  # no event is asked for: POLLERR and POLLHUP always come
        return bool(poll.poll(timeout))

    def _fail(self, problem: OutputError) -> None:
        self._problem = self._problem or problem
        if self._end is not None:
            self._end()
