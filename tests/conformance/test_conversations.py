"""The conversations, played with the core alone; and what the file with them must have."""

from __future__ import annotations

import json
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from telex.conversation.reactions import REACTIONS
from tests.conformance.core import CoreEnd, cell

CONFORMANCE = Path(__file__).parents[2] / "conformance"
FILE: dict[str, Any] = json.loads((CONFORMANCE / "conversations.json").read_text("utf-8"))
CONVERSATIONS: list[dict[str, Any]] = FILE["conversations"]

LEAST = 120
"""Conversations that the file must have."""


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=[one["name"] for one in CONVERSATIONS])
def test_the_core_keeps_the_conversation(conversation: dict[str, Any]) -> None:
    """Each step goes as the conversation says, nothing else is sent, and the phase is right."""
    CoreEnd(conversation, FILE["setups"][conversation["setup"]]).keep(conversation)


def test_every_cell_of_the_table_has_a_conversation() -> None:
    """What the specification says of an arrival in a phase can be tried by everybody."""
    covered = {cell(name) for one in CONVERSATIONS for name in one.get("covers", ())}
    assert covered == set(REACTIONS)


def test_a_conversation_has_a_name_of_its_own() -> None:
    """There are many, and each can be chosen by its name."""
    assert len(CONVERSATIONS) >= LEAST
    assert [
        name for name, count in Counter(one["name"] for one in CONVERSATIONS).items() if count > 1
    ] == []


def test_the_file_is_what_the_package_has() -> None:
    """``telex conformance`` plays what stands in the file."""
    namespace = runpy.run_path(str(CONFORMANCE / "make_conversations.py"))
    assert (CONFORMANCE / "conversations.json").read_text("utf-8") == namespace["written"]()


def test_the_example_in_the_documentation_is_a_conversation() -> None:
    """What authors of other implementations read first is what the file holds."""
    _, _, section = (CONFORMANCE / "README.md").read_text("utf-8").partition("## Conversations")
    _, _, rest = section.partition("```json\n")
    example, _, _ = rest.partition("```")
    assert json.loads(example) in CONVERSATIONS
