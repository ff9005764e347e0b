"""Whole lines on standard output and standard error: styled on a terminal, plain anywhere else.

Commands print everything through this module, line by line, from any thread. Text of a peer or of a
file must be ``printable`` already; markup is never interpreted.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Final, TextIO, cast

from telex.cli.failure import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedIOBase

    from rich.console import Console

Part = str | tuple[str, str]
"""A piece of a line: text, or text and the Rich style it has on a terminal."""


class OutputError(Exception):
    """A line could not be written, nor can later lines; the text says why."""


class OutputClosedError(OutputError):
    """Nobody reads the output any more, as after ``telex serve | head -1``."""


class Lines:
    """Writes lines to a stream, and flushes each of them."""

    def __init__(self, stream: TextIO) -> None:
        self.stream: Final = stream
        self._lock: Final = threading.Lock()
        self._console: Final = _styled_console(stream)
        reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")

    def line(self, *parts: Part) -> None:
        """Write one line; raises OutputError when the stream fails."""
        with self._lock, writing_to(self.stream):
            self._write(parts)

    def _write(self, parts: tuple[Part, ...]) -> None:
        if self._console is not None:
            from rich.text import Text

            self._console.print(Text.assemble(*parts), soft_wrap=True)
        else:
            text = "".join(part if isinstance(part, str) else part[0] for part in parts)
            self.stream.write(f"{text}\n")
            self.stream.flush()


@contextlib.contextmanager
def writing_to(stream: TextIO) -> Iterator[None]:
    """Turn the error of a stream into OutputError, and prevent the same error at exit."""
    try:
        yield
    except BrokenPipeError as problem:
        _discard(stream)
        raise OutputClosedError("nobody reads the output") from problem
    except OSError as problem:
        _discard(stream)
        reason = (problem.strerror or str(problem)).lower()
        raise OutputError(f"cannot write the output: {reason}") from problem


def _styled_console(stream: TextIO) -> Console | None:
    """Return a console of Rich for a terminal with styles, and None for plain text."""
    if not stream.isatty():
        return None
    from rich.console import Console

    console = Console(file=stream, highlight=False)
    if console.no_color or console.color_system is None:
        return None
    return console


def _discard(stream: TextIO) -> None:
    """Discard the buffer of a stream, so that flushing at exit does not fail again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def standard_output() -> Lines:
    """Return the lines of standard output: the results of a command."""
    return Lines(sys.stdout)


def standard_error() -> Lines:
    """Return the lines of standard error: errors and remarks."""
    return Lines(sys.stderr)


def standard_input() -> BufferedIOBase:
    """Return the bytes of standard input; raises CommandError if standard input is closed."""
    if sys.stdin is None:
        raise CommandError("standard input is closed")
    return cast("BufferedIOBase", sys.stdin.buffer)
