"""What is written down while a process runs: its log, and exceptions that reached nobody."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections import Counter
from typing import Any, Final

from tests.soak.application import ON_PURPOSE
from tests.soak.problems import Problems

_EXPECTED: Final = (ON_PURPOSE, "cannot be written", "the observer failed", "were left out")


class Records(logging.Handler):
    """Counts log records by level, and keeps each that tells of a fault of Telex.

    Exceptions of threads, and those that Python could not raise, are kept too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.levels: Final[Counter[str]] = Counter()
        self.problems: Final = Problems()

    def install(self, *disturbances: logging.Filter) -> None:
        """Take the records of all loggers; ``disturbances`` filter those of Telex."""
        logging.raiseExceptions = False
        for name in ("telex.server", "telex.client"):
            logger = logging.getLogger(name)
            logger.setLevel(logging.DEBUG)
            for disturbance in disturbances:
                logger.addFilter(disturbance)
        logging.getLogger().addHandler(self)
        sys.unraisablehook = self._take_unraisable
        threading.excepthook = self._take_thread_error

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record, and keep what tells of a fault."""
        self.levels[record.levelname] += 1
        text = self.format(record)  # as a handler that writes would
        is_expected = any(expected in text for expected in _EXPECTED)
        if record.levelno >= logging.ERROR and not is_expected:
            self.problems.add(f"logged by {record.name}: {text}")

    def _take_unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        error = unraisable.exc_value
        where = "".join(traceback.format_exception(error)) if error is not None else ""
        if ON_PURPOSE not in where:
            self.problems.add(
                f"ignored {unraisable.err_msg or 'exception'} in {unraisable.object}: {where}"
            )

    def _take_thread_error(self, arguments: Any) -> None:
        where = "".join(traceback.format_exception(arguments.exc_value))
        name = "a thread" if arguments.thread is None else arguments.thread.name
        self.problems.add(f"{name} ended with {where}")
