"""A progress bar on standard error, for sending that takes long."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress

    from telex import Message

_SECONDS_UNTIL_SHOWN: Final = 0.5
"""Faster sending shows no bar."""


class SendingProgress:
    """Counts sent messages, and shows a bar; ``total`` is in bytes, None if unknown."""

    def __init__(self, total: int | None, *, visible: bool) -> None:
        self.messages: int = 0
        self.bytes: int = 0
        self._total: Final = total
        self._bar: Progress | None = None
        self._start: Final = threading.Timer(_SECONDS_UNTIL_SHOWN, self._show) if visible else None
        self._lock: Final = threading.Lock()
        self._is_over = False

    def __enter__(self) -> Self:
        if self._start is not None and sys.stderr.isatty():
            self._start.daemon = True
            self._start.start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._start is not None:
            self._start.cancel()
        with self._lock:
            self._is_over = True
            if self._bar is not None:
                self._bar.stop()

    def add(self, messages: list[Message]) -> None:
        """Count messages that were sent."""
        self.messages += len(messages)
        self.bytes += sum(len(message.body) for message in messages)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self.bytes, messages=self.messages)

    def _show(self) -> None:
        with self._lock:
            if not self._is_over:
                self._bar = _bar(self._total, self.bytes, self.messages)
                self._bar.start()


def _bar(total: int | None, size: int, messages: int) -> Progress:
    """Make a bar that vanishes when it stops; the command then prints the total."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TransferSpeedColumn,
    )

    bar = Progress(
        TextColumn("sending"),
        BarColumn(),
        TextColumn("{task.fields[messages]:,} messages"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bar.add_task("sending", total=total, completed=size, messages=messages)
    return bar
