"""The way of every line to the log: printable, short, bounded in rate, and without consequences.

Text from peers gets into the log by many ways, the least visible being the text of an exception
that a handler raised. So it is escaped and cut here, at the last moment, and nowhere else. A peer
that causes many lines gets few of them written: what was left out is counted, and the count is
written. What a handler or a filter of the program raises changes nothing for whoever logs.
"""

from __future__ import annotations

import logging
import sys
import textwrap
import traceback
import warnings
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from telex.printable import printable

if TYPE_CHECKING:
    from types import FrameType

LONGEST_LINE: Final = 2_000
"""Characters of one line of the log."""

MOST_TRACEBACK_LINES: Final = 100
"""Lines of one traceback; more are left out of its middle."""

_LONGEST_TRACEBACK_LINE: Final = 300

BURST_OF_PEER: Final = 64 * 1024
RATE_OF_PEER: Final = 8 * 1024
"""Characters about one peer that a log writes at once, and each second after that."""

BURST: Final = 1024 * 1024
RATE: Final = 64 * 1024
"""The same for all peers together, and once more for all lines that are about no peer."""

_LEAST_COST: Final = 100
"""Characters that a line counts at least: a handler adds the time, the level and the name."""

_MOST_PEERS: Final = 1024
"""Peers whose lines are counted at a time. A line about one more counts among all of them alone."""

_PAUSE_SECONDS: Final = 1.0
"""The shortest time between two lines that tell how many were left out."""

_LEFT_OUT: Final = "lines of the log were left out: %d"


class Named(Protocol):
    """Whom a line is about: a peer."""

    @property
    def address(self) -> str:
        """Where the peer is."""

    @property
    def identity(self) -> str | None:
        """Who the peer is, as far as that is verified."""


class _Budget:
    """How much may be written, and how many lines were left out. ``burst`` fills up at ``rate``."""

    __slots__ = ("_burst", "_left", "_rate", "_seen_at", "_told_at", "left_out", "level")

    def __init__(self, burst: int, rate: int) -> None:
        self._burst: Final = burst
        self._rate: Final = rate
        self._left: float = burst
        self._seen_at = self._told_at = monotonic()
        self.left_out: int = 0
        self.level: int = logging.NOTSET
        """The highest level of the lines that were left out."""

    def has_room(self) -> bool:
        """Whether another line may be written now."""
        now = monotonic()
        self._left = min(self._burst, self._left + (now - self._seen_at) * self._rate)
        self._seen_at = now
        return self._left > 0

    def is_full(self) -> bool:
        """Whether nothing has been written for so long that nothing is to be remembered."""
        return self.has_room() and self._left >= self._burst and not self.left_out

    def take(self, size: int) -> None:
        """Count a line that is written."""
        self._left -= max(size, _LEAST_COST)

    def leave_out(self, level: int, count: int = 1) -> None:
        """Count lines that are not written."""
        self.left_out += count
        self.level = max(self.level, level)

    def is_to_be_told(self) -> bool:
        """Whether it is time to write how many lines were left out."""
        return self.left_out > 0 and monotonic() - self._told_at >= _PAUSE_SECONDS

    def told(self) -> tuple[int, int]:
        """Return the level and the number of the lines that were left out, and begin anew."""
        told = self.level, self.left_out
        self.left_out = 0
        self.level = logging.NOTSET
        self._told_at = monotonic()
        return told


class Log:
    """A logger for lines that peers may cause; made by ``safe_logger``.

    With ``peer``, a line begins with the address of that peer, and its identity where it has one.
    Nothing is raised, except KeyboardInterrupt.
    """

    __slots__ = ("_budgets", "_everybody", "_forget_at", "_has_failed", "_itself", "_logger")

    def __init__(self, name: str) -> None:
        self._logger: Final = logging.getLogger(name)
        self._everybody = _Budget(BURST, RATE)
        self._itself = _Budget(BURST, RATE)
        self._budgets: Final[dict[str, _Budget]] = {}
        self._forget_at = 0.0
        self._has_failed = False

    def debug(self, text: str, *arguments: object, peer: Named | None = None) -> None:
        """Log what is of interest to whoever looks for a fault."""
        self._log(logging.DEBUG, text, arguments, peer)

    def info(self, text: str, *arguments: object, peer: Named | None = None) -> None:
        """Log what happens as it should."""
        self._log(logging.INFO, text, arguments, peer)

    def warning(self, text: str, *arguments: object, peer: Named | None = None) -> None:
        """Log what was lost or refused."""
        self._log(logging.WARNING, text, arguments, peer)

    def error(
        self,
        text: str,
        *arguments: object,
        peer: Named | None = None,
        exc_info: BaseException | None = None,
    ) -> None:
        """Log a fault of this program, with the traceback of ``exc_info``."""
        self._log(logging.ERROR, text, arguments, peer, exc_info)

    def exception(self, text: str, *arguments: object, peer: Named | None = None) -> None:
        """Log a fault of this program, with the traceback of the exception being handled."""
        self._log(logging.ERROR, text, arguments, peer, sys.exception())

    def log(self, level: int, text: str, *arguments: object, peer: Named | None = None) -> None:
        """Log at a level that is found out elsewhere."""
        self._log(level, text, arguments, peer)

    def forget(self, peer: Named) -> None:
        """Write how many lines about a peer were left out, if any were: no other line follows."""
        budget = self._budgets.pop(peer.address, None)
        if budget is not None and budget.left_out:
            self._tell_left_out(budget, peer)

    def tell_left_out(self, *, at_once: bool = False) -> None:
        """Write how many lines were left out for all peers together, when it is time to."""
        for budget in (self._everybody, self._itself):
            if budget.left_out and (at_once or (budget.is_to_be_told() and budget.has_room())):
                self._tell_left_out(budget, None)

    # Inside

    def _log(
        self,
        level: int,
        text: str,
        arguments: tuple[object, ...],
        peer: Named | None,
        error: BaseException | None = None,
    ) -> None:
        try:
            if not self._logger.isEnabledFor(level):
                return
            if peer is not None:
                text, arguments = f"%s: {text}", (who(peer), *arguments)
            budgets = self._budgets_of(peer)
            for budget in budgets:
                if not budget.has_room():
                    budget.leave_out(level)
                    return
            for budget in budgets:
                if budget.is_to_be_told():
                    self._tell_left_out(budget, peer if budget is budgets[0] else None)
            record = self._record(level, text, arguments, error, sys._getframe(2))
            size = len(record.getMessage()) + len(record.exc_text or "")
            for budget in budgets:
                budget.take(size)
            self._handle(record)
        except KeyboardInterrupt:
            raise
        except BaseException as failure:  # noqa: BLE001 - a log decides nothing
            self._note_failure(level, failure)

    def _handle(self, record: logging.LogRecord) -> None:
        self._logger.handle(record)
        self._has_failed = False

    def _budgets_of(self, peer: Named | None) -> tuple[_Budget, ...]:
        """Return what a line has to be within."""
        if peer is None:
            return (self._itself,)
        budgets = self._budgets
        own = budgets.get(peer.address)
        if own is None:
            if len(budgets) >= _MOST_PEERS:
                self._forget_the_silent()
                return (self._everybody,)
            own = budgets[peer.address] = _Budget(BURST_OF_PEER, RATE_OF_PEER)
        return own, self._everybody

    def _forget_the_silent(self) -> None:
        """Remember no more who has been silent for long; look for them now and then."""
        now = monotonic()
        if now >= self._forget_at:
            self._forget_at = now + _PAUSE_SECONDS
            for address, budget in list(self._budgets.items()):
                if budget.is_full():
                    self._budgets.pop(address, None)

    def _tell_left_out(self, budget: _Budget, peer: Named | None) -> None:
        """Write how many lines were left out."""
        level, count = budget.told()
        text, arguments = _LEFT_OUT, (count,)
        try:
            if peer is None:
                record = self._record(level, text, arguments, None, sys._getframe(1))
            else:
                named = (who(peer), count)
                record = self._record(level, f"%s: {text}", named, None, sys._getframe(1))
            budget.take(len(record.getMessage()))
            self._handle(record)
        except KeyboardInterrupt:
            raise
        except BaseException as failure:  # noqa: BLE001 - a log decides nothing
            self._note_failure(level, failure, count)

    def _record(
        self,
        level: int,
        text: str,
        arguments: tuple[object, ...],
        error: BaseException | None,
        frame: FrameType,
    ) -> logging.LogRecord:
        """Make a record whose message is one short printable line."""
        code = frame.f_code
        about = None if error is None else (type(error), error, error.__traceback__)
        record = self._logger.makeRecord(
            self._logger.name,
            level,
            code.co_filename,
            frame.f_lineno,
            text,
            arguments,
            about,
            code.co_name,
        )
        message = record.getMessage()
        line = shortened(message, LONGEST_LINE)
        if line != message:
            record.msg, record.args = line, None
        if error is not None:
            record.exc_text = _traceback_of(error)
        return record

    def _note_failure(self, level: int, failure: BaseException, count: int = 1) -> None:
        """Count lines that a handler, a filter or their own arguments kept from being written."""
        self._itself.leave_out(level, count)
        if self._has_failed:
            return
        self._has_failed = True
        try:
            problem = shortened(f"{type(failure).__name__}: {failure}", LONGEST_LINE)
            warnings.warn(f"the log cannot be written: {problem}", RuntimeWarning, stacklevel=2)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - the count is all that can be done
            return


_logs: Final[dict[str, Log]] = {}


def safe_logger(name: str) -> Log:
    """Return the logger of this name, which is the same for all who ask."""
    return _logs.setdefault(name, Log(name))


def who(peer: Named) -> str:
    """Return how the log names a peer: by its address, and its identity where it has one."""
    identity = peer.identity
    return peer.address if identity is None else f"{peer.address} ({identity})"


def shortened(text: str, most: int) -> str:
    """Return ``text`` as one printable line, of about ``most`` characters at most."""
    line = printable(text[:most])
    if len(text) <= most and len(line) <= most:
        return line
    left = len(text) - most
    rest = f" … {left:,} characters more" if left > 0 else " …"
    return line[:most] + rest


def _traceback_of(error: BaseException) -> str:
    """Return a traceback, escaped and indented, so that its lines cannot pass for others."""
    lines = "".join(traceback.format_exception(error)).rstrip("\n").split("\n")
    left = len(lines) - MOST_TRACEBACK_LINES
    if left > 0:
        half = MOST_TRACEBACK_LINES // 2
        lines = [*lines[:half], f"… {left:,} lines more", *lines[-half:]]
    shown = [shortened(line, _LONGEST_TRACEBACK_LINE) for line in lines]
    return textwrap.indent("\n".join(shown), "  ")
