"""Every exception that Telex raises.

    TelexError
    ├── ProtocolError              the peer broke the wire format
    │   ├── IncompleteMessageError the stream stopped inside a message
    │   └── TooLargeError          a header block or a content over its limit
    ├── ContentError               content or headers that cannot be written or read
    ├── AddressError               an address that is malformed or cannot be used
    ├── CredentialsError           a certificate, key or token that cannot be used
    ├── ConnectError               no connection could be made
    ├── ConnectionClosedError      the connection was closed or lost
    ├── WaitTimeoutError           no message, or no end of the stream, in time
    │   └── RequestTimeoutError    no answer to a request in time
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
    """The peer broke the rules of Telex, wire format version 1.

    ``problem`` says what was wrong and what would be right. ``offset`` is the position of the
    broken message's first byte in the stream, in bytes; None at a sender, before anything is sent,
    and for a valid message that is not allowed at this point. ``field`` is the wrong header field,
    if there is one. ``hint`` names the protocol that the bytes look like. ``code`` is the error
    code to answer with.
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
    """The stream stopped inside a message; this message is lost.

    ``received`` is the number of bytes received of the message, ``bytes_needed`` the number of
    bytes that are missing in the ``part`` that was being received.
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
    """A header block or a content is larger than its limit; ``part`` says which of the two.

    Raised at the receiver before it allocates memory for the part, and at the sender before
    anything is sent. ``size`` and ``max_size`` are in bytes.
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
    """An address is malformed (right is ``tcp://HOST:PORT``), or cannot be used."""


class CredentialsError(TelexError):
    """A certificate, key or token in the file ``source`` cannot be used; ``problem`` says why."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(source, problem)
        self.source = source
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


class ConnectError(TelexError, ConnectionError):
    """No connection could be made to ``address``, for this ``reason``."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(reason)  # more than one would be errno and its text
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot connect to {self.address}: {self.reason}"


class ConnectionClosedError(TelexError, ConnectionError):
    """The connection was closed or lost: ``by`` whom (``"us"`` or ``"peer"``) and the ``reason``.

    ``code`` is an error code (wire format, "error codes"), or ``"closed"``. What may be lost:

    - ``unsent``: bytes of output that were never given to the network.
    - ``unanswered``: requests without an answer.
    - ``unconfirmed``: plain messages that the peer is not known to have read, those in ``unsent``
      among them. A peer has read what was sent before a request or a ping that it has answered.
    """

    def __init__(
        self,
        by: str,
        reason: str,
        *,
        code: str = "closed",
        unsent: int = 0,
        unanswered: int = 0,
        unconfirmed: int = 0,
    ) -> None:
        super().__init__(reason)
        self.by = by
        self.reason = reason
        self.code = code
        self.unsent = unsent
        self.unanswered = unanswered
        self.unconfirmed = unconfirmed

    def __str__(self) -> str:
        who = "this side" if self.by == "us" else "the peer"
        unsent = f"; {self.unsent:,} bytes were not sent" if self.unsent else ""
        requests = "request was" if self.unanswered == 1 else "requests were"
        unanswered = f"; {self.unanswered:,} {requests} not answered" if self.unanswered else ""
        messages = "message" if self.unconfirmed == 1 else "messages"
        unread = f"; {self.unconfirmed:,} {messages} may not have been read"
        unconfirmed = unread if self.unconfirmed else ""
        return f"connection closed by {who}: {self.reason}{unsent}{unanswered}{unconfirmed}"


class WaitTimeoutError(TelexError, TimeoutError):
    """Nothing arrived within ``timeout`` seconds; ``waiting_for`` names the expected event."""

    def __init__(self, waiting_for: str, timeout: float) -> None:
        super().__init__(waiting_for)
        self.waiting_for = waiting_for
        self.timeout = max(0.0, timeout)

    def __str__(self) -> str:
        return f"timed out after {self.timeout:g} s waiting for {self.waiting_for}"


class RequestTimeoutError(WaitTimeoutError):
    """A request was not answered in time. An answer that arrives later is dropped."""


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
    """Raised by a handler to refuse a message: the client gets ``code`` and ``detail``."""

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
