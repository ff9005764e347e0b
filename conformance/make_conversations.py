"""Writes conversations.json: what is said by both ends of a connection, for every implementation.

The conversations stand in the package ``telex.conformance``, whose commands play them. Run this
after a change: ``python conformance/make_conversations.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from telex.conformance.loading import conversations, setups

FILE = Path(__file__).with_name("conversations.json")


def written() -> str:
    """Return the text of the file: a line for each step."""
    kept = ",\n".join(map(_conversation, conversations()))
    return (
        '{\n"format": "telex-conversations",\n"version": 1,\n'
        f'"setups": {_json(setups())},\n"conversations": [\n{kept}\n]\n}}\n'
    )


def _conversation(conversation: dict[str, Any]) -> str:
    members = [
        f'  "{name}": {_json(value)}' for name, value in conversation.items() if name != "steps"
    ]
    steps = ",\n".join(f"    {_json(step)}" for step in conversation["steps"])
    return "{\n" + ",\n".join([*members, f'  "steps": [\n{steps}\n  ]']) + "\n}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
