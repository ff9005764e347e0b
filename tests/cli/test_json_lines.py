"""Messages as JSON lines: one line, nothing that drives a terminal, and nothing lost."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from telex import Message
from telex.cli.json_lines import json_line

TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=10,
)


def read_back(message: Message) -> dict[str, object]:
    """Return what a program reads from the line of a message."""
    line = json_line(message, message.to_buffers()[0][2:], peer="127.0.0.1:1")
    assert line.isprintable()
    read: dict[str, object] = json.loads(line)
    return read


@given(JSON | TEXT, st.dictionaries(TEXT.map("x-{}".format), JSON))
def test_text_and_json_are_there_as_values(content: object, headers: dict[str, object]) -> None:
    """Whatever text or JSON a message carries, a program reads the same."""
    message = Message(content, content_type="application/json", headers=headers)
    read = read_back(message)
    assert read["content"] == content
    assert read["peer"] == "127.0.0.1:1"
    assert read["header"] == json.loads(message.to_buffers()[0][2:])


@given(st.binary())
def test_bytes_are_there_in_base64(body: bytes) -> None:
    """Bytes have a member of their own, so that nobody takes them for text."""
    read = read_back(Message(body))
    assert base64.b64decode(str(read["content_base64"])) == body
    assert "content" not in read


def test_what_cannot_be_read_is_there_with_the_reason() -> None:
    """Content that is not what its header says is not lost either."""
    read = read_back(Message(b"\xff", content_type="text/plain", encoding="utf-8"))
    assert read["content_base64"] == "/w=="
    assert "not text in 'utf-8'" in str(read["problem"])
