"""Messages as JSON lines, for programs that read the output of ``telex serve`` and ``decode``.

One object a line, with escapes for control characters:

    {"peer": "127.0.0.1:50110", "header": {…}, "content": …}

``header`` is the header block of the message. ``content`` is a string for text and any JSON value
for JSON. Other content is in ``content_base64`` instead. So is content that does not match its
header, with the reason in ``problem``. ``identity``, after ``peer``, is the name that a token or a
certificate proves.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from telex import ContentError, Observer
from telex.cli.sizes import PROTO_HEADER_SIZE

if TYPE_CHECKING:
    from telex import Message
    from telex.application.peer import Peer
    from telex.cli.terminal import Lines

_COMPACT: Final = (",", ":")
_encoder: Final = json.JSONEncoder(ensure_ascii=False, separators=_COMPACT)


class JsonLines(Observer):
    """Prints each message that a server receives as a JSON line, and nothing else."""

    def __init__(self, lines: Lines) -> None:
        self._lines: Final = lines

    def message_received(self, peer: Peer, message: Message) -> None:
        """Print the message, with the address of its sender."""
        header, _body = message.to_buffers()
        origin = {"peer": peer.address}
        if peer.identity is not None:
            origin["identity"] = peer.identity
        self._lines.line(json_line(message, header[PROTO_HEADER_SIZE:], **origin))


def json_line(message: Message, header_block: bytes, **origin: Any) -> str:
    """Return the message as one line of JSON, which begins with the fields of ``origin``.

    The header block is inserted unchanged: it is JSON already.
    """
    where = f"{_encoder.encode(origin)[1:-1]}," if origin else ""
    content = _encoder.encode(_content_of(message))[1:]
    line = f'{{{where}"header":{header_block.decode("utf-8")},{content}'
    return line if line.isprintable() else in_ascii(line)


def _content_of(message: Message) -> dict[str, Any]:
    try:
        content = message.content
    except ContentError as problem:
        return {**_base64_of(message.body), "problem": str(problem)}
    if isinstance(content, bytes):
        return _base64_of(content)
    return {"content": content}


def _base64_of(body: bytes) -> dict[str, Any]:
    return {"content_base64": base64.b64encode(body).decode("ascii")}


def in_ascii(line: str) -> str:
    """Return a line of JSON with every unprintable character as an escape of JSON."""
    return json.dumps(json.loads(line), separators=_COMPACT).replace("\x7f", "\\u007f")
