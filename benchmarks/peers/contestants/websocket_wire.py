"""The bytes of WebSocket (RFC 6455), as far as a load generator needs them."""

from __future__ import annotations

import itertools
import struct
from typing import Final

from benchmarks.peers.contestants.base import HOST, Wire

_HANDSHAKE: Final = (
    f"GET / HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
_BINARY_AND_LAST: Final = 0x82
_IS_MASKED: Final = 0x80
_LARGEST_SHORT: Final = 125
_MASK: Final = b"mask"


def websocket_wire(content: bytes) -> Wire:
    """Return a handshake, and a frame as a client sends it; the content is short."""
    size = len(content)
    if size > _LARGEST_SHORT:
        raise ValueError(f"at most {_LARGEST_SHORT} bytes, not {size}")
    masked = bytes(byte ^ mask for byte, mask in zip(content, itertools.cycle(_MASK), strict=False))
    request = struct.pack("!BB4s", _BINARY_AND_LAST, _IS_MASKED | size, _MASK) + masked
    return Wire(
        _HANDSHAKE, lambda received: received.endswith(b"\r\n\r\n"), (request,), len(content) + 2
    )
