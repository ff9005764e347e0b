"""A strict peer of the four-header format that the Python sockets tutorial published.

It knows `socket`, `json` and `struct`, nothing of Telex, and refuses what the format does not have:
a header that lacks any of the four fields. Whoever reads it sees how little a peer needs.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from types import TracebackType
from typing import Any, NamedTuple, Self

SECONDS = 30.0
"""How long a peer waits for bytes before it gives up."""


class StrictPeerError(Exception):
    """What arrived is not the four-header format."""


class StrictMessage(NamedTuple):
    """A message as the strict peer sees it: its whole header, and its content as bytes."""

    header: dict[str, Any]
    body: bytes

    @property
    def content(self) -> Any:
        """The content: parsed if it is text/json, str if it is other text, bytes otherwise."""
        content_type = self.header["content-type"]
        if content_type == "text/json":
            return json.loads(self.body.decode(self.header["content-encoding"]))
        if content_type.startswith("text/"):
            return self.body.decode(self.header["content-encoding"])
        return self.body


class StrictPeer:
    """One end of a connection; ``piece_size`` makes it send its bytes in small pieces."""

    def __init__(self, connection: socket.socket, piece_size: int = 65_536) -> None:
        connection.settimeout(SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._piece_size = piece_size

    @classmethod
    def connect(cls, host: str, port: int, piece_size: int = 65_536) -> Self:
        """Connect to a server."""
        return cls(socket.create_connection((host, port), SECONDS), piece_size)

    def send_text(self, text: str, encoding: str = "utf-8") -> None:
        """Send text."""
        self.send("text/plain", encoding, text.encode(encoding))

    def send_json(self, value: object) -> None:
        """Send JSON, which this format calls text/json."""
        self.send("text/json", "utf-8", json.dumps(value).encode("utf-8"))

    def send_binary(self, data: bytes) -> None:
        """Send bytes."""
        self.send("binary/custom", "binary", data)

    def send(self, content_type: str, encoding: str, body: bytes) -> None:
        """Send a message of exactly the four fields, in the order and layout of `json.dumps`."""
        header = {
            "byteorder": "big",
            "content-type": content_type,
            "content-encoding": encoding,
            "content-length": len(body),
        }
        block = json.dumps(header).encode("utf-8")
        data = struct.pack(">H", len(block)) + block + body
        for begin in range(0, len(data), self._piece_size):
            self._connection.sendall(data[begin : begin + self._piece_size])

    def receive(self) -> StrictMessage | None:
        """Wait for a message; None when the other side has ended the connection."""
        proto_header = self._receive_exactly(2, may_end=True)
        if not proto_header:
            return None
        (size,) = struct.unpack(">H", proto_header)
        header = json.loads(self._receive_exactly(size).decode("utf-8"))
        for field in ("byteorder", "content-type", "content-encoding", "content-length"):
            if field not in header:
                raise StrictPeerError(f"the header lacks {field}: {header}")
        return StrictMessage(header, self._receive_exactly(header["content-length"]))

    def end(self) -> None:
        """Say that nothing more will be sent."""
        self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive_exactly(self, size: int, *, may_end: bool = False) -> bytes:
        """Wait for ``size`` bytes; an end of the stream is refused unless none has come yet."""
        data = b""
        while len(data) < size:
            piece = self._connection.recv(min(size - len(data), self._piece_size))
            if not piece and may_end and not data:
                break
            if not piece:
                raise StrictPeerError(f"the stream ended {size - len(data)} bytes too early")
            data += piece
        return data


class StrictServer:
    """Serves one client: sends every message back as it came, until the client ends.

    Leaving the context waits for that end, and raises what went wrong in between. ``received``
    holds the messages that came.
    """

    def __init__(self, piece_size: int = 65_536) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(SECONDS)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._piece_size = piece_size
        self._problem: Exception | None = None
        self.received: list[StrictMessage] = []

    @property
    def address(self) -> str:
        """Where the server listens, as a Telex address."""
        host, port = self._listener.getsockname()
        return f"tcp://{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.join(SECONDS)
        self._listener.close()
        if error is None and self._problem is not None:
            raise self._problem

    def _serve(self) -> None:
        try:
            connection, _client = self._listener.accept()
            with StrictPeer(connection, self._piece_size) as peer:
                while (message := peer.receive()) is not None:
                    self.received.append(message)
                    header = message.header
                    peer.send(header["content-type"], header["content-encoding"], message.body)
        except Exception as problem:  # noqa: BLE001
            self._problem = problem
