"""Draws the phases of a conversation into wire-format.md, from the table that the code follows.

    python docs/draw_phases.py

A test holds the page to what this would draw.
"""

from __future__ import annotations

import re
from pathlib import Path

from telex.conversation.states import TRANSITIONS, Phase

PAGE = Path(__file__).parent / "wire-format.md"

BEGINNINGS = {Phase.GREETING: "a hello is said or demanded", Phase.OPEN: "else"}

_DRAWING = re.compile(r"(?<=^```mermaid\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)


def diagram() -> str:
    """Return the phases and the ways between them as a Mermaid state diagram."""
    ends = [phase for phase in Phase if not any(phase is at for at, _ in TRANSITIONS)]
    lines = [f"[*] --> {phase.value}: {why}" for phase, why in BEGINNINGS.items()]
    lines += [
        f"{phase.value} --> {next_phase.value}: {step.value}"
        for (phase, step), next_phase in TRANSITIONS.items()
    ]
    lines += [f"{phase.value} --> [*]" for phase in ends]
    return "".join(f"{line}\n" for line in ["stateDiagram-v2", *(f"    {line}" for line in lines)])


def with_diagram(page: str) -> str:
    """Return a page whose one drawing is the diagram."""
    drawn, count = _DRAWING.subn(diagram(), page)
    if count != 1:
        raise ValueError(f"the page must have one drawing in Mermaid, and has {count}")
    return drawn


if __name__ == "__main__":
    PAGE.write_text(with_diagram(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
