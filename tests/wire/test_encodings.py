"""The conformance vectors for what is written: a message, and its exact bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex import Limits, Message
from tests import reference
from tests.conversations import new_client, new_server, request, tell
from tests.framing import exact, parsed, receive
from tests.wire.test_conformance import CONFORMANCE, bytes_of

ENCODINGS: list[dict[str, Any]] = json.loads((CONFORMANCE / "vectors.json").read_text())[
    "encodings"
]
NAMES = {
    "content-type": "content_type",
    "content-encoding": "encoding",
    "timeout": "timeout_ms",
}
KEYWORDS = {"byteorder", "kind", "subject", "id", "re", "more"}

every_encoding = pytest.mark.parametrize(
    "encoding", ENCODINGS, ids=[encoding["name"] for encoding in ENCODINGS]
)


def message_of(encoding: dict[str, Any], *left_out: str) -> Message:
    """Make the message of a vector, but for some of its fields."""
    keywords: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    for name, value in encoding["fields"].items():
        if name in NAMES or name in KEYWORDS:
            keywords[NAMES.get(name, name)] = value
        else:
            headers[name] = value
    for name in left_out:
        keywords.pop(name, None)
    return Message(content_of(encoding["content"]), headers=headers, **keywords)


def content_of(content: dict[str, Any]) -> object:
    """Return the content of a vector."""
    if "hex" in content:
        return bytes.fromhex(content["hex"]) * content.get("repeat", 1)
    return content["text"] if "text" in content else content["json"]


@every_encoding
def test_telex_writes_these_bytes(encoding: dict[str, Any]) -> None:
    """A message of these fields and this content is these bytes, and no others."""
    assert message_of(encoding).to_bytes() == bytes_of(encoding["stream"])


@every_encoding
def test_telex_reads_what_it_writes(encoding: dict[str, Any]) -> None:
    """These bytes are this message, for Telex and for the reference decoder."""
    message = receive(bytes_of(encoding["stream"]))
    assert message == message_of(encoding)
    outcome = reference.parse(bytes_of(encoding["stream"]))
    assert outcome.failure is None
    assert exact(outcome.messages) == exact([parsed(message)])


def encodings_of(kind: str) -> list[Any]:
    """Return the vectors of a kind, for a test."""
    found = [encoding for encoding in ENCODINGS if encoding["fields"].get("kind") == kind]
    assert found
    return [pytest.param(encoding, id=encoding["name"]) for encoding in found]


@pytest.mark.parametrize("encoding", encodings_of("request"))
def test_a_conversation_asks_with_these_bytes(encoding: dict[str, Any]) -> None:
    """The first request of a client has the number 1."""
    client = new_client(limits=Limits())
    client.data_to_send()
    client.request(message_of(encoding, "kind", "id"))
    assert b"".join(client.data_to_send()) == bytes_of(encoding["stream"])


@pytest.mark.parametrize("encoding", encodings_of("reply"))
def test_a_conversation_answers_with_these_bytes(encoding: dict[str, Any]) -> None:
    """A reply has the number of its request as re, also where it is one part of the answer."""
    fields = encoding["fields"]
    server = new_server()
    tell(server, request(fields["re"]))
    reply = message_of(encoding, "kind", "re", "more")
    server.answer(fields["re"], reply, more=fields.get("more", False))
    assert b"".join(server.data_to_send()) == bytes_of(encoding["stream"])


def test_the_example_in_the_documentation_is_an_encoding() -> None:
    """What authors of other implementations read first is what the file holds."""
    _, _, section = (CONFORMANCE / "README.md").read_text("utf-8").partition("## What a writer")
    _, _, rest = section.partition("```json\n")
    example, _, _ = rest.partition("```")
    assert json.loads(example) in ENCODINGS
