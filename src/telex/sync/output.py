"""What has been handed over for sending and has not gone yet, in order.

Pieces go together in one system call, and are never copied, only remembered by how far they have
gone. Both the server and the client send through this, and it decides nothing for them.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from telex.network.os_errors import ended_by_peer

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

_MOST_PIECES: Final = 1024
"""Pieces offered in one system call: IOV_MAX on Linux and macOS."""

_MOST_BYTES: Final = 1024 * 1024 * 1024
"""Bytes offered in one system call: macOS refuses 2 GiB and more."""


class Output:
    """Bytes on their way out; ``size`` counts those that have not been given to the network.

    ``sent`` counts those that have been. After ``discard()``, ``lost`` counts the bytes that will
    never be.
    """

    __slots__ = ("_discards", "_pieces", "lost", "sent", "size")

    def __init__(self) -> None:
        self.size: int = 0
        self.sent: int = 0
        self.lost: int = 0
        self._discards = False
        self._pieces: deque[bytes | memoryview] = deque()

    @property
    def held(self) -> int:
        """Bytes of memory that this takes: what is unsent, and what has gone of the same piece."""
        first = self._pieces[0] if self._pieces else b""
        if isinstance(first, memoryview):
            return self.size + _size_of_whole(first) - len(first)
        return self.size

    def extend(self, pieces: Sequence[bytes]) -> None:
        """Add pieces of messages, as ``Conversation.data_to_send`` gives them."""
        size = sum(map(len, pieces))
        if self._discards:
            self.lost += size
            return
        self.size += size
        self._pieces.extend(filter(None, pieces))

    def send(self, sock: socket.socket, pieces: Sequence[bytes]) -> None:
        """Send what there is, and these pieces after it, as ``extend`` and ``send_to`` would.

        One piece that goes at once, as nearly all do, is not even remembered.
        """
        if self.size or len(pieces) != 1 or self._discards:
            self.extend(pieces)
            self.send_to(sock)
            return
        (piece,) = pieces
        try:
            sent = sock.send(piece)  # as ``transport.send`` does, on the way of every request
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.extend(pieces)
            raise ended_by_peer(error, self.size) from error
        if sent == len(piece):
            self.sent += sent
        else:
            self.extend(pieces)
            self._forget(sent)

    def send_to(self, sock: socket.socket, at_most: int | None = None) -> None:
        """Send until all is gone, the socket takes no more, or ``at_most`` bytes have gone.

        Raises ConnectionClosedError when the connection is broken.
        """
        while self._pieces:
            offered = self._next_pieces(at_most or _MOST_BYTES)
            try:
                sent = sock.send(offered[0]) if len(offered) == 1 else sock.sendmsg(offered)
            except BlockingIOError:
                return
            except OSError as error:
                raise ended_by_peer(error, self.size) from error
            self._forget(sent)
            if at_most is not None or sent < sum(map(len, offered)):
                return

    def discard(self) -> None:
        """Let go of everything, and of whatever is still added."""
        self._discards = True
        self.lost += self.size
        self.size = 0
        self._pieces.clear()

    def _next_pieces(self, most: int) -> list[bytes | memoryview]:
        """Return what to offer in one system call, ``most`` bytes at most."""
        pieces: list[bytes | memoryview] = []
        for piece in islice(self._pieces, _MOST_PIECES):
            if len(piece) >= most:
                pieces.append(memoryview(piece)[:most])
                break
            pieces.append(piece)
            most -= len(piece)
        return pieces

    def _forget(self, sent: int) -> None:
        """Take away what has gone. What is left of a piece is a view, which keeps all of it."""
        self.size -= sent
        self.sent += sent
        pieces = self._pieces
        while sent:
            first = pieces.popleft()
            if sent < len(first):
                pieces.appendleft(memoryview(first)[sent:])
                return
            sent -= len(first)


def _size_of_whole(view: memoryview) -> int:
    """Return the size of what a view shows a part of, in bytes."""
    whole = view.obj
    assert isinstance(whole, bytes)
    return len(whole)
