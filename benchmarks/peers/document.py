"""What a run measured, for programs."""

from __future__ import annotations

from typing import Any

from benchmarks import machine
from benchmarks.peers.budgets import Verdict
from benchmarks.peers.catalogue import version_of
from benchmarks.peers.results import Results


def as_json(results: Results, verdicts: list[Verdict]) -> dict[str, Any]:
    """Return every sample, the figures that follow from them, and what became of the budgets."""
    return {
        "machine": machine.description(),
        "versions": versions(results),
        "rows": [
            {
                "work": str(work),
                "kind": work.kind,
                "size": work.size,
                "connections": work.connections,
                "measure": measure,
                "contestant": key,
                "median": results.figure(work, measure, key),
                "samples": samples,
            }
            for (work, measure, key), samples in results.samples.items()
        ],
        "left out": [
            {"work": str(work), "contestant": key, "reason": reason}
            for (work, key), reason in results.left_out.items()
        ],
        "absent": results.absent,
        "budgets": [
            {
                "what": verdict.budget.what,
                "of": None if verdict.claim is None else str(verdict.claim),
                "least": verdict.budget.least,
                "most": verdict.budget.most,
                "figure": verdict.figure,
                "met": verdict.met,
                "verdict": str(verdict),
            }
            for verdict in verdicts
        ],
    }


def versions(results: Results) -> dict[str, str]:
    """Return the versions of all packages that took part."""
    packages = sorted(
        {package for entrant in results.entrants for package in entrant.contestant.packages}
    )
    return {package: version for package in packages if (version := version_of(package))}
