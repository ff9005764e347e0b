"""Captures for Wireshark: what crossed a connection, written as the TCP segments of a pcap file.

``Recorder`` stands between a client and a server and keeps the bytes that really crossed, as the
network cut them. ``write_capture`` makes a file of any bytes, cut up in any way. What the bytes
mean is not known here.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

from telex import Address

PORT: Final = 7766
CLIENT_PORT: Final = 50000

_RAW_IP: Final = 101
"""The link type of packets that begin with their IP header."""
_LARGEST_PACKET: Final = 65535
_LARGEST_SEGMENT: Final = 60_000
_FIRST_SECOND: Final = 1_700_000_000
_IP_HEADER_SIZE: Final = 20
_CLIENT, _SERVER = b"\x7f\0\0\1", b"\x7f\0\0\2"
_FIN, _SYN, _PSH, _ACK = 0x01, 0x02, 0x08, 0x10
_PATIENCE: Final = 10.0


class Piece(NamedTuple):
    """Bytes that went one way in one piece."""

    from_client: bool
    data: bytes


def from_client(data: bytes, *cuts: int) -> list[Piece]:
    """Return what a client sends, cut at these offsets."""
    return [Piece(True, data[start:end]) for start, end in _between(cuts, len(data))]


def from_server(data: bytes, *cuts: int) -> list[Piece]:
    """Return what a server sends, cut at these offsets."""
    return [Piece(False, data[start:end]) for start, end in _between(cuts, len(data))]


def cut(pieces: Iterable[Piece], size: int) -> list[Piece]:
    """Cut pieces into smaller ones, of at most this size."""
    return [
        Piece(piece.from_client, piece.data[start : start + size])
        for piece in pieces
        for start in range(0, len(piece.data), size)
    ]


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Join pieces that follow each other the same way, as a busy network does."""
    return [
        Piece(way, b"".join(piece.data for piece in group))
        for way, group in itertools.groupby(pieces, key=lambda piece: piece.from_client)
    ]


def _between(cuts: Sequence[int], size: int) -> Iterator[tuple[int, int]]:
    return itertools.pairwise([0, *cuts, size])


def write_capture(
    path: Path,
    *connections: Iterable[Piece],
    port: int = PORT,
    longest: int = _LARGEST_PACKET,
) -> Path:
    """Write TCP connections to this port, each piece of them a segment; return the path.

    The connections follow each other, and the client of each has a port of its own. Of each packet
    at most ``longest`` bytes are kept, as with a snapshot length.
    """
    packets = itertools.chain.from_iterable(
        _Conversation(CLIENT_PORT + number, port).packets(pieces)
        for number, pieces in enumerate(connections)
    )
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, longest, _RAW_IP))
        for number, packet in enumerate(packets):
            seconds, thousandths = divmod(number, 1000)
            time = (_FIRST_SECOND + seconds, thousandths * 1000)
            kept = packet[:longest]
            file.write(struct.pack("<IIII", *time, len(kept), len(packet)) + kept)
    return path


class _Conversation:
    """A TCP connection that carries pieces: its opening, its segments, and its end."""

    def __init__(self, client_port: int, server_port: int) -> None:
        self._ports: Final = {True: (client_port, server_port), False: (server_port, client_port)}
        self._sent: Final = {True: 0, False: 0}

    def packets(self, pieces: Iterable[Piece]) -> Iterator[bytes]:
        """Give the packets of the connection, each a millisecond after the one before."""
        yield self._packet(True, _SYN)
        yield self._packet(False, _SYN | _ACK)
        yield self._packet(True, _ACK)
        for way, data in cut(pieces, _LARGEST_SEGMENT):
            yield self._packet(way, _PSH | _ACK, data)
        yield self._packet(True, _FIN | _ACK)
        yield self._packet(False, _FIN | _ACK)

    def _packet(self, from_client: bool, flags: int, data: bytes = b"") -> bytes:
        """Return an IP packet with a segment in it, and count what it takes of the numbers."""
        known = self._sent[not from_client] if flags & _ACK else 0
        ports, number = self._ports[from_client], self._sent[from_client]
        header = struct.pack(">HHIIBBHHH", *ports, number, known, 5 << 4, flags, 65535, 0, 0)
        self._sent[from_client] += len(data) + bool(flags & (_SYN | _FIN))
        size = _IP_HEADER_SIZE + len(header) + len(data)
        hosts = _CLIENT + _SERVER if from_client else _SERVER + _CLIENT
        return struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0, 64, 6, 0) + hosts + header + data


class Recorder:
    """Passes one connection on to a server, and keeps every piece that crosses it, in its order."""

    def __init__(self, target: Address) -> None:
        self.pieces: Final[list[Piece]] = []
        self._target: Final = target
        self._listener: Final = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_PATIENCE)
        self._thread: Final = threading.Thread(target=self._pass_on, daemon=True)

    @property
    def address(self) -> Address:
        """Where the client is to connect to."""
        return Address(self._target.scheme, *self._listener.getsockname())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive(), "the connection did not end"

    def _pass_on(self) -> None:
        target = (self._target.host, self._target.port)
        with self._listener, contextlib.ExitStack() as sockets:
            client = sockets.enter_context(self._listener.accept()[0])
            server = sockets.enter_context(socket.create_connection(target, _PATIENCE))
            client.settimeout(_PATIENCE)
            back = threading.Thread(target=self._pass_one_way, args=(server, client, False))
            back.start()
            self._pass_one_way(client, server, True)
            back.join()

    def _pass_one_way(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        while data := source.recv(65536):
            self.pieces.append(Piece(from_client, data))
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
