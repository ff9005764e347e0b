"""What Telex logs while a command runs, as lines on standard error.

The library makes its log printable itself. An application that sets up logging keeps its own way.
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
    """Print what is at least of this level; leave out why connections ended if that is shown."""
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
    """Print errors alone: whoever asks and waits is told the rest by what is raised."""
    return shown_log(least=logging.ERROR)


class _LinesHandler(logging.Handler):
    def __init__(self, lines: Lines, least: int) -> None:
        super().__init__(least)
        self._lines: Final = lines

    def emit(self, record: logging.LogRecord) -> None:
        style = "red" if record.levelno >= logging.ERROR else "yellow"
        with contextlib.suppress(OutputError):  # there is nowhere left to say it
            self._lines.line(("telex: ", style), self.format(record))


def _tells_of_an_ending(record: logging.LogRecord) -> bool:
    """Say whether a record is ``ADDRESS: REASON``, the end of a connection, and nothing more."""
    match record.args:
        case (str(), ProtocolError() | ConnectionClosedError(), *rest):
            return not any(rest)
    return False
