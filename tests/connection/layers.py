"""Layers for tests: one that a test can read, and which it can have agree, mismatch, end and break.

It is no TLS, and yet it does all that a connection must be ready for: a handshake of both sides,
frames that are cut anywhere, an end of its own, an error, and a peer that speaks something else.
"""

from __future__ import annotations

from collections.abc import Sequence

from telex import ConnectionClosedError
from telex.connection.layer import Layer

HELLO = b"H"
DATA = 0x44
END = 0x45
MASK = bytes(value ^ 0x55 for value in range(256))


class MaskingLayer(Layer):
    """Sends frames: a hello, masked data with its length, an end. A client says hello first."""

    def __init__(self, *, is_server: bool) -> None:
        super().__init__()
        self._is_server = is_server
        self._has_begun = False
        self._received = b""
        self._to_send = b"" if is_server else HELLO
        self._is_ending = False

    def receive(self, data: bytes | memoryview) -> bytes:
        """Unmask what has come completely."""
        self._received += bytes(data)
        if not self._has_begun:
            if self._received[:1] != HELLO:
                self.mismatch = "the peer does not mask its bytes, as it should"
                return b""
            self._has_begun = True
            self.is_established = True
            self.identity = "masked"
            self._received = self._received[1:]
            if self._is_server:
                self._to_send += HELLO
        said = []
        while self._received and not self.has_ended and self.error is None:
            if self._received[0] == END:
                self.has_ended = True
            elif self._received[0] != DATA:
                self.error = ConnectionClosedError("us", "a frame of no known type")
                self._to_send += b"!"
            else:
                end = 4 + int.from_bytes(self._received[1:4])
                if len(self._received) < max(end, 4):
                    break
                said.append(self._received[4:end].translate(MASK))
                self._received = self._received[end:]
        return b"".join(said)

    def encode(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Mask pieces, a frame for each, behind what the layer has said."""
        frames = [
            bytes([DATA]) + len(piece).to_bytes(3) + bytes(piece).translate(MASK)
            for piece in pieces
        ]
        return [self.data_to_send(), *frames]

    def data_to_send(self) -> bytes:
        """Return hellos and ends."""
        said, self._to_send = self._to_send, b""
        return said

    def end(self) -> None:
        """Say the end once."""
        if not self._is_ending:
            self._is_ending = True
            self._to_send += bytes([END])

    def error_at_eof(self) -> ConnectionClosedError | None:
        """Complain of an end that was not said."""
        if self.has_ended or not self.is_established:
            return None
        return ConnectionClosedError("peer", "it cut the connection without its end")
