"""The conformance vectors, held against Telex and against the naive reference parser."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from telex import ContentError, Limits, MessageProcessor
from tests.framing import check, exact
from tests.reference import Failure, Outcome, Parsed, parse

CONFORMANCE = Path(__file__).parents[2] / "conformance"
CASES: list[dict[str, Any]] = json.loads((CONFORMANCE / "vectors.json").read_text())["cases"]

every_case = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


def bytes_of(segments: list[dict[str, Any]]) -> bytes:
    """Return the bytes that segments describe."""
    return b"".join(bytes.fromhex(segment["hex"]) * segment["repeat"] for segment in segments)


def outcome_of(case: dict[str, Any]) -> Outcome:
    """Return what must come of a case."""
    messages = [Parsed(said["fields"], bytes_of(said["body"])) for said in case["messages"]]
    return Outcome(messages, case["failure"] and Failure(**case["failure"]))


@every_case
def test_telex_conforms(case: dict[str, Any]) -> None:
    """However the stream is cut, Telex makes of it what the vectors say."""
    check(bytes_of(case["stream"]), outcome_of(case), Limits(**case["limits"]))


@every_case
def test_the_reference_parser_conforms(case: dict[str, Any]) -> None:
    """A parser that was written from the description alone comes to the same."""
    outcome = parse(bytes_of(case["stream"]), **case["limits"])
    assert exact(outcome.messages) == exact(outcome_of(case).messages)
    assert outcome.failure == outcome_of(case).failure


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["messages"]], ids=lambda case: case["name"]
)
def test_contents_conform(case: dict[str, Any]) -> None:
    """The content of each message is what the vectors say, or an error that leaves the body."""
    messages = MessageProcessor(Limits(**case["limits"])).receive_messages(bytes_of(case["stream"]))
    for message, said in zip(messages, case["messages"], strict=True):
        if "unreadable" in said:
            with pytest.raises(ContentError):
                _ = message.content
        else:
            assert message.content == said.get("text", said.get("json", message.body))
        assert message.body == bytes_of(said["body"])


def test_the_vectors_are_those_of_the_script() -> None:
    """The file in hex holds the cases that the script beside it holds as text."""
    namespace = runpy.run_path(str(CONFORMANCE / "make_vectors.py"))
    assert (CONFORMANCE / "vectors.json").read_text("ascii") == namespace["vectors"]()


def test_every_name_is_there_once() -> None:
    """A name finds its case."""
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names)


def test_the_example_in_the_documentation_is_a_case() -> None:
    """What authors of other implementations read first is what the file holds."""
    _, _, rest = (CONFORMANCE / "README.md").read_text("utf-8").partition("```json\n")
    example, _, _ = rest.partition("```")
    assert json.loads(example) in CASES
