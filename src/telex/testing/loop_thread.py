"""An event loop in a thread of its own, driven from blocking code. What runs in it is not known."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

    Result = TypeVar("Result")

_PATIENCE: Final = 30.0
"""Seconds after which something that runs there is taken to hang."""


class LoopThread:
    """An event loop in a thread; ``unhandled`` is what it had nobody to tell of.

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
        """Run a coroutine there, and return what it returns; raises what it raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_PATIENCE)

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Begin to run a coroutine there; return what will be done when it is."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self) -> None:
        """End the loop; whatever still runs in it is cancelled."""

        async def cancel_all() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.do(cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            raise RuntimeError(f"the event loop did not end within {_PATIENCE:g} s")
        self._loop.close()
