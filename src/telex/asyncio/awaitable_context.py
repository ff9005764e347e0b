"""Something that takes a while to open: awaited, or opened and closed by ``async with``.

What it opens is not known here.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from types import TracebackType

    from telex.application.peer import MessageKeywords
    from telex.wire.message import Message


Opened = TypeVar("Opened", bound=AbstractAsyncContextManager[Any])


class Opening(Generic[Opened]):
    """The result of ``connect()`` and ``serve()``: use once, with ``await`` or ``async with``."""

    __slots__ = ("_coroutine", "_opened", "_prepare")

    _prepare: Callable[[object, MessageKeywords], Message]
    """Makes the messages of a connection that is opened; see there. Servers have none."""

    def __init__(self, coroutine: Coroutine[Any, Any, Opened]) -> None:
        self._coroutine: Final = coroutine
        self._opened: Opened | None = None

    def __await__(self) -> Generator[Any, Any, Opened]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> Opened:
        self._opened = await self._coroutine
        return self._opened

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._opened is not None
        await self._opened.__aexit__(exception_type, exception, traceback)
