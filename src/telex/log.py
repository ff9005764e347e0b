"""Loggers whose lines a peer cannot forge, and whose escape sequences reach no terminal.

Text from peers gets into the log by many ways, the least visible being the text of an exception
that a handler raised. So it is made safe here, at the last moment, and nowhere else.
"""

from __future__ import annotations

import logging
import textwrap
import traceback

from telex.printable import printable


def safe_logger(name: str) -> logging.Logger:
    """Return the logger of this name; whatever is logged through it is printable."""
    logger = logging.getLogger(name)
    logger.addFilter(_make_printable)
    return logger


def _make_printable(record: logging.LogRecord) -> bool:
    """Escape the message; escape and indent the traceback, so that it cannot pass for lines."""
    message = record.getMessage()
    if not message.isprintable():
        record.msg, record.args = printable(message), None
    if record.exc_info and not record.exc_text:
        lines = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n").split("\n")
        record.exc_text = textwrap.indent("\n".join(printable(line) for line in lines), "  ")
    return True
