"""Draws the phases and the reactions of a conversation into wire-format.md, from their tables.

    python docs/draw_phases.py

A test holds the page to what this would draw.
"""

from __future__ import annotations

import re
from pathlib import Path

from telex.conversation.reactions import PHASES, REACTIONS, Arrival, Role
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


def reactions(role: Role) -> str:
    """Return the reactions of one end as a table in Markdown: what may arrive, by phase."""
    lines = ["| what arrives |" + "".join(f" {phase.value} |" for phase in PHASES)]
    lines.append("| --- |" + " --- |" * len(PHASES))
    for arrival in Arrival:
        found = [REACTIONS.get((role, phase, arrival)) for phase in PHASES]
        if any(found):
            cells = "".join(f" {reaction.value} |" if reaction else " |" for reaction in found)
            lines.append(f"| {arrival.value} |{cells}")
    return "".join(f"{line}\n" for line in lines)


def with_reactions(page: str) -> str:
    """Return a page that has the table of each role between its two marks."""
    for role in Role:
        marks = f"<!-- reactions: {role.value} -->\n\n", f"\n<!-- end: {role.value} -->\n"
        place = re.compile(f"(?<={marks[0]}).*?(?={marks[1]})", re.DOTALL)
        page, count = place.subn(reactions(role), page)
        if count != 1:
            raise ValueError(f"the page must have one place for the {role.value}, and has {count}")
    return page


if __name__ == "__main__":
    drawn = with_reactions(with_diagram(PAGE.read_text(encoding="utf-8")))
    PAGE.write_text(drawn, encoding="utf-8")
