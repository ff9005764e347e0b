"""The other end of a connection, as handlers and observers see it.

Every module of this package may know a ``Peer``, so this module knows none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypedDict

if TYPE_CHECKING:
    from typing import Unpack


class MessageKeywords(TypedDict, total=False):
    """The keywords of ``Message``, as whoever takes content takes them too."""

    content_type: str | None
    encoding: str | None
    subject: str | None
    headers: dict[str, Any] | None
    byteorder: str | None
    kind: str | None
    id: int | None
    re: int | None
    more: bool


class Peer(Protocol):
    """The other end of a connection, as a handler sees it."""

    __slots__ = ()

    @property
    def address(self) -> str:
        """The address of the peer, such as ``127.0.0.1:54321``."""

    @property
    def identity(self) -> str | None:
        """The name in the peer's certificate or of its token; None without either."""

    def send(self, content: object, **keywords: Unpack[MessageKeywords]) -> None:
        """Send a message, or content with the keywords of ``Message``; any thread may call this.

        Raises ConnectionClosedError when the connection is closed, or is closed by this call
        because the peer reads far too slowly. A thread other than the server's may have to wait
        for the server, and gets a WaitTimeoutError when the server does not respond.
        """
