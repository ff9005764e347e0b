"""Closing a connection while an exception is on its way to the caller, which matters more."""

from __future__ import annotations

from typing import Final

from telex.log import safe_logger

PATIENCE_AFTER_ERROR: Final = 1.0
"""Seconds that closing may take after an exception."""

logger: Final = safe_logger("telex.client")


def log_failed_close(peer_address: str, problem: Exception, exception: BaseException) -> None:
    """Log what went wrong with closing, which nobody is told otherwise."""
    logger.warning("%s: %s, after a %s", peer_address, problem, type(exception).__name__)
