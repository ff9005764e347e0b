"""Prints the log of Telex on standard error while a command runs.

The library has made its log printable already. If the application configures logging, that stays.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from telex import ConnectionClosedError, ProtocolError
from telex.cli.terminal import OutputError, standard_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.cli.terminal import Lines


@contextlib.contextmanager
def shown_log(*, with_endings: bool = True, least: int = logging.WARNING) -> Iterator[None]:
    """Print records of at least level ``least``; ``with_endings`` includes ends of connections."""
    logger = logging.getLogger("telex")
    if logging.getLogger().handlers or logger.handlers:
        yield
        return
    handler = _LinesHandler(standard_error(), least)
    if not with_endings:
        handler.addFilter(lambda record: not _tells_of_an_ending(record))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def errors_only() -> contextlib.AbstractContextManager[None]:
    """Print errors alone: a command that waits for answers raises everything else."""
    return shown_log(least=logging.ERROR)


class _LinesHandler(logging.Handler):
    def __init__(self, lines: Lines, least: int) -> None:
        super().__init__(least)
        self._lines: Final = lines

    def emit(self, record: logging.LogRecord) -> None:
        style = "red" if record.levelno >= logging.ERROR else "yellow"
        with contextlib.suppress(OutputError):  # standard error is gone too
            self._lines.line(("telex: ", style), self.format(record))


def _tells_of_an_ending(record: logging.LogRecord) -> bool:
    """Say whether a record is only ``ADDRESS: REASON``, the end of a connection."""
    match record.args:
        case (str(), ProtocolError() | ConnectionClosedError(), *rest):
            return not any(rest)
    return False
