"""Servers for tests: started by a call, shut down with the context, which raises failures."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from telex.testing.failures import Failures, observed
from telex.testing.serving import start

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from telex.address import Address
    from telex.application.application import Application
    from telex.testing.serving import FrontEnd, Serving

_TIMEOUT: Final = 30.0
"""Seconds after which a server that does not end counts as hanging."""

_LOGGER: Final = logging.getLogger("telex.server")


class Servers:
    """Starts servers for tests, and shuts them down at the end of its context.

    Call the object with an application: it starts a server in the background, on a free port, and
    returns the address. With ``tls`` the address is a ``tls://`` address. The server is one of
    ``telex.asyncio`` if a handler or a hook is async, and of ``telex.sync`` otherwise;
    ``front_end`` overrides this. Further keywords are those of ``serve()``.

    ``failures`` has the exceptions of handlers, and the errors that servers log. The end of the
    context raises those that are left, in a group with the exception that leaves the context: a
    test removes what it expects. An AssertionError or ``pytest.fail()`` is raised alone, with notes
    about the other failures.

    >>> import telex
    >>> app = telex.Application()
    >>> @app.on("greet")
    ... def greet(message):
    ...     return f"hello {message.content}"
    >>> with Servers() as serve, telex.sync.connect(serve(app)) as connection:
    ...     connection.request("you", subject="greet", timeout=10).content
    'hello you'
    """

    def __init__(self) -> None:
        self.failures: Final = Failures()
        """Failures of handlers and servers; ``pop()`` those that the test expects."""
        self._servers: Final[dict[Address, Serving]] = {}
        self._log: Final = _ErrorLog(self.failures)

    def __call__(
        self,
        application: Application,
        *,
        address: str | Address | None = None,
        front_end: FrontEnd | None = None,
        **options: Any,
    ) -> Address:
        """Start a server, and return its address; raises what ``serve()`` raises."""
        if address is None:
            scheme = "tcp" if options.get("tls") is None else "tls"
            address = f"{scheme}://127.0.0.1:0"
        if front_end is None:
            front_end = "asyncio" if application.async_names else "sync"
        serving = start(front_end, observed(application, self.failures), address, options)
        self._servers[serving.address] = serving
        return serving.address

    def stop(self, address: Address) -> None:
        """Shut down the server at this address, as ``server.shutdown()`` does, and wait for it.

        Raises ValueError when there is no such server, RuntimeError when the server does not stop.
        """
        if address not in self._servers:
            raise ValueError(f"there is no server at {address}, or no longer")
        serving = self._servers.pop(address)
        serving.shutdown()
        self._see_end(serving, _TIMEOUT)

    def __enter__(self) -> Self:
        _LOGGER.addHandler(self._log)
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self.failures.raised_after(exception):
            try:
                self._stop_all()
            finally:
                _LOGGER.removeHandler(self._log)

    def _stop_all(self) -> None:
        """Shut down all servers at once, and wait; a server that does not end is a failure."""
        servings = list(self._servers.values())
        self._servers.clear()
        for serving in servings:
            serving.shutdown()
        deadline = time.monotonic() + _TIMEOUT
        for serving in servings:
            try:
                self._see_end(serving, max(0.0, deadline - time.monotonic()))
            except RuntimeError as failure:
                self.failures.note(failure)

    def _see_end(self, serving: Serving, timeout: float) -> None:
        """Wait for a server to end, and add its failures; raises RuntimeError if it does not."""
        if not serving.has_ended(timeout):
            raise RuntimeError(f"the server at {serving.address} did not end in {_TIMEOUT:g} s")
        for failure in serving.clean_up():
            self.failures.note(failure)


class _ErrorLog(logging.Handler):
    """Adds the errors in the log to the failures."""

    def __init__(self, failures: Failures) -> None:
        super().__init__(logging.ERROR)
        self._failures = failures

    def emit(self, record: logging.LogRecord) -> None:
        """Add an error to the failures."""
        error = record.exc_info[1] if record.exc_info else None
        self._failures.note(error or RuntimeError(record.getMessage()))
