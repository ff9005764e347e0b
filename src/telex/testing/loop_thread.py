"""An event loop in a thread of its own, used from blocking code."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

    Result = TypeVar("Result")

_TIMEOUT: Final = 30.0
"""Seconds after which a coroutine counts as hanging."""


class LoopThread:
    """An event loop in a thread; ``unhandled`` has the contexts of its exception handler.

    >>> import asyncio
    >>> thread = LoopThread()
    >>> thread.do(asyncio.sleep(0, "done"))
    'done'
    >>> thread.stop()
    """

    def __init__(self) -> None:
        self.unhandled: Final[list[dict[str, Any]]] = []
        self._loop: Final = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _loop, context: self.unhandled.append(context))
        self._thread: Final = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in the loop, and return its result; raises what it raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_TIMEOUT)

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Start a coroutine in the loop, and return a future of its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self) -> None:
        """Cancel all tasks, and end the loop."""

        async def cancel_all() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.do(cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TIMEOUT)
        if self._thread.is_alive():
            raise RuntimeError(f"the event loop did not end within {_TIMEOUT:g} s")
        self._loop.close()
