"""Which event loops Telex works in."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def default_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes a loop that Telex works in, or None: asyncio's default is one."""
    return asyncio.SelectorEventLoop if sys.platform == "win32" else None


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop; raises RuntimeError for one that cannot watch sockets.

    That is the default loop on Windows (``asyncio.ProactorEventLoop``).
    """
    loop = asyncio.get_running_loop()
    if type(loop).add_reader is asyncio.AbstractEventLoop.add_reader:
        raise RuntimeError(
            f"Telex cannot work in {type(loop).__name__}, which watches no sockets; right would be "
            f"telex.asyncio.run(), or asyncio.run() with loop_factory=asyncio.SelectorEventLoop"
        )
    return loop
