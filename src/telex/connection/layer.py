"""A layer: it turns the bytes of a connection into the bytes that travel, and back.

TLS is a layer, and WebSocket will be one. A connection without a layer sends its bytes as they are.
A layer works in memory: it knows no socket and no clock. It may be interpreted, so that it can use
what mypyc does not compile well, such as ``ssl``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from telex.compilation import mypyc_attr
from telex.errors import ConnectionClosedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Layer:
    """One side of a layer on one connection; derive a layer from it.

    ``is_established`` says that the two sides have agreed, so that messages can be sent.
    ``has_ended`` says that the peer announced, within the layer, that it sends nothing more.
    ``error`` is what broke the layer; ``data_to_send`` then returns what tells the peer so.
    ``mismatch`` is set when the peer's first bytes do not belong to this layer: a sentence that
    says what would be right. The connection then goes on without the layer, to tell the peer.
    ``identity`` is who the peer is, as far as the layer has verified that; None if it has not.
    """

    __slots__ = ("error", "has_ended", "identity", "is_established", "mismatch")

    def __init__(self) -> None:
        self.is_established: bool = False
        self.has_ended: bool = False
        self.error: ConnectionClosedError | None = None
        self.mismatch: str = ""
        self.identity: str | None = None

    @abstractmethod
    def receive(self, data: bytes | memoryview) -> bytes:
        """Take bytes that came from the network; return the conversation's bytes in them."""

    @abstractmethod
    def encode(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Return the bytes to send for these bytes of the conversation, once it is established.

        Unsent bytes of the layer itself come first: the order of both is the layer's. Where this
        breaks the layer, ``error`` is set, and what is returned is dropped.
        """

    @abstractmethod
    def data_to_send(self) -> bytes:
        """Return the bytes that the layer itself has to send, such as those of a handshake."""

    @abstractmethod
    def end(self) -> None:
        """Announce to the peer that nothing more is sent; harmless when repeated."""

    @abstractmethod
    def error_at_eof(self) -> ConnectionClosedError | None:
        """Return what is wrong when the network's stream ends now; None when nothing is."""
