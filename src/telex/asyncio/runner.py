"""Runs a program on the fastest event loop that is installed.

The one place that knows of uvloop, which is imported here when it is first wanted.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

Result = TypeVar("Result")


def is_loop_running() -> bool:
    """Say whether this thread runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def run(
    main: Coroutine[Any, Any, Result], *, uvloop: bool | None = None, debug: bool | None = None
) -> Result:
    """Run a coroutine until it returns, as ``asyncio.run()`` does, and return its result.

    Uses uvloop if it is installed (``pip install uvloop``), and asyncio's own event loop
    otherwise. ``uvloop=True`` demands uvloop, and raises ImportError without it; ``uvloop=False``
    never uses it. Telex also works in an event loop that was started in another way. Raises
    RuntimeError where an event loop is running already, as in a notebook: ``await`` works there.

        telex.asyncio.run(main())
    """
    if is_loop_running():
        main.close()
        raise RuntimeError(
            "an event loop is running here, as it is in a notebook and in async functions; "
            "right would be 'await' in place of telex.asyncio.run()"
        )
    loop_factory = None
    if uvloop or (uvloop is None and importlib.util.find_spec("uvloop") is not None):
        try:
            loop_factory = importlib.import_module("uvloop").new_event_loop
        except ImportError as error:
            main.close()
            raise ImportError(f"uvloop is wanted and not installed: {error}") from error
    with asyncio.Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)
