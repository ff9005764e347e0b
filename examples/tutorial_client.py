"""A client as the well-known Python sockets tutorial has it: plain sockets, and nothing of Telex.

    python examples/tutorial_client.py search morpheus

It writes exactly four headers, and demands all four of every answer.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import sys
from typing import IO, Any, Final

HEADERS: Final = {"byteorder", "content-type", "content-encoding", "content-length"}


def written(content: object) -> bytes:
    """Return content as the bytes of a message."""
    body = json.dumps(content).encode("utf-8")
    header = {
        "byteorder": sys.byteorder,
        "content-type": "text/json",
        "content-encoding": "utf-8",
        "content-length": len(body),
    }
    block = json.dumps(header).encode("utf-8")
    return struct.pack(">H", len(block)) + block + body


def read(stream: IO[bytes]) -> Any:
    """Read a message, and return its content."""
    (length,) = struct.unpack(">H", read_exactly(stream, 2))
    header = json.loads(read_exactly(stream, length))
    if missing := HEADERS.difference(header):
        raise ValueError(f"the header lacks {', '.join(sorted(missing))}")
    body = read_exactly(stream, header["content-length"])
    if header["content-type"] != "text/json":
        raise ValueError(f"the answer is {header['content-type']!r}, not text/json")
    return json.loads(body.decode(header["content-encoding"]))


def read_exactly(stream: IO[bytes], size: int) -> bytes:
    """Read so many bytes; raises EOFError when the stream ends before."""
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the server ended the connection")
    return data


def printable(text: str) -> str:
    """Leave out what could drive a terminal: nobody knows who has answered."""
    return "".join(filter(str.isprintable, text))


def main() -> None:
    """Ask, and print the answer."""
    parser = argparse.ArgumentParser(description="Ask a server of the sockets tutorial.")
    parser.add_argument("action", help="such as search")
    parser.add_argument("value", help="such as morpheus")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7766)
    options = parser.parse_args()
    with socket.create_connection((options.host, options.port), timeout=10) as sock:
        sock.sendall(written({"action": options.action, "value": options.value}))
        print(printable(str(read(sock.makefile("rb"))["result"])))


if __name__ == "__main__":
    try:
        main()
    except (OSError, EOFError, LookupError, TypeError, ValueError) as error:
        sys.exit(printable(f"tutorial_client: {error}"))
