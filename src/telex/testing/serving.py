"""A server of either front-end that runs in the background of a test."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.address import Address
    from telex.application.application import Application

FrontEnd = Literal["sync", "asyncio"]


class Serving(Protocol):
    """A running server of either front-end, in a thread of its own."""

    address: Address

    def shutdown(self) -> None:
        """Begin to shut down."""

    def has_ended(self, timeout: float) -> bool:
        """Wait at most so many seconds for its end; return whether it came."""

    def clean_up(self) -> list[BaseException]:
        """Release everything after the end; return the failures that reached nobody."""


class ServingInThread:
    """A server of ``telex.sync``, with the options of ``telex.sync.serve``."""

    def __init__(
        self, application: Application, address: str | Address, options: dict[str, Any]
    ) -> None:
        from telex.sync import serve

        server = serve(application, address, **options)
        self.address: Address = server.address
        self.shutdown: Callable[[], None] = server.shutdown
        self._failures: list[BaseException] = []

        def run() -> None:
            try:
                server.serve_forever(handle_signals=False)
            except BaseException as failure:  # noqa: BLE001 - clean_up returns it
                self._failures.append(failure)

        self._thread = threading.Thread(target=run, daemon=True, name="telex-server")
        self._thread.start()

    def has_ended(self, timeout: float) -> bool:
        """Wait at most so many seconds for its end; return whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def clean_up(self) -> list[BaseException]:
        """Return the exceptions of ``serve_forever``, such as those of start-up hooks."""
        return self._failures


class ServingInLoop:
    """A server of ``telex.asyncio``, with the options of ``telex.asyncio.serve``."""

    def __init__(
        self, application: Application, address: str | Address, options: dict[str, Any]
    ) -> None:
        from telex.asyncio import Server, serve
        from telex.testing.loop_thread import LoopThread

        self._loop_thread = LoopThread()

        async def start() -> Server:
            return await serve(application, address, **options)

        try:
            server = self._loop_thread.do(start())
        except BaseException:
            self._loop_thread.stop()
            raise
        self.address: Address = server.address
        self.shutdown: Callable[[], None] = server.shutdown
        self._end = self._loop_thread.start(server.serve_forever(handle_signals=False))

    def has_ended(self, timeout: float) -> bool:
        """Wait at most so many seconds for its end; return whether it came."""
        return bool(concurrent.futures.wait([self._end], timeout).done)

    def clean_up(self) -> list[BaseException]:
        """End the loop; return the failures of the server, and of tasks and callbacks."""
        self._loop_thread.stop()
        failure = self._end.exception()
        return [
            *([] if failure is None else [failure]),
            *(
                context.get("exception") or RuntimeError(context["message"])
                for context in self._loop_thread.unhandled
            ),
        ]


def start(
    front_end: FrontEnd, application: Application, address: str | Address, options: dict[str, Any]
) -> Serving:
    """Start a server with the options of ``serve()`` of its front-end; raises what that raises."""
    if front_end not in ("sync", "asyncio"):
        raise ValueError(f"front_end must be 'sync' or 'asyncio', not {front_end!r}")
    kind = ServingInThread if front_end == "sync" else ServingInLoop
    return kind(application, address, options)
