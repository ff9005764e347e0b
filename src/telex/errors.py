"""Every exception that Telex raises.

    TelexError
    ├── ProtocolError              the peer broke the wire format
    │   ├── IncompleteMessageError the stream ended in the middle of a message
    │   └── TooLargeError          a header block or a content over its limit
    ├── ContentError               content or headers that cannot be written or read
    ├── AddressError               an address that cannot be understood or used
    ├── CredentialsError           a certificate, key or token that cannot be used
    ├── ConnectError               no connection could be made
    ├── ConnectionClosedError      the connection ended before the work was done
    ├── WaitTimeoutError           what was waited for did not come in time
    │   └── RequestTimeoutError    the answer to a request did not come in time
    ├── RemoteError                the peer answered with an error
    └── Refusal                    raised by a handler that refuses a request

Exceptions keep facts as attributes; the sentence is made from them. This module knows nothing of
messages or sockets, and stays interpreted: native classes cannot derive from built-in exceptions
other than Exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class TelexError(Exception):
    """Base of every error that Telex raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Let errors through pickle, whatever their constructors take: they cross process pools."""
        return _restore, (type(self), self.args), self.__dict__


class ProtocolError(TelexError):
    """The peer sent bytes that are not Telex, wire format version 1.

    ``problem`` says what was wrong and what would be right, ``offset`` is where the broken message
    begins (bytes since the stream began; None at a sender, before anything is sent, and for a
    message that is well written, but not where it came), ``field`` the header field at fault, if it
    is one, and ``hint`` what the bytes look like instead. ``code`` is the error code to answer
    with.
    """

    code = "bad-message"

    def __init__(
        self, problem: str, *, offset: int | None = None, field: str | None = None
    ) -> None:
        super().__init__(problem, offset, field)
        self.problem = problem
        self.offset = offset
        self.field = field
        self.hint = ""

    def __str__(self) -> str:
        where = [] if self.offset is None else [f"message at byte {self.offset}"]
        if self.field is not None:
            where.append(f"field {self.field!r}")
        prefix = f"{', '.join(where)}: " if where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{prefix}{self.problem}{hint}"


class IncompleteMessageError(ProtocolError):
    """The stream ended in the middle of a message, which is lost.

    ``received`` counts the bytes of it that had come, ``bytes_needed`` those still missing in the
    part that was being received.
    """

    def __init__(
        self, received: int, bytes_needed: int, part: str, *, offset: int | None = None
    ) -> None:
        super().__init__(
            f"the stream ended after {received:,} bytes of it, "
            f"{bytes_needed:,} short of its {part}",
            offset=offset,
        )
        self.received = received
        self.bytes_needed = bytes_needed
        self.part = part


class TooLargeError(ProtocolError):
    """A header block or a content is larger than its limit; ``part`` tells which.

    Raised at the receiver before anything is set aside for it, and at the sender before anything
    is sent. ``size`` and ``max_size`` are in bytes.
    """

    def __init__(self, part: str, size: int, max_size: int, *, offset: int | None = None) -> None:
        super().__init__(
            f"the {part} is {size:,} bytes, and at most {max_size:,} are allowed", offset=offset
        )
        self.part = part
        self.size = size
        self.max_size = max_size
        if part == "content":
            self.code = "too-large"


class ContentError(TelexError):
    """Content or headers cannot be turned into bytes, or a body cannot be turned into content."""


class AddressError(TelexError):
    """An address is none that Telex knows (``tcp://HOST:PORT``), or cannot be listened on."""


class CredentialsError(TelexError):
    """A certificate, key or token cannot be used; ``source`` is its file, ``problem`` says why."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(source, problem)
        self.source = source
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


class ConnectError(TelexError, ConnectionError):
    """No connection could be made to ``address``; ``reason`` says why."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(reason)  # more than one would be errno and its text
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot connect to {self.address}: {self.reason}"


class ConnectionClosedError(TelexError, ConnectionError):
    """The connection has ended; ``by`` is ``"us"`` or ``"peer"``, ``reason`` says why.

    ``code`` is the error code of wire format, "error codes", or ``"closed"``. ``unsent`` counts the
    bytes that had been handed over and were never given to the network, ``unanswered`` the requests
    that had no answer yet.
    """

    def __init__(
        self, by: str, reason: str, *, code: str = "closed", unsent: int = 0, unanswered: int = 0
    ) -> None:
        super().__init__(reason)
        self.by = by
        self.reason = reason
        self.code = code
        self.unsent = unsent
        self.unanswered = unanswered

    def __str__(self) -> str:
        who = "this side" if self.by == "us" else "the peer"
        unsent = f"; {self.unsent:,} bytes were not sent" if self.unsent else ""
        requests = "request was" if self.unanswered == 1 else "requests were"
        unanswered = f"; {self.unanswered:,} {requests} not answered" if self.unanswered else ""
        return f"connection closed by {who}: {self.reason}{unsent}{unanswered}"


class WaitTimeoutError(TelexError, TimeoutError):
    """Nothing came within ``timeout`` seconds; ``waiting_for`` says what was waited for."""

    def __init__(self, waiting_for: str, timeout: float) -> None:
        super().__init__(waiting_for)
        self.waiting_for = waiting_for
        self.timeout = timeout

    def __str__(self) -> str:
        return f"timed out after {self.timeout:g} s waiting for {self.waiting_for}"


class RequestTimeoutError(WaitTimeoutError):
    """A request was not answered in time. An answer that comes later is dropped."""


class RemoteError(TelexError):
    """The peer answered with an error (RFC 9457): ``code``, ``title`` and ``detail``."""

    def __init__(self, code: str, title: str = "", detail: str = "") -> None:
        super().__init__(code, title, detail)
        self.code = code
        self.title = title
        self.detail = detail

    def __str__(self) -> str:
        detail = self.detail or self.title
        return f"{self.code}: {detail}" if detail not in ("", self.code) else self.code


class Refusal(TelexError):  # noqa: N818 - a handler that refuses makes no error
    """Raised by a handler to answer a request with an error of its own ``code`` and ``detail``."""

    def __init__(self, code: str, detail: str = "") -> None:
        if not all(isinstance(text, str) for text in (code, detail)):
            raise TypeError("code and detail are text, as in Refusal('out-of-stock', 'none left')")
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code


def _restore(error: type[TelexError], arguments: tuple[Any, ...]) -> TelexError:
    restored = error.__new__(error)
    restored.args = arguments
    return restored
