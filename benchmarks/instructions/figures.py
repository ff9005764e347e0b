"""The figures that are kept, and what new ones say beside them.

Figures can be compared where all that they depend on is the same: see ``Setting``.
"""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Final, Self

MARGIN: Final = 0.10
"""How much more a work may take than before, as a share of that."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What instruction counts depend on, beside the source."""

    python: str
    python_built: str
    compiler: str
    machine: str

    @classmethod
    def here(cls) -> Self:
        """Return what is the case here."""
        arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
        is_optimised = "--enable-optimizations" in arguments
        return cls(
            f"{platform.python_implementation()} {platform.python_version()}",
            f"{platform.python_compiler()}, {'with' if is_optimised else 'without'} profiling",
            _compiler(),
            platform.machine(),
        )

    def differences(self, other: Setting) -> list[str]:
        """Say, for each field that differs, what it is in this and in the other setting."""
        return [
            f"{field.name.replace('_', ' ')}: {getattr(self, field.name)}, "
            f"not {getattr(other, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        ]


class Verdict(Enum):
    """What a new figure means beside the kept one."""

    KEPT = "as before"
    WORSE = "too many"
    BETTER = "better: renew the figures"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The instructions that a work takes now, and those that it took."""

    work: str
    before: int
    now: int

    @property
    def change(self) -> float:
        """How many more it takes, as a share of what it took; negative if fewer."""
        return self.now / self.before - 1

    @property
    def verdict(self) -> Verdict:
        """Whether that is too many, or so few that the next change needs a stricter figure."""
        if self.now * 100 >= self.before * round(100 * (1 + MARGIN)):
            return Verdict.WORSE
        if self.now * 100 <= self.before * round(100 * (1 - MARGIN)):
            return Verdict.BETTER
        return Verdict.KEPT

    def __str__(self) -> str:
        return f"{self.work}: {self.before:,} instructions before, {self.now:,} now"


@dataclass(frozen=True, slots=True)
class Figures:
    """Instructions by work, with the setting they were counted in."""

    setting: Setting
    instructions: Mapping[str, int]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a file that ``write`` wrote; raises OSError and ValueError when it is none."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            return cls(Setting(**content["setting"]), dict(content["instructions"]))
        except (LookupError, TypeError) as problem:
            raise ValueError(f"{file} holds no figures: {problem}") from problem

    def write(self, file: Path) -> None:
        """Keep the figures for those who compare later."""
        content = {"setting": asdict(self.setting), "instructions": dict(self.instructions)}
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def compare(self, now: Mapping[str, int]) -> list[Comparison]:
        """Hold new counts, of the same works, to these figures."""
        return [Comparison(work, before, now[work]) for work, before in self.instructions.items()]


def _compiler() -> str:
    """Return the first line that the C compiler says of itself."""
    command = shlex.split(sysconfig.get_config_var("CC") or "cc")[:1]
    try:
        ended = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, check=False, timeout=30
        )
    except OSError:
        return "none"
    return ended.stdout.partition("\n")[0]
