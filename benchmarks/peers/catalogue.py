"""Who takes part: the contestants whose packages are here, with the reasons for the others."""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from benchmarks.peers.contestants.base import Contestant

MODULES: Final = {
    "telex_blocking": "telex",
    "telex_asyncio": "telex",
    "raw_socket": "python",
    "pyzmq": "pyzmq",
    "pynng": "pynng",
    "websockets": "websockets",
    "picows": "picows",
    "grpcio": "grpcio",
    "rpyc": "rpyc",
    "asyncio_streams": "python",
    "multiprocessing_connection": "python",
}
"""The modules of ``contestants``, each with the package it is about, in the order of tables."""

TELEX: Final = "telex"

REMEDY: Final = ": pip install '.[bench]'"
"""What to do where something is not installed."""


class Build(StrEnum):
    """How Telex may have been built."""

    COMPILED = "compiled"
    PURE = "pure"


@dataclass(frozen=True, slots=True)
class Entrant:
    """A contestant, and for Telex one of its builds, which is in ``directory``."""

    module: str
    contestant: Contestant
    build: Build | None = None
    directory: Path | None = None

    @property
    def key(self) -> str:
        """What it is called by the command line and in data."""
        return "-".join(filter(None, (self.contestant.key, self.build)))

    @property
    def name(self) -> str:
        """What people call it."""
        return ", ".join(filter(None, (self.contestant.name, self.build)))


@dataclass(frozen=True, slots=True)
class Field:
    """All who take part; ``absent`` says why others do not, by their names."""

    entrants: list[Entrant]
    absent: dict[str, str]


def contestant_of(module: str, key: str) -> Contestant:
    """Return one of the contestants of a module; raises ImportError and KeyError."""
    return {contestant.key: contestant for contestant in _contestants(module)}[key]


def field(builds: dict[Build, Path], only: list[str]) -> Field:
    """Return who takes part; ``only`` names those that are wanted, by parts of their keys.

    Raises ValueError for a name that nobody has.
    """
    entrants: list[Entrant] = []
    absent: dict[str, str] = {}
    for module, package in MODULES.items():
        try:
            contestants = _contestants(module)
        except ImportError as error:
            absent[package] = _reason(error)
            continue
        for contestant in contestants:
            missing = [name for name in contestant.packages if version_of(name) is None]
            if missing:
                absent[contestant.name] = f"{missing[0]} is not installed{REMEDY}"
            elif package == TELEX:
                entrants += [
                    Entrant(module, contestant, build, directory)
                    for build, directory in builds.items()
                ]
            else:
                entrants.append(Entrant(module, contestant))
    return Field(_wanted(entrants, only, absent), absent)


def version_of(package: str) -> str | None:
    """Return the version of a distribution; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _contestants(module: str) -> list[Contestant]:
    found = importlib.import_module(f"benchmarks.peers.contestants.{module}")
    contestants: list[Contestant] = found.CONTESTANTS
    return contestants


def _reason(error: ImportError) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed{REMEDY}"
    return f"it cannot be imported: {error}"


def _wanted(entrants: list[Entrant], only: list[str], absent: dict[str, str]) -> list[Entrant]:
    known = [*(entrant.key for entrant in entrants), *absent]
    for name in only:
        if not any(name in key for key in known):
            raise ValueError(f"nobody is called {name!r}; there are {', '.join(known)}")
    return [
        entrant for entrant in entrants if not only or any(name in entrant.key for name in only)
    ]
