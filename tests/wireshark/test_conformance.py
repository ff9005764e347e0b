"""The conformance vectors, shown by tshark: what is a message, and what is malformed."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from telex.limits import MAX_HEADER_BLOCK
from tests.reference import parse
from tests.wire.test_conformance import CASES, bytes_of
from tests.wireshark.capture import cut, from_client, write_capture
from tests.wireshark.tshark import NEEDS_TSHARK, NOT_IN_XML, Shown, messages_in

pytestmark = NEEDS_TSHARK

TEXTS = {
    "byteorder": "byteorder",
    "content-type": "content_type",
    "content-encoding": "content_encoding",
    "kind": "kind",
    "subject": "subject",
    "id": "id",
    "re": "re",
    "timeout": "timeout",
}
"""Fields that are shown as they are, by their names on the wire."""

CUTS = {"whole": (60_000, 1_000_000), "cut-up": (700, 1_000_000), "in-crumbs": (1, 1_000)}
"""The largest segment, and the longest stream for which that is done: tshark minds many packets."""

BEYOND_A_LIMIT = {"header-length-over-the-limit", "header-block-one-over-a-small-limit"}
"""Refused because of a receiver's own limit on header blocks, which a dissector does not have."""

INTERESTING = [
    bytes([byte]) for byte in b'{}[]:,"\\ 0159-+.eEu\0\n\x1f\x7f\x80\xbf\xc0\xed\xf4\xfftn'
]
"""Bytes that mean something in JSON or in UTF-8, or nothing at all."""

Connections = dict[str, list[Shown]]


@pytest.fixture(scope="module", params=list(CUTS))
def connections(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Connections:
    """Return what is shown of each case, which all stand in one capture, cut up in some way."""
    largest, longest = CUTS[request.param]
    streams = [
        cut(from_client(stream), largest)
        if len(stream := bytes_of(case["stream"])) <= longest
        else []
        for case in CASES
    ]
    path = write_capture(tmp_path_factory.mktemp("vectors") / "vectors.pcap", *streams)
    shown = messages_in(path)
    return {
        case["name"]: [message for message in shown if message.stream == number]
        for number, case in enumerate(CASES)
        if streams[number] or not case["stream"]
    }


def test_every_case_is_shown_as_it_is(connections: Connections) -> None:
    """Each message with its fields and its content, and each broken one as malformed."""
    wrong = {
        case["name"]: connections[case["name"]]
        for case in CASES
        if case["name"] in connections and not is_as_it_should_be(case, connections[case["name"]])
    }
    assert wrong == {}
    assert len(connections) > 0.9 * len(CASES)


def is_as_it_should_be(case: dict[str, Any], shown: list[Shown]) -> bool:
    """Say whether what is shown is what the vectors say."""
    whole = [message for message in shown if not (message.malformed or message.incomplete)]
    is_malformed = any(message.malformed for message in shown)
    if case["name"] == "tls-client-hello":
        return shown == []
    if case["name"] == "good-after-broken":  # each segment may be where a capture sets in
        return is_malformed
    return is_malformed == must_be_malformed(case) and is_same(case, whole)


def must_be_malformed(case: dict[str, Any]) -> bool:
    """Say whether a case holds a message that no receiver takes, whatever its limits."""
    failure = case["failure"]
    return bool(failure and failure["code"] == "bad-message" and case["name"] not in BEYOND_A_LIMIT)


def is_same(case: dict[str, Any], shown: list[Shown]) -> bool:
    """Say whether the messages are those of a case; more may come where only a limit ends it."""
    expected = case["messages"]
    if case["failure"] and not must_be_malformed(case):
        shown = shown[: len(expected)]
    return len(shown) == len(expected) and all(map(is_message, expected, shown))


def is_message(said: dict[str, Any], shown: Shown) -> bool:
    """Say whether a message is shown as it is; what is meant by absent fields is not shown."""
    fields = {wire: shown[name] for wire, name in TEXTS.items() if name in shown.fields}
    meant = {wire: readable(value) for wire, value in said["fields"].items() if wire in TEXTS}
    absent = meant.keys() - fields.keys()
    return (
        absent <= {"byteorder", "content-type", "content-encoding"}
        and fields == {wire: value for wire, value in meant.items() if wire not in absent}
        and shown["content_length"] == str(len(bytes_of(said["body"])))
        and bytes.fromhex(shown.fields.get("content", [""])[0]) == bytes_of(said["body"])
    )


def readable(value: object) -> str:
    """Return a value as it is shown: tshark escapes controls, and XML makes spaces of some."""
    shown = str(value).replace("\0", "\N{SYMBOL FOR NULL}")
    shown = re.sub("[\t\r\n]", " ", NOT_IN_XML.sub(" ", shown))
    return re.sub("[\1-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):x}", shown)


def test_what_the_reference_parser_refuses_is_malformed(tmp_path: Path) -> None:
    """A byte of a header block that is changed, lost or doubled is judged as the format says."""
    dice = random.Random(5)
    streams = [mutated(valid, dice) for valid in header_blocks() for _ in range(40)]
    path = write_capture(tmp_path / "mutated.pcap", *map(from_client, streams))
    refused = {message.stream for message in messages_in(path) if message.malformed}
    expected = {
        number
        for number, stream in enumerate(streams)
        if (failure := parse(stream, max_header_size=MAX_HEADER_BLOCK).failure)
        and failure.code == "bad-message"
    }
    assert refused == expected
    assert 100 < len(refused) < len(streams)


def header_blocks() -> list[bytes]:
    """Return header blocks that have all there is in JSON."""
    return [
        b'{"content-length":0,"a":[1,-2.5e3,{"b":null,"c":[true,false]}],"id":12}',
        b' { "subject" : "\\ud83d\\ude00\\n\\u00e9" , "content-length" : 0, "kind":"request"}',
        '{"byteorder":"big","content-type":"text/plain","ü":"😀","re":4,"content-length":0}'.encode(),
        b'{"x":1,"content-length":0,"id":12,"timeout":2000}',
        b'{"content-encoding":"utf-8","more":true,"x":{"content-length":3},"content-length":0}',
    ]


def mutated(block: bytes, dice: random.Random) -> bytes:
    """Return a message without content whose header block has a byte changed, lost or doubled."""
    place = dice.randrange(len(block))
    other = dice.choice([b"", block[place : place + 1] * 2, dice.choice(INTERESTING)])
    broken = block[:place] + other + block[place + 1 :]
    return len(broken).to_bytes(2, "big") + broken
