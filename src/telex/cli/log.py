"""Prints the log of Telex on standard error while a command runs.

The library has made its log printable and bounded already. If the application configures logging,
that stays. A thread writes the lines, so that a reader of standard error that does not read on
holds nobody up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from typing import TYPE_CHECKING, Final

from telex import ConnectionClosedError, ProtocolError
from telex.cli.terminal import Lines, OutputError, standard_error

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_WAITING: Final = 500
"""Lines that wait to be written; further ones are counted, and not written."""

_Line = tuple[str, str]
"""A style, and the text."""

END_SECONDS: Final = 1.0
"""How long the end of a command waits for its last lines to be written."""


@contextlib.contextmanager
def shown_log(
    *, with_endings: bool = True, least: int = logging.WARNING, forks: bool = False
) -> Iterator[None]:
    """Print records of at least level ``least``; ``with_endings`` includes ends of connections.

    A command that ``forks`` other processes starts no thread: only the others do.
    """
    logger = logging.getLogger("telex")
    if logging.getLogger().handlers or logger.handlers:
        yield
        return
    handler = LinesHandler(standard_error(), least, forks=forks)
    if not with_endings:
        handler.addFilter(lambda record: not _tells_of_an_ending(record))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def errors_only() -> contextlib.AbstractContextManager[None]:
    """Print errors alone: a command that waits for answers raises everything else."""
    return shown_log(least=logging.ERROR)


class LinesHandler(logging.Handler):
    """Has a thread write records as lines, one thread in each process that logs something.

    No record waits for its line to be written. Where ``MOST_WAITING`` lines wait, further ones are
    dropped, and a line says how many. In a process that ``forks`` others, records are written at
    once: a thread could hold a lock at the moment of a fork.
    """

    def __init__(self, lines: Lines, least: int = logging.NOTSET, *, forks: bool = False) -> None:
        super().__init__(least)
        self._lines = lines
        self._waiting: queue.Queue[_Line | None] = queue.Queue(MOST_WAITING)
        self._dropped = 0
        self._process = 0
        self._forking = os.getpid() if forks else 0

    def emit(self, record: logging.LogRecord) -> None:
        """Have a record written."""
        style = "red" if record.levelno >= logging.ERROR else "yellow"
        line = (style, self.format(record))
        if self._forking == os.getpid():
            self._print(line)
            return
        if self._process != os.getpid():
            self._start()
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Wait until everything is written, but for no longer than ``END_SECONDS``."""
        waiting = self._waiting
        if self._process == os.getpid():
            with waiting.all_tasks_done:
                waiting.all_tasks_done.wait_for(lambda: not waiting.unfinished_tasks, END_SECONDS)

    def close(self) -> None:
        """Write what waits, see ``flush``, and end the thread."""
        self.flush()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        super().close()

    def _start(self) -> None:
        """Begin in this process, which may have been forked while its parent wrote a line."""
        if self._process:
            self._lines = Lines(self._lines.stream)
            self._waiting = queue.Queue(MOST_WAITING)
            self._dropped = 0
        self._process = os.getpid()
        threading.Thread(target=self._write, name="telex-log", daemon=True).start()

    def _write(self) -> None:
        """Write lines until the end."""
        waiting = self._waiting
        while (line := waiting.get()) is not None:
            self._print(line)
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                lost = f"standard error was not read: {dropped:,} lines of the log are lost"
                self._print(("yellow", lost))
            waiting.task_done()

    def _print(self, line: _Line) -> None:
        style, text = line
        with contextlib.suppress(OutputError):  # standard error is gone too
            self._lines.line(("telex: ", style), text)


def _tells_of_an_ending(record: logging.LogRecord) -> bool:
    """Say whether a record is only ``ADDRESS: REASON``, the end of a connection."""
    match record.args:
        case (str(), ProtocolError() | ConnectionClosedError(), *rest):
            return not any(rest)
    return False
